// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
)

// pieces hands a reply over in several ways: as go-redis does, lines by Write and texts
// by ReadFrom, and in pieces that end anywhere.
var pieces = map[string]func(v *valuesReply, reply string){
	"lines and texts": func(v *valuesReply, reply string) {
		for reply != "" {
			line, rest, _ := strings.Cut(reply, "\r\n")
			_, _ = v.Write([]byte(line))
			_, _ = v.Write([]byte("\r\n"))
			reply = rest
			var size int
			if n, err := fmt.Sscanf(line, "$%d", &size); n == 1 && err == nil && size >= 0 {
				_, _ = io.CopyN(v, strings.NewReader(rest), int64(size)+2)
				reply = rest[size+2:]
			}
		}
	},
	"bytes": func(v *valuesReply, reply string) { _, _ = v.ReadFrom(iotest.OneByteReader(strings.NewReader(reply))) },
	"written bytes": func(v *valuesReply, reply string) {
		_, _ = io.Copy(struct{ io.Writer }{v}, iotest.OneByteReader(strings.NewReader(reply)))
	},
	"read at once": func(v *valuesReply, reply string) { _, _ = v.ReadFrom(strings.NewReader(reply)) },
	"at once":      func(v *valuesReply, reply string) { _, _ = v.Write([]byte(reply)) },
}

func bulk(text string) string { return fmt.Sprintf("$%d\r\n%s\r\n", len(text), text) }

func TestValuesReply_KeepsWhatScriptsKeep(t *testing.T) {
	t.Parallel()
	just, long := strings.Repeat("7", MaxText), strings.Repeat("7", MaxText+1)
	nul, odd := "\x00nil", "\x00odd"
	for name, test := range map[string]struct {
		reply string
		want  []string
	}{
		"texts and nils":  {"*5\r\n" + bulk("1") + "$-1\r\n" + bulk("") + "_\r\n" + bulk("a\r\n$5\r\n"), []string{"1", nul, "", nul, "a\r\n$5\r\n"}},
		"a long text":     {"*3\r\n" + bulk(just) + bulk(long) + bulk("2"), []string{just, Overlong, "2"}},
		"many of them":    {"*4\r\n" + bulk(just) + bulk(just) + bulk(just) + bulk(just), []string{just, just}},
		"sent twice":      {"*2\r\n" + bulk("1") + bulk("2") + "*2\r\n" + bulk("3") + bulk("4"), []string{"3", "4"}},
		"more than asked": {"*6\r\n" + strings.Repeat(bulk("1"), 6), []string{odd}},
		"an error":        {"-MOVED 1 127.0.0.1:1\r\n", []string{odd}},
		"a long error":    {"-" + long + "\r\n", []string{odd}},
		"a nested list":   {"*1\r\n*1\r\n*1\r\n" + bulk("1"), []string{odd}},
		"a number":        {"*1\r\n:1\r\n", []string{odd}},
		"no end":          {"*2\r\n" + bulk("1"), []string{odd}},
		"a length":        {"*1\r\n$-2\r\n", []string{odd}},
		"nothing":         {"*0\r\n", []string{odd}},
		"a nil":           {"*-1\r\n", []string{odd}},
	} {
		for how, send := range pieces {
			v := valuesReply{room: MaxText + 100}
			send(&v, test.reply)
			into := make([]SeriesValue, 5)
			n, met, ok := v.values(into)
			var got []string
			for _, value := range into[:n] {
				if !value.Found {
					value.Text = nul
				}
				got = append(got, value.Text)
			}
			if !ok {
				got = []string{odd}
			}
			if !slices.Equal(got, test.want) || met != slices.Contains(test.want, Overlong) {
				t.Errorf("%s as %s: %.50q (%d), %v, %v", name, how, got, len(got), met, ok)
			}
			if most := 3*(v.room+MaxText) + 1000; cap(v.kept) > most {
				t.Errorf("%s as %s takes %d bytes", name, how, cap(v.kept))
			}
		}
	}
}
