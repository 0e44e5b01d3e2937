// SPDX-License-Identifier: Apache-2.0

package behaviour_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	shoal "github.com/shoal-metrics/shoal/core"
)

// Two versions of an application run side by side during a deploy. What the
// younger one declares is shown, and what the older one counts still counts.

func TestDeploy_OtherBucketsKeepEveryCountAndAscend(t *testing.T) {
	f := newFleet(t)
	old, reader := f.process(t), f.reader(t)
	o := old.NewHistogram(shoal.HistogramOpts{Name: "took_seconds", Help: "Old.", Buckets: []float64{1, 2, 5, 10}})
	for _, v := range []float64{0.5, 1.5, 1.6, 4, 9, 100} {
		o.Observe(v)
	}
	flush(t, old)
	// The younger one is a process that starts now: this test's is the older.
	young := f.spawn(t, func(c *childConfig) {
		c.Help, c.Buckets = "Young.", []float64{0.1, 2, 7.5, 20}
	})
	young.tell("flush")
	p := scrape(t, reader)
	// A stored bound counts into the smallest one at or above it.
	p.want(t, `took_seconds_bucket{le="0.1"}`, "0", `took_seconds_bucket{le="2"}`, "3",
		`took_seconds_bucket{le="7.5"}`, "4", `took_seconds_bucket{le="20"}`, "5",
		`took_seconds_bucket{le="+Inf"}`, "6", "took_seconds_count", "6", "took_seconds_sum", "116.6")
	if !strings.Contains(p.text, "# HELP took_seconds Young.\n") || len(p.of("took_seconds")) != 7 {
		t.Errorf("the page is not the young one's:\n%s", p.users())
	}
	// Both go on, and nothing falls.
	o.Observe(0.5)
	young.tell("observe 0.05")
	flush(t, old)
	p = scrape(t, reader)
	p.want(t, `took_seconds_bucket{le="0.1"}`, "1", `took_seconds_bucket{le="2"}`, "5",
		`took_seconds_bucket{le="7.5"}`, "6", `took_seconds_bucket{le="20"}`, "7",
		`took_seconds_bucket{le="+Inf"}`, "8", "took_seconds_count", "8")
	// The older one's refreshes never bring its definition back.
	ends := time.After(5 * f.quick().RefreshPeriod)
	for over := false; !over; {
		select {
		case <-ends:
			over = true
		case <-time.After(5 * time.Millisecond):
		}
		if p := scrape(t, reader); !strings.Contains(p.text, "# HELP took_seconds Young.\n") {
			t.Fatalf("the older definition is back:\n%s", p.users())
		}
	}
}

// A bound is a number, not a text: 1 and 1.0, -0 and 0, a given +Inf.
func TestDeploy_BoundsWrittenInOtherWaysAreTheSame(t *testing.T) {
	f := newFleet(t)
	zero := 0.0
	one, two := f.process(t), f.process(t)
	one.NewHistogram(shoal.HistogramOpts{Name: "h", Buckets: []float64{-zero, 1, 1000000}}).Observe(1)
	flush(t, one)
	two.NewHistogram(shoal.HistogramOpts{Name: "h", Buckets: []float64{0, 1.0, 1e6}}).Observe(1)
	flush(t, two)
	p := scrape(t, one)
	p.want(t, `h_bucket{le="1"}`, "2", `h_bucket{le="1e+06"}`, "2", "h_count", "2")
	if n := len(p.of("h_bucket")); n != 4 {
		t.Errorf("the page shows %q", p.of("h_bucket"))
	}
}

func TestDeploy_OtherLabelNamesStandSideBySide(t *testing.T) {
	f := newFleet(t)
	old, young := f.process(t), f.process(t)
	old.NewCounterVec(shoal.CounterOpts{Name: "jobs_total"}, []string{"queue"}).WithLabelValues("q").Add(2)
	old.NewGaugeVec(shoal.GaugeOpts{Name: "depth"}, []string{"queue"}).WithLabelValues("q").Set(1)
	flush(t, old)
	young.NewCounterVec(shoal.CounterOpts{Name: "jobs_total"}, []string{"queue", "kind"}).WithLabelValues("q", "k").Add(3)
	young.NewGauge(shoal.GaugeOpts{Name: "depth"}).Set(2)
	flush(t, young)
	p := scrape(t, f.reader(t))
	p.want(t, `jobs_total{queue="q"}`, "2", `jobs_total{kind="k",queue="q"}`, "3")
	if n := len(p.of("depth")); n != 2 {
		t.Errorf("the page shows %q", p.of("depth"))
	}
}

