// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// pageMarks is the most that any finished scrape of any process has shown.
type pageMarks struct {
	values map[string]map[string]amounts
	epoch  map[string]int // of the family when that was
}

func newPageMarks() pageMarks {
	return pageMarks{values: map[string]map[string]amounts{}, epoch: map[string]int{}}
}

// snapshot is what a scrape must be compared with: how things stood when it
// began.
type snapshot struct {
	begin      time.Time
	stored     map[string]map[string]amounts
	shown      map[string]map[string]amounts
	most       map[string]map[string]amounts // shown over step backs of the store
	epoch      map[string]int
	fall       map[string]int
	damaged    map[string]bool
	keysLost   map[string]int
	owing      map[string]map[*proc]bool // who has something of a family to bring back
	living     map[*proc]bool
	open       map[string]int // of the Total's values, those up to then
	changes    int
	clockMoves int
	calm       bool
}

// snapshot notes how things stand. The caller holds w.mu.
func (w *world) snapshot() snapshot {
	g := snapshot{
		begin: time.Now(), stored: cloneValues(w.ledger.values), shown: map[string]map[string]amounts{}, epoch: map[string]int{},
		most: map[string]map[string]amounts{}, fall: map[string]int{}, owing: map[string]map[*proc]bool{},
		open: map[string]int{}, damaged: map[string]bool{}, keysLost: maps.Clone(w.ledger.keysLost), living: w.ledger.living(), changes: w.ledger.changes, clockMoves: w.clockMoves, calm: w.calm,
	}
	for k, values := range w.ledger.open {
		g.open[k] = len(values)
	}
	for _, family := range summedFamilies {
		g.epoch[family] = w.ledger.epoch[family]
		g.damaged[family] = w.ledger.damaged[family]
		g.fall[family] = w.ledger.fall[family]
		g.owing[family] = w.ledger.owing(family)
		if w.most.epoch[family] == g.fall[family] {
			g.most[family] = w.most.values[family]
		}
		if w.pages.epoch[family] == g.epoch[family] {
			g.shown[family] = w.pages.values[family] // replaced, never changed
		}
	}
	return g
}

// scrape asks the process for its page in a goroutine of its own, over HTTP or
// as a Gatherer, and checks what it shows.
func (p *proc) scrape(http bool) {
	w := p.w
	w.callers.Go(func() {
		w.mu.Lock()
		g := w.snapshot()
		w.mu.Unlock()
		families, err := p.page(http)
		w.mu.Lock()
		defer w.mu.Unlock()
		w.mark("%v was scraped: %v families, %v", p, len(families), err)
		if err == nil {
			w.checkPage(p, g, newShown(w, families))
		} else if g.calm && p.life == alive && !w.mayRecover(err) {
			w.violated("%v: nothing is wrong, and a scrape failed: %v", p, err)
		}
	})
}

// mayRecover says whether a page may still be held back after a step back.
func (w *world) mayRecover(err error) bool {
	// Where nobody lives, the reader is the first to notice, and waits a little.
	return strings.Contains(err.Error(), "recovering: ") && (len(w.ledger.living()) == 0 ||
		time.Since(w.ledger.moved.at) < 2*w.plan.opts.LeaseDuration+2*DefScrapeTimeout)
}

// page reads the process's page.
func (p *proc) page(overHTTP bool) (map[string]*dto.MetricFamily, error) {
	if overHTTP {
		rec := httptest.NewRecorder()
		p.reg.Handler(HandlerOpts{}).ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/metrics", nil))
		if rec.Code != http.StatusOK {
			return nil, errorText(rec.Body.String())
		}
		parser := expfmt.NewTextParser(model.LegacyValidation)
		return parser.TextToMetricFamilies(strings.NewReader(rec.Body.String()))
	}
	list, err := p.reg.Gather()
	families := make(map[string]*dto.MetricFamily, len(list))
	for _, f := range list {
		families[f.GetName()] = f
	}
	return families, err
}

type errorText string

func (e errorText) Error() string { return string(e) }

// shown is what a page shows of the user's families.
type shown struct {
	values map[string]map[string]amounts // of the families that add up, by label
	gauges map[string]map[string]float64 // by the labels' values
}

func newShown(w *world, families map[string]*dto.MetricFamily) shown {
	s := shown{values: map[string]map[string]amounts{}, gauges: map[string]map[string]float64{}}
	for _, name := range summedFamilies {
		f := families[name]
		if f == nil {
			continue
		}
		series := make(map[string]amounts, len(f.Metric))
		s.values[name] = series
		for _, m := range f.Metric {
			k := labelText(m.Label)
			if _, twice := series[k]; twice {
				w.violated("the page has %s %q twice", name, k)
			}
			series[k] = w.amountsOf(name, m)
		}
	}
	for _, name := range []string{"level", "load", "last", "shoal_instance_info"} {
		f := families[name]
		if f == nil {
			continue
		}
		series := make(map[string]float64, len(f.Metric))
		s.gauges[name] = series
		for _, m := range f.Metric {
			k := labelText(m.Label)
			if name == "shoal_instance_info" { // the host tells the index apart already
				k = labelText(m.Label[:1])
			}
			if _, twice := series[k]; twice {
				w.violated("the page has %s with the index %q twice", name, k)
			}
			series[k] = m.GetGauge().GetValue()
		}
	}
	return s
}

func labelText(labels []*dto.LabelPair) string {
	if len(labels) == 1 {
		return labels[0].GetValue()
	}
	var parts []string
	for _, l := range labels {
		parts = append(parts, l.GetName(), l.GetValue())
	}
	return strings.Join(parts, " ")
}

// amountsOf reads a series and checks that its parts belong together.
func (w *world) amountsOf(name string, m *dto.Metric) (a amounts) {
	sum := 0.0
	switch {
	case m.Counter != nil:
		return amounts{m.Counter.GetValue()}
	case m.Gauge != nil:
		return amounts{m.Gauge.GetValue()}
	case m.Summary != nil:
		a[0], a[1] = m.Summary.GetSampleSum(), float64(m.Summary.GetSampleCount())
		sum = a[1] * sizeObserved
	case m.Histogram != nil:
		a[0] = m.Histogram.GetSampleSum()
		before := uint64(0)
		for i, b := range m.Histogram.Bucket {
			n := b.GetCumulativeCount()
			if n < before {
				w.violated("the buckets of %s fall: %v", name, m)
			}
			a[1+i] = float64(n - before)
			sum += a[1+i] * observations[i]
			before = n
		}
		if before != m.Histogram.GetSampleCount() {
			w.violated("the buckets of %s have %d, the count is %d", name, before, m.Histogram.GetSampleCount())
		}
	}
	if a[0] != sum {
		w.violated("sum and counts of %s do not belong together: %v", name, m)
	}
	return a
}
