// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func FuzzDecodeField_OnlyLabelSets(f *testing.F) {
	for _, seed := range []string{"", "a\xff1", "b\xff2\xffa\xff1", "a\xff", "a\xff1\xffa\xff1", "\xff", "\xfe", "\xfd", "\xfda\xff1", "a\xff\xc3\x28"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, field string) {
		labels, err := DecodeField(field)
		if err != nil {
			if labels != nil {
				t.Errorf("labels %q beside %v", labels, err)
			}
			return
		}
		var names, values []string
		for _, l := range labels {
			if !IsLabelName(l.Name) || l.Value == "" || !utf8.ValidString(l.Value) {
				t.Errorf("%q gives the label %q", field, l)
			}
			names, values = append(names, l.Name), append(values, l.Value)
		}
		if !slices.IsSorted(names) {
			t.Errorf("%q gives %q", field, names)
		}
		again, err := DecodeField(EncodeField(names, values))
		if err != nil || !slices.Equal(again, labels) {
			t.Errorf("%q gives %q, and that %q, %v", field, labels, again, err)
		}
	})
}

func FuzzEncodeField_IsOneIdentity(f *testing.F) {
	f.Add("a", "1", "b", "2")
	f.Add("z", "", "a", "é \"\n")
	f.Add("a", "", "b", "")
	f.Fuzz(func(t *testing.T, n1, v1, n2, v2 string) {
		if !IsLabelName(n1) || !IsLabelName(n2) || n1 == n2 || !utf8.ValidString(v1) || !utf8.ValidString(v2) {
			return
		}
		field := EncodeField([]string{n1, n2}, []string{v1, v2})
		if other := EncodeField([]string{n2, n1}, []string{v2, v1}); other != field {
			t.Errorf("the order of the labels makes %q of %q", other, field)
		}
		if got := FieldValues(field, []string{n1, "no_label", n2}); !slices.Equal(got, []string{v1, "", v2}) &&
			n1 != "no_label" && n2 != "no_label" {
			t.Errorf("the values in %q are %q", field, got)
		}
		labels, err := DecodeField(field)
		if err != nil {
			t.Fatal(err)
		}
		want := map[string]string{n1: v1, n2: v2}
		for _, l := range labels {
			if want[l.Name] != l.Value {
				t.Errorf("%s is %q, want %q", l.Name, l.Value, want[l.Name])
			}
			delete(want, l.Name)
		}
		for name, value := range want {
			if value != "" {
				t.Errorf("%s is lost", name)
			}
		}
	})
}

func FuzzNumber_IsReadBackExactly(f *testing.F) {
	for _, seed := range []float64{
		0, math.Copysign(0, -1), 1, -1, 0.1, 1 << 53, 1<<53 - 1, -(1 << 53), 1e308, 5e-324, 3e15, 1e-5, math.MaxFloat64,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, number float64) {
		if math.IsNaN(number) || math.IsInf(number, 0) {
			return
		}
		text := FormatNumber(number)
		got, err := ParseNumber(text)
		if err != nil || math.Float64bits(got) != math.Float64bits(number+0) {
			t.Errorf("%g becomes %q and then %g, %v", number, text, got, err)
		}
		if strings.ContainsAny(text, " :") || !utf8.ValidString(text) {
			t.Errorf("%g becomes %q, which is no part of a vector", number, text)
		}
	})
}

func FuzzParseNumber_OnlyFiniteDecimals(f *testing.F) {
	for _, seed := range []string{"", "1", "-1", "+1", ".5", "5.", "1e5", "1E-5", "1e999", "inf", "nan", "0x1p-2", "1_0", "1 ", "--1", "1e", "."} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		number, err := ParseNumber(text)
		if err != nil {
			return
		}
		if math.IsNaN(number) || math.IsInf(number, 0) || text == "" || strings.Trim(text, "0123456789.+-eE") != "" {
			t.Errorf("%q reads as %g", text, number)
		}
	})
}

