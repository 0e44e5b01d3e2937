// SPDX-License-Identifier: Apache-2.0

package behaviour_test

import (
	"strings"
	"testing"

	shoal "github.com/shoal-metrics/shoal/core"

	"github.com/shoal-metrics/shoal/core/tests/testkit"
)

func TestLabels_AChildUsedAgainStaysTheSameSeries(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	reg := f.process(t)
	labels := shoal.Labels{"route": "/a"}
	h := reg.NewHistogramVec(shoal.HistogramOpts{Name: "h", Buckets: []float64{1}}, []string{"route"}).With(labels)
	s := reg.NewSummaryVec(shoal.SummaryOpts{Name: "s"}, []string{"route"}).With(labels)
	labels["route"] = "/b" // the caller may change its map
	for range 3 {
		testkit.Must(t, h.ObserveSync(testkit.Within(t), 1))
		testkit.Must(t, s.ObserveSync(testkit.Within(t), 2))
	}
	p := testkit.Scrape(t, f.process(t))
	p.Want(t, `h_bucket{route="/a",le="1"}`, "3", `h_bucket{route="/a",le="+Inf"}`, "3",
		`h_sum{route="/a"}`, "3", `h_count{route="/a"}`, "3",
		`s_sum{route="/a"}`, "6", `s_count{route="/a"}`, "3")
	if lines := append(p.Of("h_"), p.Of("s_")...); len(lines) != 6 {
		t.Errorf("the page shows more than the two series: %q", lines)
	}
}

// Scrape fails if a series is on the page twice.
func TestLabels_EqualOnesOfTwoProcessesAreOneSeries(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	opts := shoal.CounterOpts{Name: "orders_total", ConstLabels: shoal.Labels{"shop": "a"}}
	one, two := f.process(t), f.process(t)
	one.NewCounterVec(opts, []string{"currency", "code"}).WithLabelValues("EUR", "1").Inc()
	two.NewCounterVec(opts, []string{"code", "currency"}).WithLabelValues("1", "EUR").Inc()
	// A label with an empty value is left out: the third is the same series.
	three := f.process(t)
	three.NewCounterVec(opts, []string{"code", "currency", "gone"}).WithLabelValues("1", "EUR", "").Inc()
	flush(t, one, two, three)
	p := testkit.Scrape(t, one)
	p.Want(t, `orders_total{code="1",currency="EUR",shop="a"}`, "3")
	p.WantSamples(t, "orders_total", 1)
}

func TestLabels_AnyTextComesOutAsItWentIn(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	reg, other := f.process(t), f.process(t)
	opts := shoal.CounterOpts{Name: "texts_total", Help: "A \\ and a\nnewline and \"quotes\"."}
	v := reg.NewCounterVec(opts, []string{"text"})
	for _, text := range []string{`say "hi"`, `back\slash`, "two\nlines", "tab\tand\rreturn", "ünï ©ödé 🐟", "{a=\"b\"}", " ", "\x00", "%s"} {
		v.WithLabelValues(text).Inc()
	}
	flush(t, reg)
	p := testkit.Scrape(t, other)
	p.Want(t, `texts_total{text="say \"hi\""}`, "1", `texts_total{text="back\\slash"}`, "1",
		`texts_total{text="two\nlines"}`, "1", "texts_total{text=\"tab\tand\rreturn\"}", "1",
		`texts_total{text="ünï ©ödé 🐟"}`, "1", `texts_total{text="{a=\"b\"}"}`, "1",
		`texts_total{text=" "}`, "1", "texts_total{text=\"\x00\"}", "1", `texts_total{text="%s"}`, "1")
	if !strings.Contains(p.Text, "# HELP texts_total A \\\\ and a\\nnewline and \"quotes\".\n") {
		t.Errorf("the help text is not escaped:\n%s", p.Users())
	}
}

// Label values of a hostile request at one process change nothing in the others.
func TestNoBadInputSpreads_LabelValues(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	reg, other := f.process(t), f.process(t)
	v := reg.NewCounterVec(shoal.CounterOpts{Name: "agents_total"}, []string{"agent"})
	v.WithLabelValues("bad \xff\xfe bytes").Inc()
	v.WithLabelValues("\xff").Inc()
	v.WithLabelValues("\xc3").Inc()
	v.WithLabelValues(strings.Repeat("ä", 5000)).Inc()
	flush(t, reg)
	p := testkit.Scrape(t, other)
	p.Want(t, `agents_total{agent="bad � bytes"}`, "1", `agents_total{agent="�"}`, "2",
		`agents_total{agent="`+strings.Repeat("ä", 512)+`"}`, "1",
		`shoal_rejected_observations_total{reason="invalid_utf8"}`, "3",
		`shoal_rejected_observations_total{reason="label_too_long"}`, "1")
}
