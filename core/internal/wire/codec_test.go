// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"errors"
	"math"
	"slices"
	"testing"
)

func TestEncodeField_OrdersNamesAndOmitsEmptyValues(t *testing.T) {
	for _, test := range []struct {
		names, values []string
		want          string
	}{
		{nil, nil, ""},
		{[]string{"a"}, []string{""}, ""},
		{[]string{"b", "a"}, []string{"2", "1"}, "a\xff1\xffb\xff2"},
		{[]string{"b", "gone", "a"}, []string{"2", "", "1"}, "a\xff1\xffb\xff2"},
		{[]string{"path"}, []string{"/x y\n\"é"}, "path\xff/x y\n\"é"},
	} {
		names := slices.Clone(test.names)
		if got := EncodeField(test.names, test.values); got != test.want {
			t.Errorf("EncodeField(%q, %q) is %q, want %q", test.names, test.values, got, test.want)
		}
		if got := FieldValues(test.want, test.names); !slices.Equal(got, test.values) {
			t.Errorf("of %q the values for %q are %q, want %q", test.want, test.names, got, test.values)
		}
		if got := FieldValues(TotalMark+test.want, test.names); !slices.Equal(got, test.values) || IsTotal(test.want) {
			t.Errorf("of a total's %q the values for %q are %q, want %q", test.want, test.names, got, test.values)
		}
		if !slices.Equal(names, test.names) {
			t.Errorf("the caller's names became %q", test.names)
		}
	}
}

func TestDecodeField_ReadsOtherWritersAndRefusesJunk(t *testing.T) {
	for _, test := range []struct {
		field string
		want  []Label
		fails bool
	}{
		{field: ""},
		{field: "a\xff1", want: []Label{{"a", "1"}}},
		{field: "b\xff2\xffa\xff1\xffc\xff", want: []Label{{"a", "1"}, {"b", "2"}}},
		{field: TotalMark},
		{field: TotalMark + "b\xff2\xffa\xff1", want: []Label{{"a", "1"}, {"b", "2"}}},
		{field: TotalMark + TotalMark, fails: true},
		{field: "a\xff" + TotalMark, fails: true},
		{field: "a", fails: true},
		{field: "a\xff1\xffb", fails: true},
		{field: "\xff1", fails: true},
		{field: "1a\xff1", fails: true},
		{field: "a\xff\xc3", fails: true},
		{field: "a\xff1\xffa\xff2", fails: true},
		{field: GenerationField, fails: true},
	} {
		got, err := DecodeField(test.field)
		if (err != nil) != test.fails || !slices.Equal(got, test.want) {
			t.Errorf("DecodeField(%q) is %q, %v", test.field, got, err)
		}
	}
}

func TestNumbers_AreReadBackExactly(t *testing.T) {
	for number, want := range map[float64]string{
		0: "0", 1: "1", -3: "-3", 0.5: "0.5", 0.30000000000000004: "0.30000000000000004",
		1<<53 - 1: "9007199254740991", 1 << 53: "9.007199254740992e+15", 3e15: "3000000000000000",
		1e-5: "1e-05", 1e308: "1e+308", math.SmallestNonzeroFloat64: "5e-324",
	} {
		if got := FormatNumber(number); got != want {
			t.Errorf("FormatNumber(%g) is %q, want %q", number, got, want)
		}
	}
	if got := FormatNumber(math.Copysign(0, -1)); got != "0" {
		t.Errorf("negative zero is %q", got)
	}
	for _, text := range []string{"", "x", "NaN", "Inf", "-inf", "1e999", "0x10", "1_000", "1 ", " 1", "1e", "."} {
		if n, err := ParseNumber(text); !errors.Is(err, errNumber) {
			t.Errorf("ParseNumber(%q) is %g, %v", text, n, err)
		}
	}
}

func TestFormatBound_IsCanonical(t *testing.T) {
	for bound, want := range map[float64]string{
		1: "1", 2.5: "2.5", 1e6: "1e+06", 0.005: "0.005", math.Inf(1): "+Inf", math.Copysign(0, -1): "0",
	} {
		if got := FormatBound(bound); got != want {
			t.Errorf("FormatBound(%g) is %q, want %q", bound, got, want)
		}
	}
}

func TestGaugeField_IsTakenApartAgain(t *testing.T) {
	for _, field := range []string{"", "k\xffv", "k\xffv\xffl\xffw"} {
		family, rest := SplitGaugeField(GaugeField("g", field))
		if family != "g" || rest != field {
			t.Errorf("%q became %q and %q", field, family, rest)
		}
	}
}
