// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"strings"
	"testing"
	"time"

	"github.com/shoal-metrics/shoal/core/internal/memstore"
)

func TestOpts_RefusesWhatMakesNoSense(t *testing.T) {
	negative := -1
	tests := []struct {
		name  string
		opts  Opts
		words []string
	}{
		{"no app", Opts{}, []string{"Opts.App", "empty"}},
		{"opening brace", Opts{App: "a{b"}, []string{`"a{b"`, "braces"}},
		{"closing brace", Opts{App: "a}b"}, []string{"braces"}},
		{"slash", Opts{App: "a/b"}, []string{"slashes"}},
		{"space", Opts{App: "a b"}, []string{"spaces"}},
		{"newline", Opts{App: "a\n"}, []string{"control"}},
		{"no UTF-8", Opts{App: "a\xff"}, []string{"Opts.App"}},
		{"negative index", Opts{App: "a", Index: &negative}, []string{"Opts.Index", "-1"}},
		{"negative limit", Opts{App: "a", SeriesLimit: -5}, []string{"SeriesLimit", "-5"}},
		{"negative retention", Opts{App: "a", Retention: -time.Hour}, []string{"Retention", "KeepForever"}},
		{"retention that ends between refreshes", Opts{App: "a", Retention: 59 * time.Second}, []string{"Retention", "59s", "RefreshPeriod", "30s"}},
		{"negative interval", Opts{App: "a", Interval: -time.Second}, []string{"Interval", "-1s"}},
		{"tiny interval", Opts{App: "a", Interval: time.Microsecond}, []string{"Interval", "1ms"}},
		{"negative refresh", Opts{App: "a", RefreshPeriod: -1}, []string{"RefreshPeriod"}},
		{"short lease", Opts{App: "a", LeaseDuration: time.Millisecond}, []string{"LeaseDuration"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := New()
			mentions(t, r.connect(tt.opts, memstore.New().Store, nil), append(tt.words, "shoal: ")...)
			if r.conn.Load() != nil {
				t.Error("the registry is connected all the same")
			}
		})
	}
}

func TestOpts_DefaultsAreTheDocumentedOnes(t *testing.T) {
	o, err := Opts{App: "größe-1.x:y"}.complete()
	if err != nil {
		t.Fatal(err)
	}
	if o.Interval != DefInterval || o.RefreshPeriod != DefRefreshPeriod || o.LeaseDuration != DefLeaseDuration ||
		o.SeriesLimit != DefSeriesLimit || o.Retention != DefRetention || o.Logger == nil {
		t.Errorf("%+v", o)
	}
	if o, _ := (Opts{App: "a", Retention: KeepForever}).complete(); o.Retention != KeepForever {
		t.Errorf("KeepForever became %v", o.Retention)
	}
}

func TestOpts_RefreshPeriodStaysBelowTheSmallestExpiry(t *testing.T) {
	server := memstore.New()
	declare := func() *Registry {
		r := New()
		r.NewGauge(GaugeOpts{Name: "long", Expire: time.Hour})
		r.NewGauge(GaugeOpts{Name: "short", Expire: 20 * time.Second})
		r.NewGauge(GaugeOpts{Name: "last", Expire: time.Second, Mode: Latest}) // not refreshed
		return r
	}
	for _, period := range []time.Duration{0, 20 * time.Second, 21 * time.Second} {
		err := declare().connect(Opts{App: "shop", RefreshPeriod: period}, server.Store, nil)
		mentions(t, err, `"short"`, "20s", "RefreshPeriod")
		if strings.Contains(err.Error(), "long") {
			t.Errorf("%v: the wrong gauge is blamed", err)
		}
	}
	r := declare()
	connectTo(t, server, r, Opts{RefreshPeriod: 19 * time.Second})
	_, err := r.RegisterGauge(GaugeOpts{Name: "late", Expire: 19 * time.Second})
	mentions(t, err, `"late"`, "19s")
	if _, err := r.RegisterGauge(GaugeOpts{Name: "late", Expire: 20 * time.Second}); err != nil {
		t.Error(err)
	}
}

// Shoal's own gauges don't forbid a period that suits all of the user's.
func TestOpts_RefreshPeriodMayExceedTheDefaultExpiry(t *testing.T) {
	r := New()
	r.NewGauge(GaugeOpts{Name: "slow", Expire: time.Hour})
	connectTo(t, memstore.New(), r, Opts{RefreshPeriod: 10 * time.Minute})
}

func TestConnect_OnceAndNotAfterClose(t *testing.T) {
	server := memstore.New()
	r := process(t, server, Opts{})
	mentions(t, r.connect(Opts{App: "other"}, server.Store, nil), "already connected", `"shop"`)
	closed := New()
	if err := closed.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if err := closed.connect(Opts{App: "shop"}, server.Store, nil); err != ErrClosed {
		t.Errorf("connecting a closed registry returns %v, want ErrClosed", err)
	}
}
