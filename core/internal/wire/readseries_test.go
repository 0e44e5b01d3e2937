// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"bytes"
	"fmt"
	"slices"
	"testing"
)

func TestParseValues_TellsNilFromEmptyAndRefusesEverythingElse(t *testing.T) {
	absent := SeriesValue{}
	found := func(text string) SeriesValue { return SeriesValue{Text: text, Found: true} }
	for raw, want := range map[string][]SeriesValue{
		"*0\r\n":                                 {},
		"*3\r\n$1\r\n7\r\n$-1\r\n$0\r\n\r\n":     {found("7"), absent, found("")},
		"*2\r\n_\r\n$4\r\n\r\n$1\r\n":            {absent, found("\r\n$1")}, // RESP3, and a text like a reply
		"-MOVED 1 a:1\r\n":                       nil,
		"-WRONGTYPE Operation against a key\r\n": nil,
		"*-1\r\n":                                nil,
		"_\r\n":                                  nil,
		"":                                       nil,
		"*1\r\n":                                 nil,
		"*1\r\n$1\r\n7":                          nil,
		"*1\r\n$9\r\n7\r\n":                      nil,
		"*1\r\n$-2\r\n":                          nil,
		"*1\r\n$99999999999999999999\r\n7\r\n":   nil,
		"*1\r\n:7\r\n":                           nil,
		"*0\r\n$":                                nil,
		"*1\r\n$1\r\n7\r\n$1\r\n8\r\n":           nil, // more than asked for
		"*1\r\n*1\r\n$1\r\n7\r\n":                nil,
		"|1\r\n+a\r\n+b\r\n*1\r\n$1\r\n7\r\n":    nil, // an attribute before it
		"*1\r\n$1\r\n7\r\n\r\n":                  nil,
	} {
		n := max(1, len(want))
		if raw == "*0\r\n" {
			n = 0
		}
		got := make([]SeriesValue, n)
		if n, _, ok := parseValues([]byte(raw), got); ok != (want != nil) || ok && (n != len(want) || !slices.Equal(got, want)) {
			t.Errorf("%q: %d %v, %v, want %v", raw, n, got, ok, want)
		}
	}
}

func FuzzParseValues_ReadsWhatRedisWrites(f *testing.F) {
	f.Add("7", "", true, []byte("*1\r\n$3\r\n"))
	f.Add("\r\n", "$-1\r\n", false, []byte("*1\r\n$-1\r\n"))
	f.Fuzz(func(t *testing.T, a, b string, resp3 bool, garbage []byte) {
		none := "$-1\r\n"
		if resp3 {
			none = "_\r\n"
		}
		var raw bytes.Buffer
		fmt.Fprintf(&raw, "*3\r\n$%d\r\n%s\r\n%s$%d\r\n%s\r\n", len(a), a, none, len(b), b)
		got := make([]SeriesValue, 3)
		want := []SeriesValue{{Text: a, Found: true}, {}, {Text: b, Found: true}}
		if n, long, ok := parseValues(raw.Bytes(), got); !ok || n != 3 || long != (a == Overlong || b == Overlong) || !slices.Equal(got, want) {
			t.Errorf("%q was read as %+v", &raw, got)
		}
		parseValues(garbage, make([]SeriesValue, 1)) // does not panic
	})
}