func FuzzVector_IsReadBackExactly(f *testing.F) {
	for _, seed := range []string{
		"1", "-0", "1e5", "sum:1", "sum:1 count:2", "0.5:1 +Inf:2 sum:0.25", "a:1 ", " a:1", "a:1  b:2", "a", "a:", ":1",
		"a:b:1", "1 2", "", " ", "a:1 a:2", "sum:nan",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		vector, err := ParseVector(nil, text)
		if err != nil {
			return
		}
		if len(vector) == 0 {
			t.Fatalf("%q is no vector and no error", text)
		}
		for _, c := range vector {
			if strings.ContainsAny(c.Name, " :") || c.Name == "" && len(vector) > 1 {
				t.Errorf("%q has the component %q", text, c.Name)
			}
		}
		again, err := ParseVector(nil, string(AppendVector(nil, vector)))
		if err != nil || len(again) != len(vector) {
			t.Fatalf("%q gives %v, and that %v, %v", text, vector, again, err)
		}
		for i := range vector {
			if again[i].Name != vector[i].Name || again[i].Value != vector[i].Value {
				t.Errorf("%q gives %v, and that %v", text, vector[i], again[i])
			}
		}
	})
}

func FuzzLease_IsReadBackExactly(f *testing.F) {
	f.Add("f00", "web-1", "v1.2.3", int64(1700000000000000))
	f.Add("", "", "", int64(0))
	f.Add("-", "%2D", "a b\n\xff", int64(-1))
	f.Fuzz(func(t *testing.T, lineage, host, version string, started int64) {
		req := HoldRequest{Lineage: lineage, Info: Info{Host: host, Version: version, Started: started}, TTL: time.Minute}
		lease, err := parseLease("i:3", "w 1700000000123 "+leaseTail(req))
		if err != nil {
			t.Fatal(err)
		}
		if lease.Index != 3 || lease.Writer != "w" || lease.Deadline.UnixMilli() != 1700000000123 ||
			lease.Lineage != lineage || lease.Info != req.Info || lease.TTL != time.Minute || lease.Unverified {
			t.Errorf("%+v became %+v", req, lease)
		}
		req.Unverified = true
		if lease, err = parseLease("i:3", "w 1 "+leaseTail(req)); err != nil || !lease.Unverified || lease.Info != req.Info {
			t.Errorf("%+v became %+v, %v", req, lease, err)
		}
	})
}

func FuzzParseLease_NeverPanics(f *testing.F) {
	f.Add("i:0", "w 1 - - - 0")
	f.Add("i:", "w")
	f.Add("x", "")
	f.Add("i:1", "w 1 %zz - - 0 more")
	f.Add("i:01", "w 1 - - - 0")
	f.Add("i:+1", "w 1 - - - 0")
	f.Add("i:-1", "w 1 - - - 0")
	f.Fuzz(func(t *testing.T, field, entry string) {
		lease, err := parseLease(field, entry)
		if err != nil {
			return
		}
		if !strings.HasPrefix(entry, lease.Writer+" ") || lease.Index < 0 || field != "i:"+strconv.Itoa(lease.Index) {
			t.Errorf("%q: %q is the lease %+v", field, entry, lease)
		}
	})
}

// The replies that hold no series: a registration, the leases with the lineage, the gauges
// of a writer.
func FuzzReplies_OfGarbageAreHarmless(f *testing.F) {
	f.Add("gen", "counter", "1", "1 1.5", "i:0", "w 99999999999999 l h v 5", "depth", "3 99999999999999")
	f.Add("", "", "x", "", "lineage", "abc 17", "\xfe", "1")
	f.Add("gen", "gauge", "-9223372036854775808", "+Inf", "lineage", " ", "a\xffb", "1 2 3")
	f.Fuzz(func(t *testing.T, generation, kind, created, bounds, field, entry, gauge, value string) {
		control := func(texts ...string) []SeriesValue {
			values := make([]SeriesValue, len(texts))
			for i, text := range texts {
				values[i] = SeriesValue{text, text != ""}
			}
			return values
		}
		state := familyState(control(generation, kind, "help", "", bounds, created, ""), generation)
		if state.Err == nil && (state.Generation == "" || state.Type == "") {
			t.Errorf("%+v passes for registered", state)
		}
		if other := familyState(control(generation, kind, "", "", "", created, ""), generation+"x"); other.Err == nil {
			t.Errorf("%+v is of another generation than its values", other)
		}
		now := time.Unix(1700000000, 0)
		entries := []any{field, entry, int64(7), nil, nil, "w 1"}
		leases, _, _ := readLeases(entries, now)
		for _, l := range leases {
			if !l.Deadline.After(now) || l.Index < 0 {
				t.Errorf("%q: %q passes for living: %+v", field, entry, l)
			}
		}
		recordedLineage(entries)
		living := livingGauges{now: now, room: MaxPage}
		living.add(gauge, value)
		if e := living.Entries; len(e) > 1 || len(e) == 1 && (e[0].Field != gauge || gauge == GenerationField) {
			t.Errorf("%q: %q gives %+v", gauge, value, living)
		}
	})
}
