// SPDX-License-Identifier: Apache-2.0

package shoalprom_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	shoalprom "github.com/shoal-metrics/shoal/bridge/prometheus"
	shoal "github.com/shoal-metrics/shoal/core"
	"github.com/shoal-metrics/shoal/core/shoaltest"
)

// FuzzBridge gives the bridge a sequence of what a gatherer may give, sane and not. No counter on the
// page falls, nothing panics, and a counter whose family was always sane has what a model says.
func FuzzBridge(f *testing.F) {
	for _, seed := range []string{
		"", "0123456789", strings.Repeat("\x01", 200), strings.Repeat("\xff", 300), strings.Repeat("\x00\x05\x40\x80\xc0", 60),
	} {
		f.Add([]byte(seed))
	}
	for seed := range uint32(8) {
		f.Add(noise(seed, 600))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		r := &replay{t: t, gen: generator{data: data}, model: counters{}}
		r.run()
	})
}

// noise returns bytes of which nothing is special.
func noise(seed uint32, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		seed = seed*1664525 + 1013904223
		b[i] = byte(seed >> 24)
	}
	return b
}

// replay is one sequence of readings.
type replay struct {
	t       *testing.T
	gen     generator
	given   atomic.Pointer[[]*dto.MetricFamily]
	model   counters
	highest map[string]float64 // by sample, of what must not fall
	reg     *shoal.Registry
}

func (r *replay) run() {
	flags := r.gen.next()
	o := shoalprom.Opts{Period: time.Hour, Quantiles: flags&1 != 0}
	if flags&2 != 0 {
		o.Prefix = "p_"
	}
	if flags&4 != 0 {
		o.Modes = map[string]shoal.Mode{"odd_*": shoal.Latest, "g": shoal.Max}
	}
	r.highest = map[string]float64{}
	r.given.Store(new([]*dto.MetricFamily))
	r.reg = shoal.New()
	opts := shoal.Opts{OnError: func(err error) {
		if strings.Contains(err.Error(), "panicked") {
			r.t.Error(err)
		}
	}}
	must(r.t, shoaltest.NewServer().Connect(r.reg, opts))
	defer func() { must(r.t, r.reg.Close(context.Background())) }()
	from := prometheus.GathererFunc(func() ([]*dto.MetricFamily, error) { return *r.given.Load(), nil })
	stop, err := shoalprom.Bridge(r.reg, from, o)
	must(r.t, err)
	for range 12 {
		if len(r.gen.data) == 0 {
			break
		}
		given := r.gen.families()
		r.model.read(given)
		r.given.Store(&given)
		r.check(o.Prefix)
	}
	stop()
	r.check(o.Prefix)
}

// check looks at the page after a reading. Reading the same once more must change nothing.
func (r *replay) check(prefix string) {
	r.t.Helper()
	must(r.t, r.reg.Flush(r.t.Context()))
	families, err := r.reg.Gather()
	must(r.t, err)
	shown := samples(families)
	for sample, value := range shown {
		if before := r.highest[sample]; value < before {
			r.t.Errorf("%s fell from %v to %v", sample, before, value)
		}
	}
	for sample := range r.highest {
		if _, ok := shown[sample]; !ok {
			r.t.Errorf("%s is gone", sample)
		}
	}
	r.highest = shown
	for series, s := range r.model {
		if s.sane && shown[prefix+series] != s.total {
			r.t.Errorf("%s is %v on the page, want %v", series, shown[prefix+series], s.total)
		}
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// samples returns what may not fall on a page: counters, buckets and counts.
func samples(families []*dto.MetricFamily) map[string]float64 {
	all := map[string]float64{}
	for _, f := range families {
		if strings.HasPrefix(f.GetName(), "shoal_") {
			continue
		}
		for _, m := range f.Metric {
			name := series(f.GetName(), m)
			switch {
			case m.Counter != nil:
				all[name] = m.Counter.GetValue()
			case m.Summary != nil:
				all[name+" count"] = float64(m.Summary.GetSampleCount())
			case m.Histogram != nil:
				all[name+" count"] = float64(m.Histogram.GetSampleCount())
				for _, b := range m.Histogram.Bucket {
					all[fmt.Sprintf("%s le %v", name, b.GetUpperBound())] = float64(b.GetCumulativeCount())
				}
			}
		}
	}
	return all
}

// series is a name and labels in order.
func series(name string, m *dto.Metric) string {
	var labels []string
	for _, l := range m.GetLabel() {
		if l.GetValue() != "" { // an empty label is none
			labels = append(labels, l.GetName()+"="+l.GetValue())
		}
	}
	slices.Sort(labels)
	return fmt.Sprint(name, labels)
}

// counters is the model: what the total of each counter should be.
type counters map[string]*modelled

type modelled struct {
	last, total float64
	sane        bool
}

// read adds what a reading gives of the counters c_total. Only what is simple is modelled: once a
// family of this name is something else, the model knows no more.
func (m counters) read(families []*dto.MetricFamily) {
	seen := map[string]bool{}
	sane := true
	for _, f := range families {
		if f.GetName() != "c_total" {
			continue
		}
		sane = sane && f.GetType() == dto.MetricType_COUNTER && f.Type != nil && f.GetHelp() == "Help." && len(seen) == 0
		for _, s := range f.Metric {
			name := series(f.GetName(), s)
			v := s.GetCounter().GetValue()
			sane = sane && s != nil && s.Counter != nil && s.Counter.Value != nil && v >= 0 && v < 1e6 && !seen[name] &&
				s.Counter.CreatedTimestamp == nil && !odd(s.Label)
			seen[name] = true
			c := m[name]
			if c == nil {
				c = &modelled{sane: true}
				m[name] = c
			}
			if v < c.last {
				c.last = 0
			}
			c.total, c.last = c.total+v-c.last, v
		}
	}
	for _, c := range m {
		c.sane = c.sane && sane
	}
	if !sane { // a series that comes later is not modelled either
		for name := range seen {
			m[name].sane = false
		}
		m["c_total lost"] = &modelled{}
	}
	if m["c_total lost"] != nil {
		for _, c := range m {
			c.sane = false
		}
	}
}

// odd says whether labels are none that client_golang gives.
func odd(labels []*dto.LabelPair) bool {
	seen := map[string]bool{}
	for _, l := range labels {
		if len(l.GetName()) != 1 || !strings.Contains("12", l.GetValue()) || seen[l.GetName()] {
			return true
		}
		seen[l.GetName()] = true
	}
	return false
}
