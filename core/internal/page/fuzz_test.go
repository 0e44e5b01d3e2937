// SPDX-License-Identifier: Apache-2.0

package page

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/shoal-metrics/shoal/core/internal/wire"
)

// Whatever somebody has written into an app's keys, the page is one that
// Prometheus reads: what makes no sense is omitted.
func FuzzPage_OfGarbageIsValid(f *testing.F) {
	f.Add("counter", "Help.", "", "", "a\xff1", "12", "a\xff1\xffb\xff", "0.5", "g\xffa\xff1", "3", "h", "v")
	f.Add("histogram", "", "", "1 2 +Inf", "", "1:1 2:3 sum:4", "a\xffx", "+Inf:1 9:1 -1:2 NaN:1", "g", "NaN", "h", "")
	f.Add("histogram", "\xff", "", "2 1", "le\xff1", "1:1", "a\xff\xc3\x28", "1:-5 sum:1e999", "g\xff", "1 2", "\xff", "\xc3\x28")
	f.Add("summary", "a\nb\\\"", "", "", "quantile\xff1", "sum:1 count:-1", "", "count:1e308 sum:-1", "x_sum", "1", "a\"b", "\n")
	f.Add("gauge", "", "latest", "", "a\xff1", "1 2 0", "a\xff1\xffb\xff", "+Inf 3 9", "\xff", "", "", "")
	f.Add("gauge", "", "avg", "", "", "", "", "", "x\xffgauge_index\xff1", "1e999", "h", "v")
	f.Add("stateset", "", "median", "", "", "on:1", "", "1", "x", "-0", "h", "v")
	f.Add("stateset", "", "", "", "", "sum:1", "a\xff1", "sum:2 count:1", "x", "-0", "h", "v")
	f.Fuzz(func(t *testing.T, kind, help, mode, bounds, field1, text1, field2, text2, gaugeField, gaugeText, host, version string) {
		gauges := wire.GaugesReply{Entries: []wire.Series{
			{Field: gaugeField, Text: gaugeText}, {Field: gaugeField + wire.Separator, Text: gaugeText},
		}}
		head := wire.Head{
			App: wire.AppState{Now: time.UnixMicro(5), Leases: []wire.Lease{
				{Index: 0, Writer: "a", Info: wire.Info{Host: host, Version: version, Started: 1}},
				{Index: 3, Writer: "b", Info: wire.Info{Host: version, Version: host, Started: math.MinInt64}},
			}},
			Gauges: []wire.GaugesReply{gauges, gauges},
		}
		stored := []wire.Series{{Field: field1, Text: text1}}
		if field2 != field1 { // fields of a hash
			stored = append(stored, wire.Series{Field: field2, Text: text2})
		}
		var families []storedFamily
		for i, name := range []string{"x", "g", "x_sum", "x_total"} {
			series, values, _ := indexSeries(t.Context(), newCounts(), name, kind, stored)
			series.noteStarts([]int64{4, 6}[:series.labels.len()])
			families = append(families, storedFamily{
				name: name, series: series, values: values,
				state: wire.FamilyState{Created: int64(i), Definition: wire.Definition{
					Type: kind, Help: help, Mode: mode, Bounds: strings.Fields(bounds),
				}},
			})
		}
		page, _ := newBuilder(t.Context(), newCounts(), head.App).render(nil, head, families)
		for _, format := range []expfmt.Format{expfmt.FmtText, expfmt.FmtProtoDelim, expfmt.FmtOpenMetrics_1_0_0} {
			body, err := page.Encode(Encoding{Format: format.FormatType(), Created: true})
			if err != nil {
				t.Fatalf("%s: %v", format, err)
			}
			switch format {
			case expfmt.FmtText:
				wellFormed(t, body)
			case expfmt.FmtProtoDelim:
				decodes(t, body, format)
			}
		}
	})
}

// wellFormed fails the test unless a page in the text format is one that
// Prometheus takes: UTF-8, no series twice, buckets that ascend.
func wellFormed(t *testing.T, body []byte) {
	t.Helper()
	if !utf8.Valid(body) {
		t.Errorf("the page is not UTF-8: %q", body)
	}
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(body))
	if err != nil {
		t.Fatalf("%v\n%s", err, body)
	}
	for _, family := range families {
		seen := map[string]bool{}
		for _, m := range family.Metric {
			var labels []string
			for _, l := range m.Label {
				labels = append(labels, fmt.Sprintf("%s=%q", l.GetName(), l.GetValue()))
			}
			slices.Sort(labels)
			if key := strings.Join(labels, ","); seen[key] {
				t.Errorf("%s{%s} is there twice:\n%s", family.GetName(), key, body)
			} else {
				seen[key] = true
			}
			last := uint64(0)
			for _, bucket := range m.GetHistogram().GetBucket() {
				if bucket.GetCumulativeCount() < last {
					t.Errorf("buckets fall:\n%s", body)
				}
				last = bucket.GetCumulativeCount()
			}
		}
	}
}

func decodes(t *testing.T, body []byte, format expfmt.Format) {
	t.Helper()
	decoder := expfmt.NewDecoder(bytes.NewReader(body), format)
	for {
		var family dto.MetricFamily
		if err := decoder.Decode(&family); err == io.EOF {
			return
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

func FuzzLatest_IsReadWholeOrNotAtAll(f *testing.F) {
	for _, seed := range []string{"1 2 3", "NaN 0 0", "+Inf 9223372036854775807 -1", "1 2", "1 2 3 4", "", "  ", "x 1 1", "1 1e3 0", "0x1p4 1 1"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		value, stamp, deadline, err := parseLatest(text)
		if err != nil && (value != 0 || stamp != 0 || deadline != 0) {
			t.Errorf("%q: %v, and %v %d %d beside", text, err, value, stamp, deadline)
		}
		if err == nil && strings.Count(text, " ") != 2 {
			t.Errorf("%q was read", text)
		}
	})
}

func FuzzBounds_AscendOrAreRefused(f *testing.F) {
	for _, seed := range []string{"", "1", "1 2", "2 1", "1 1", "1 1.0", "+Inf", "NaN", "-0 0", "1e999", "0x1p-2 1_0"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		bounds, err := parseBounds(strings.Fields(text))
		if err != nil {
			return
		}
		for i, b := range bounds {
			if math.IsNaN(b) || math.IsInf(b, 0) || i > 0 && b <= bounds[i-1] {
				t.Errorf("%q gives %v", text, bounds)
			}
		}
	})
}
