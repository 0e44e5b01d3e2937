// SPDX-License-Identifier: Apache-2.0

package shoaltest_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	shoal "github.com/shoal-metrics/shoal/core"
	"github.com/shoal-metrics/shoal/core/shoaltest"
)

func TestValue_OfEveryType(t *testing.T) {
	reg := shoaltest.New(t)
	reg.NewCounterVec(shoal.CounterOpts{Name: "c_total"}, []string{"a", "b"}).WithLabelValues("1", "2").Add(3)
	reg.NewGauge(shoal.GaugeOpts{Name: "g"}).Set(4)
	reg.NewGauge(shoal.GaugeOpts{Name: "sum", Mode: shoal.Sum}).Set(5)
	reg.NewGauge(shoal.GaugeOpts{Name: "total", Mode: shoal.Total}).Sub(6)
	h, s := reg.NewHistogram(shoal.HistogramOpts{Name: "h"}), reg.NewSummary(shoal.SummaryOpts{Name: "s"})
	h.Observe(0.5)
	h.Observe(1.5)
	s.Observe(7)
	for _, tt := range []struct {
		got, want float64
	}{
		{shoaltest.Value(t, reg, "c_total", "b", "2", "a", "1"), 3},
		{shoaltest.Value(t, reg, "g", "gauge_index", "0"), 4},
		{shoaltest.Value(t, reg, "sum"), 5},
		{shoaltest.Value(t, reg, "total"), -6},
		{shoaltest.Value(t, reg, "h"), 2},
		{shoaltest.Sum(t, reg, "h"), 2},
		{shoaltest.Value(t, reg, "s"), 1},
		{shoaltest.Sum(t, reg, "s"), 7},
	} {
		if tt.got != tt.want {
			t.Errorf("%v, want %v", tt.got, tt.want)
		}
	}
	if !shoaltest.Exists(t, reg, "sum") || shoaltest.Exists(t, reg, "c_total") || shoaltest.Exists(t, reg, "other") {
		t.Error("Exists looks at something else than the whole label set")
	}
}

func TestValue_OfAGaugeFunctionIsWhatItReturnsNow(t *testing.T) {
	reg := shoaltest.New(t)
	var queued atomic.Int64
	reg.NewGaugeFunc(shoal.GaugeOpts{Name: "queued", Mode: shoal.Sum}, func() float64 { return float64(queued.Load()) })
	for n := range int64(5) {
		queued.Store(n)
		if got := shoaltest.Value(t, reg, "queued"); got != float64(n) {
			t.Fatalf("%v, want %d", got, n)
		}
	}
}

func TestServer_IsSharedByItsRegistriesAlone(t *testing.T) {
	server := shoaltest.NewServer()
	one, two := server.New(t, shoal.Opts{}), server.New(t, shoal.Opts{})
	other := server.New(t, shoal.Opts{App: "other"})
	for _, reg := range []*shoal.Registry{one, two, other} {
		reg.NewCounter(shoal.CounterOpts{Name: "c_total"}).Inc()
		if err := reg.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if got := shoaltest.Value(t, one, "c_total"); got != 2 {
		t.Errorf("two processes of an app have %v together, want 2", got)
	}
	if got := shoaltest.Value(t, other, "c_total"); got != 1 {
		t.Errorf("another app has %v, want 1", got)
	}
	if shoaltest.Exists(t, shoaltest.New(t), "c_total") {
		t.Error("another server has the series")
	}
}

// recorder is a test that notes how it failed instead of failing.
type recorder struct {
	testing.TB
	message string
}

func (r *recorder) Helper() {}

func (r *recorder) Fatalf(format string, args ...any) {
	r.message = fmt.Sprintf(format, args...)
	panic(r)
}

func (r *recorder) Fatal(args ...any) {
	r.message = fmt.Sprint(args...)
	panic(r)
}

func TestValue_FailsAndShowsWhatThereIs(t *testing.T) {
	reg := shoaltest.New(t)
	reg.NewCounterVec(shoal.CounterOpts{Name: "c_total"}, []string{"a"}).WithLabelValues("1").Inc()
	for _, tt := range []struct {
		ask  func(tb testing.TB)
		want string
	}{
		{func(tb testing.TB) { shoaltest.Value(tb, reg, "c_total", "a", "2", "b", "3") },
			"the page has no series c_total{a=\"2\",b=\"3\"}; of this metric it has:\nc_total{a=\"1\"}"},
		{func(tb testing.TB) { shoaltest.Value(tb, reg, "c") }, "the page has no metric c; it has: c_total"},
		{func(tb testing.TB) { shoaltest.Value(tb, reg, "c_total", "a") }, "each followed by its value"},
		{func(tb testing.TB) { shoaltest.Sum(tb, reg, "c_total", "a", "1") }, "no histogram or summary"},
		{func(tb testing.TB) { shoaltest.Value(tb, shoal.New(), "c_total") }, "not connected"},
	} {
		r := &recorder{TB: t}
		func() {
			defer func() { _ = recover() }()
			tt.ask(r)
		}()
		if !strings.Contains(r.message, tt.want) {
			t.Errorf("the test failed with %q, want %q in it", r.message, tt.want)
		}
	}
}

func TestConnect_ServesTestMain(t *testing.T) {
	reg := shoal.New()
	if err := shoaltest.Connect(reg); err != nil {
		t.Fatal(err)
	}
	reg.NewCounter(shoal.CounterOpts{Name: "c_total"}).Inc()
	if got := shoaltest.Value(t, reg, "c_total"); got != 1 {
		t.Errorf("%v, want 1", got)
	}
	if err := shoaltest.Connect(reg); err == nil {
		t.Error("connected twice")
	}
	if err := reg.Close(context.Background()); err != nil {
		t.Error(err)
	}
}