// Of two types under one name the first is shown. The other process hears of
// it, goes on, and everything else of it is shown.
func TestDeploy_AnotherTypeIsWithheldAndReported(t *testing.T) {
	f := newFleet(t)
	old := f.process(t)
	old.NewCounter(shoal.CounterOpts{Name: "jobs_total"}).Add(2)
	flush(t, old)
	reports := make(chan error, 100)
	opts := f.quick()
	opts.OnError = func(err error) { reports <- err }
	young := shoal.New()
	if err := young.Connect(f.connect(t), opts); err != nil {
		t.Fatal(err)
	}
	g := young.NewGauge(shoal.GaugeOpts{Name: "jobs_total"})
	g.Set(7)
	young.NewCounter(shoal.CounterOpts{Name: "else_total"}).Add(3)
	var clash *shoal.TypeClashError
	if err := young.Flush(within(t)); !errors.As(err, &clash) {
		t.Errorf("Flush gives %v, want a TypeClashError", err)
	} else if clash.Existing != "counter" || clash.Requested != "gauge" || clash.Name != "jobs_total" {
		t.Errorf("the error is %#v", clash)
	}
	if err := g.SetSync(within(t), 8); !errors.As(err, &clash) {
		t.Errorf("SetSync gives %v", err)
	}
	select {
	case err := <-reports:
		if !errors.As(err, &clash) {
			t.Errorf("OnError hears %v", err)
		}
	default:
		t.Error("OnError hears nothing")
	}
	p := scrape(t, young)
	p.want(t, "jobs_total", "2", "else_total", "3")
	if n := len(p.of("jobs_total")); n != 1 {
		t.Errorf("the page shows %q", p.of("jobs_total"))
	}
	if err := young.Close(within(t)); !errors.As(err, &clash) {
		t.Errorf("Close gives %v", err)
	}
}

// Across processes too, the first registered of two metrics that would write
// samples of one name is shown.
func TestDeploy_NamesThatCollideLeaveTheLaterOneOff(t *testing.T) {
	f := newFleet(t)
	one, two := f.process(t), f.process(t)
	one.NewCounter(shoal.CounterOpts{Name: "x_count"}).Add(2)
	flush(t, one)
	two.NewSummary(shoal.SummaryOpts{Name: "x"}).Observe(5)
	two.NewCounter(shoal.CounterOpts{Name: "y_total"}).Inc()
	flush(t, two)
	for _, reg := range []*shoal.Registry{one, two} {
		p := scrape(t, reg)
		p.want(t, "x_count", "2", "y_total", "1")
		if err := p.lacks("x_sum"); err != nil {
			t.Error(err)
		}
	}
	// In one process it is a mistake of the program.
	if _, err := one.RegisterSummary(shoal.SummaryOpts{Name: "x"}); err == nil {
		t.Error("a summary x beside a counter x_count is accepted")
	}
	flush(t, two)
	if v, _ := scrape(t, two).value("shoal_omitted_families_total"); v == 0 {
		t.Error("no self-metric tells of the family that was omitted")
	}
}

// One damaged entry, or a stranger's key, never takes the page away.
func TestDeploy_OneDamagedEntryLeavesTheRestAlone(t *testing.T) {
	f := newFleet(t)
	reg, reader := f.process(t), f.reader(t)
	v := reg.NewCounterVec(shoal.CounterOpts{Name: "jobs_total"}, []string{"kind"})
	v.WithLabelValues("good").Inc()
	v.WithLabelValues("bad").Inc()
	h := reg.NewHistogramVec(shoal.HistogramOpts{Name: "took_seconds", Buckets: []float64{1}}, []string{"kind"})
	h.WithLabelValues("good").Observe(1)
	h.WithLabelValues("bad").Observe(1)
	reg.NewCounter(shoal.CounterOpts{Name: "stranger_total"}).Inc()
	reg.NewGauge(shoal.GaugeOpts{Name: "depth"}).Set(3)
	flush(t, reg)
	family := func(name string) string { return "shoal:1:{" + f.app + "/" + name + "}:v" }
	ctx := t.Context()
	err := errors.Join(
		f.redis.HSet(ctx, family("jobs_total"), "kind\xffbad", "12abc", "kind\xff\xc3\x28", "1",
			"no label set", "1", "le\xff1", "1").Err(),
		f.redis.HSet(ctx, family("took_seconds"), "kind\xffbad", "1:x sum:").Err(),
		f.redis.HSet(ctx, f.gaugeKeys(t)[0], "depth\xffkind", "1 99999999999999", "depth\xffkind\xffx", "NaNa 99999999999999").Err(),
		f.redis.Del(ctx, family("stranger_total")).Err(),
		f.redis.Set(ctx, family("stranger_total"), "x", 0).Err(),
	)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range []*shoal.Registry{f.reader(t), reader} {
		p := scrape(t, r)
		p.want(t, `jobs_total{kind="good"}`, "1", `took_seconds_count{kind="good"}`, "1", `depth{gauge_index="0"}`, "3")
		if n := len(p.of("jobs_total")) + len(p.of("took_seconds_count")) + len(p.of("depth")); n != 3 {
			t.Errorf("something damaged is shown:\n%s", p.users())
		}
	}
	// What is damaged begins again with what is counted next.
	v.WithLabelValues("bad").Add(5)
	h.WithLabelValues("bad").Observe(0.5)
	if err := f.redis.Del(ctx, family("stranger_total")).Err(); err != nil {
		t.Fatal(err)
	}
	flush(t, reg)
	eventuallyPage(t, reader, func(p page) error {
		return errors.Join(p.has(`jobs_total{kind="bad"}`, "5"), p.has(`took_seconds_sum{kind="bad"}`, "0.5"),
			p.has("stranger_total", "0"))
	})
}
