// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoal-metrics/shoal/core/internal/memstore"
)

func TestRetention_OfAMetricGoesBeforeThatOfTheRegistry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := memstore.New()
		r := process(t, server, calm)
		declare := func(r *Registry, retention time.Duration, name string) *CounterVec {
			return r.NewCounterVec(CounterOpts{Name: name, Retention: retention}, []string{"k"})
		}
		for name, retention := range map[string]time.Duration{"usual_total": 0, "long_total": 12 * time.Hour, "kept_total": KeepForever} {
			declare(r, retention, name)
			p := process(t, server, calm)
			declare(p, retention, name).WithLabelValues("1").Inc()
			flush(t, p)
			kill(t, p)
		}
		elapse(6 * time.Hour)
		stored(t, server).want(t, samples{`long_total{k="1"}`: 1, `kept_total{k="1"}`: 1})
		elapse(24 * time.Hour)
		stored(t, server).want(t, samples{`kept_total{k="1"}`: 1})
		if n := stored(t, server); len(n) != 1 {
			t.Errorf("the page has %v", n)
		}
	})
}

func TestRetention_OfAMetricIsChecked(t *testing.T) {
	r := New()
	declare := func(retention time.Duration) error {
		_, err := r.RegisterCounter(CounterOpts{Name: "c_total", Retention: retention})
		return err
	}
	if err := declare(-time.Hour); err == nil || !strings.Contains(err.Error(), "KeepForever") {
		t.Errorf("a negative retention: %v", err)
	}
	if _, err := r.RegisterGauge(GaugeOpts{Name: "g", Retention: time.Hour}); err == nil || !strings.Contains(err.Error(), "leave it out") {
		t.Errorf("a retention of a process's gauge: %v", err)
	}
	if err := declare(time.Minute); err != nil {
		t.Error(err)
	}
	if err := declare(time.Hour); err == nil || !strings.Contains(err.Error(), "retention 1m0s") {
		t.Errorf("another retention of the same metric: %v", err)
	}
	err := r.connect(Opts{App: "shop", RefreshPeriod: time.Minute}, memstore.New().Store, nil)
	if err == nil || !strings.Contains(err.Error(), "RefreshPeriod") {
		t.Errorf("a retention that ends between refreshes: %v", err)
	}
}
