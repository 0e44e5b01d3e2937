// SPDX-License-Identifier: Apache-2.0

package page

import (
	"testing"

	"github.com/prometheus/common/expfmt"
	"github.com/shoal-metrics/shoal/core/internal/wire"
)

// le names the buckets of a histogram, and quantile the quantiles of a summary. Elsewhere they are
// labels like others.
func TestPage_LeAndQuantileAreReservedOnlyWhereTheyMeanSomething(t *testing.T) {
	f := newFixture(t)
	f.family("c_total", 1, counterDef(""))
	f.add("c_total", labels("le", "0.5"), "1", labels("quantile", "0.5"), "2", labels("le", "+Inf", "quantile", "x"), "3")
	f.family("total", 1, gaugeDef(wire.ModeTotal))
	f.add("total", wire.TotalMark+labels("quantile", "0.9"), "4")
	f.family("last", 1, gaugeDef(wire.ModeLatest))
	f.commit("last", wire.Op{Kind: wire.OpLatest, Field: labels("le", "1"), Value: "5 2 0"})
	f.family("own", 1, gaugeDef(""))
	f.process("a", wire.Info{}, gaugeText("own", labels("quantile", "0.99"), "6"))
	f.family("h", 1, histogramDef("1"))
	f.add("h", labels("quantile", "0.5"), "1:1 sum:0.5", labels("le", "7"), "1:1 sum:0.5")
	f.family("s", 1, wire.Definition{Type: wire.TypeSummary})
	f.add("s", labels("le", "1"), "sum:1 count:2", labels("quantile", "0.5"), "sum:1 count:2")
	for range 2 { // read in full, and then by known fields
		f.shows("c_total", `c_total{le="+Inf",quantile="x"} 3`, `c_total{le="0.5"} 1`, `c_total{quantile="0.5"} 2`)
		f.shows("total", `total{quantile="0.9"} 4`)
		f.shows("last", `last{le="1"} 5`)
		f.shows("own", `own{gauge_index="0",quantile="0.99"} 6`)
		f.shows("h_", `h_bucket{quantile="0.5",le="1"} 1`, `h_bucket{quantile="0.5",le="+Inf"} 1`, `h_sum{quantile="0.5"} 0.5`, `h_count{quantile="0.5"} 1`)
		f.shows("s_", `s_sum{le="1"} 1`, `s_count{le="1"} 2`)
	}
	if f.values["h"] == 0 || f.values["s"] == 0 || len(f.values) != 2 {
		t.Errorf("omitted are %v, want one of h and one of s", f.values)
	}
	page := f.page()
	wellFormed(t, []byte(text(t, page)))
	body, err := page.Encode(Encoding{Format: expfmt.TypeProtoDelim})
	if err != nil {
		t.Fatal(err)
	}
	decodes(t, body, expfmt.FmtProtoDelim)
}

// A label of a counter may be reserved in a histogram.
func TestPage_AFamilyThatIsOfAnotherTypeIsReadAnew(t *testing.T) {
	f := newFixture(t)
	f.family("x", 1, counterDef(""))
	f.add("x", labels("le", "7"), "1")
	f.shows("x{", `x{le="7"} 1`)
	f.index.families["x"].kind = wire.TypeSummary
	f.shows("x{", `x{le="7"} 1`)
	if got := f.index.families["x"].kind; got != wire.TypeCounter {
		t.Errorf("it is remembered as a %s", got)
	}
}
