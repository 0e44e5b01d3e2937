// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"cmp"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// highWater is the most that finished scrapes of any process have shown of a family.
type highWater struct {
	values  map[string]amounts
	forGood int // how often the family had fallen for good
}

// noteShown notes what a page showed of a family.
func (w *world) noteShown(family string, page map[string]amounts) {
	m := highWater{map[string]amounts{}, w.ledger.falls[family].forGood}
	if old := w.most[family]; old.forGood == m.forGood {
		maps.Copy(m.values, old.values)
	}
	for k, a := range page {
		if old := m.values[k]; old.below(a) {
			m.values[k] = a
		}
	}
	w.most[family] = m
}

// snapshot is what a scrape must be compared with: how things stood when it began.
type snapshot struct {
	begin      time.Time
	stored     sums
	most       map[string]map[string]amounts // shown by any page, also before a step back
	falls      map[string]falls
	damaged    map[string]bool
	owing      map[string]map[*proc]bool // the processes that have something of a family to bring back
	living     map[*proc]bool
	total      map[string]int // how many values the Total had had
	lives      map[seriesKey]seriesLife
	changes    int
	clockMoves int
	calm       bool
}

// snapshot notes how things stand. The caller holds w.mu.
func (w *world) snapshot() snapshot {
	l := &w.ledger
	start := snapshot{
		begin: time.Now(), stored: l.values.clone(), most: map[string]map[string]amounts{},
		falls: maps.Clone(l.falls), damaged: maps.Clone(l.damaged), owing: map[string]map[*proc]bool{},
		living: l.living(), total: map[string]int{}, lives: maps.Clone(l.lives), changes: l.changes, clockMoves: w.clockMoves, calm: w.calm,
	}
	for k, values := range l.total {
		start.total[k] = len(values)
	}
	for _, family := range summedFamilies {
		start.owing[family] = l.owing(family)
		if m := w.most[family]; m.forGood == start.falls[family].forGood {
			start.most[family] = m.values // replaced, never changed
		}
	}
	return start
}

// scrape asks the process for its page in a goroutine of its own, over HTTP or
// as a Gatherer, and checks what it shows.
func (p *proc) scrape(http bool) {
	w := p.w
	w.callers.Go(func() {
		w.mu.Lock()
		start := w.snapshot()
		w.mu.Unlock()
		own := http && !p.readOnly // it is a target
		var families map[string]*dto.MetricFamily
		var err error
		if own {
			families, err = p.ownPage()
		} else {
			families, err = p.page(http)
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		w.mark("%v was scraped: %v families, %v", p, len(families), err)
		if err == nil && own {
			w.checkOwnPage(p, start, families)
		} else if err == nil {
			w.checkPage(p, start, newShown(w, families))
		} else if start.calm && p.life == alive && !w.mayRecover(err) {
			w.violated("%v: nothing is wrong, and a scrape failed: %v", p, err)
		}
	})
}

// mayRecover says whether a page may still be held back after a step back.
func (w *world) mayRecover(err error) bool {
	// Where no process lives, the reader is the first to notice, and waits a little. After the
	// clock was set back by days, a reader that was idle takes an old loss for a new one.
	return strings.Contains(err.Error(), "recovering: ") && (w.plan.days || len(w.ledger.living()) == 0 ||
		time.Since(w.ledger.stepped.at) < 2*w.plan.opts.LeaseDuration+2*DefScrapeTimeout)
}

// page reads the process's page.
func (p *proc) page(overHTTP bool) (map[string]*dto.MetricFamily, error) {
	if overHTTP {
		return p.get(HandlerOpts{})
	}
	list, err := p.reg.Gather()
	families := make(map[string]*dto.MetricFamily, len(list))
	for _, f := range list {
		families[f.GetName()] = f
	}
	return families, err
}

// ownPage reads the page that the process has as a target.
func (p *proc) ownPage() (map[string]*dto.MetricFamily, error) {
	return p.get(HandlerOpts{EachProcess: true})
}

func (p *proc) get(opts HandlerOpts) (map[string]*dto.MetricFamily, error) {
	rec := httptest.NewRecorder()
	p.reg.Handler(opts).ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	if rec.Code != http.StatusOK {
		return nil, errorText(rec.Body.String())
	}
	parser := expfmt.NewTextParser(model.LegacyValidation)
	return parser.TextToMetricFamilies(strings.NewReader(rec.Body.String()))
}

type errorText string

func (e errorText) Error() string { return string(e) }

// shown is what a page shows of the user's families.
type shown struct {
	values sums                          // of the families that add up
	gauges map[string]map[string]float64 // by the labels' values
	counts map[string]int                // how many series each family has
	starts map[seriesKey]int64           // of the series that add up, in microseconds, where the page tells one
}

func newShown(w *world, families map[string]*dto.MetricFamily) shown {
	s := shown{values: sums{}, gauges: map[string]map[string]float64{}, counts: map[string]int{}, starts: map[seriesKey]int64{}}
	for name, f := range families {
		s.counts[name] = len(f.Metric)
	}
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
			if start := cmp.Or(m.GetCounter().GetCreatedTimestamp(), m.GetSummary().GetCreatedTimestamp(), m.GetHistogram().GetCreatedTimestamp()); start != nil {
				s.starts[seriesKey{name, k}] = start.AsTime().UnixMicro()
			}
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
			if name == "shoal_instance_info" { // gauge_index alone, so that two processes under one index are noticed
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
