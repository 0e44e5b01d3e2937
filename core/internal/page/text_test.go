// SPDX-License-Identifier: Apache-2.0

package page

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/common/expfmt"
	"github.com/shoal-metrics/shoal/core/internal/wire"
)

// hardNumbers are floats that are easy to write wrong.
var hardNumbers = []float64{
	0, math.Copysign(0, -1), 1, -1, 7, 10, -42, 999_999, -999_999, 1_000_000, -1_000_000, 1_234_567, 100_000, 123_456_789,
	0.1, 0.1 + 0.2, 1.5e-7, 1e-5, 0.0001, 999_999.5, -0.5, 1e20, 1e21, 1e22, 1 << 53, 1<<53 + 2, 1 << 62, 1 << 63, 1 << 64,
	1e308, math.MaxFloat64, -math.MaxFloat64, math.SmallestNonzeroFloat64, math.Inf(1), math.Inf(-1), math.NaN(),
}

func floats(list ...float64) []byte {
	var b []byte
	for _, f := range list {
		b = binary.LittleEndian.AppendUint64(b, math.Float64bits(f))
	}
	return b
}

// The text that this package writes is what expfmt writes, to the byte, however a
// scraper wants names to be escaped.
func FuzzPageText_IsThatOfExpfmt(f *testing.F) {
	for kind := range uint8(5) {
		f.Add(kind, "Help.", "/a", "200", uint8(0), floats(hardNumbers...))
		f.Add(kind, "", "", "", uint8(3), floats(hardNumbers...))
		f.Add(kind, "a\\b\nc\"d", "quo\"te", "back\\slash\nline", uint8(2), floats(3, 2, 1, 0.5, math.Inf(1), 0, 1e6, 2e6, 3e6))
		f.Add(kind, "\\", "caf\u00e9 \u2603", "\x00\t{},= ", uint8(12), floats(slices.Repeat([]float64{1, 2.5, 1e9}, 14)...))
		f.Add(kind, "\n\n", "\\\\", "\"", uint8(40), floats(math.NaN(), 1))
	}
	f.Fuzz(func(t *testing.T, kind uint8, help, value1, value2 string, bounds uint8, raw []byte) {
		family := &shownFamily{
			name: "a:b_c9", help: readable(help),
			kind: []string{wire.TypeCounter, wire.TypeGauge, wire.TypeSummary, wire.TypeHistogram}[kind%4],
		}
		if kind >= 4 {
			family.name += "_total" // OpenMetrics knows it as a counter
		}
		for ; len(raw) >= 8; raw = raw[8:] {
			family.numbers = append(family.numbers, math.Float64frombits(binary.LittleEndian.Uint64(raw)))
		}
		if family.kind == wire.TypeHistogram {
			for _, b := range slices.Sorted(slices.Values(family.numbers[:min(int(bounds), len(family.numbers))])) {
				if b-b == 0 && (len(family.bounds) == 0 || b > family.bounds[len(family.bounds)-1]) {
					family.bounds = append(family.bounds, b)
				}
			}
		}
		family.numbers = family.numbers[:len(family.numbers)/family.width()*family.width()]
		if len(family.numbers) == 0 {
			return
		}
		fields := []string{
			"",
			wire.EncodeField([]string{"a"}, []string{readable(value1)}),
			wire.EncodeField([]string{"b", "a"}, []string{readable(value1), readable(value2)}),
			wire.EncodeField([]string{"_z9"}, []string{readable(value2)}),
		}
		family.labels = &labelSets{fields: fields}
		for i := range family.len() {
			family.rows = append(family.rows, (i*7)%len(fields))
		}
		family.starts, family.now = []int64{1_700_000_000_123_456, 0, 1_700_000_000_000_000, 1_900_000_000_000_000}, 1_800_000_000_000_000
		page := &Page{families: []*shownFamily{family}}
		own := text(t, page)
		message := family.toProto(true)
		var theirs bytes.Buffer
		if _, err := expfmt.MetricFamilyToText(&theirs, message); err != nil {
			t.Fatal(err)
		}
		if own != theirs.String() {
			t.Fatalf("written %q, expfmt writes %q", own, &theirs)
		}
		for _, escaping := range []string{"allow-utf-8", "underscores", "dots", "values"} {
			var escaped bytes.Buffer
			format := expfmt.FmtText + expfmt.Format("; escaping="+escaping)
			if err := expfmt.NewEncoder(&escaped, format).Encode(message); err != nil {
				t.Fatal(err)
			}
			if own != escaped.String() {
				t.Fatalf("written %q, expfmt with %s writes %q", own, escaping, &escaped)
			}
			escaped.Reset()
			format = expfmt.FmtProtoDelim + expfmt.Format("; escaping="+escaping)
			if err := expfmt.NewEncoder(&escaped, format).Encode(message); err != nil {
				t.Fatal(err)
			}
			if body, err := page.Encode(Encoding{Format: expfmt.TypeProtoDelim}); err != nil || !bytes.Equal(body, escaped.Bytes()) {
				t.Fatalf("written %q, %v, expfmt with %s writes %q", body, err, escaping, &escaped)
			}
		}
		for created, options := range map[bool][]expfmt.EncoderOption{false: nil, true: {expfmt.WithCreatedLines()}} {
			if family.createdName() == "" { // expfmt writes lines that OpenMetrics does not allow
				options = nil
			}
			theirs.Reset()
			encoder := expfmt.NewEncoder(&theirs, expfmt.FmtOpenMetrics_1_0_0, options...)
			err := cmp.Or(encoder.Encode(message), encoder.(expfmt.Closer).Close())
			body, ours := page.Encode(Encoding{Format: expfmt.TypeOpenMetrics, Created: created})
			if (err == nil) != (ours == nil) || err == nil && !bytes.Equal(body, theirs.Bytes()) {
				t.Fatalf("written %q, %v, expfmt writes %q, %v", body, ours, &theirs, err)
			}
		}
	})
}

// The same for whole pages, of values as they are stored.
func TestPageText_OfAPageIsThatOfExpfmt(t *testing.T) {
	page := everything(t)
	own := text(t, page)
	var theirs strings.Builder
	for _, family := range page.Proto() {
		if _, err := expfmt.MetricFamilyToText(&theirs, family); err != nil {
			t.Fatal(err)
		}
	}
	if own != theirs.String() {
		t.Errorf("written\n%s\nexpfmt writes\n%s", own, theirs.String())
	}
}
