// SPDX-License-Identifier: Apache-2.0

package behaviour_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	shoal "github.com/shoal-metrics/shoal/core"

	"github.com/shoal-metrics/shoal/core/tests/testkit"
)

// However versions declare the same names, and in whatever order their processes start and end:
// the page stays valid and the same from all processes, no counter falls, and every total is
// exact. To run a failing seed again, run the subtest of its name.
func TestDeploy_AnyMixOfDefinitions(t *testing.T) {
	t.Parallel()
	for seed := range uint64(8) {
		t.Run("seed "+strconv.FormatUint(seed, 10), func(t *testing.T) { newMix(t, seed).run(40) })
	}
}

// mix is a random schedule of processes of random versions, and a model of what Redis has
// after it.
type mix struct {
	t        *testing.T
	rng      *rand.Rand
	f        *fleet
	versions []version
	living   []*mixed
	reader   *shoal.Registry
	rises    testkit.Rising

	kinds  map[string]string    // the type of each family, of the process that flushed it first
	totals map[string]*expected // by series
	open   map[string]float64   // what was added in mode Total, by series
	bounds map[string][]string  // those that any version declares, by family
}

// mixed is a process of one version.
type mixed struct {
	reg     *shoal.Registry
	version version
	write   []func(v float64, values ...string)
}

// expected is what a series has to show; of a counter only the sum.
type expected struct {
	sum    float64
	count  float64
	stored map[float64]float64 // observations, by the bound that counted them
}

func newMix(t *testing.T, seed uint64) *mix {
	m := &mix{
		t: t, rng: rand.New(rand.NewPCG(seed, 5)), f: newFleet(t), rises: testkit.Rising{},
		kinds: map[string]string{}, totals: map[string]*expected{}, open: map[string]float64{}, bounds: map[string][]string{},
	}
	m.reader = m.f.reader(t)
	for range 4 {
		m.versions = append(m.versions, m.version())
	}
	return m
}

// version draws up to six metrics, each of any kind, with any labels, bounds,
// help and mode. No name is that of another metric's samples.
func (m *mix) version() version {
	var v version
	for _, name := range []string{"alpha", "beta", "gamma", "delta", "epsilon", "zeta"} {
		if m.rng.IntN(4) == 0 {
			continue // this version has no such metric
		}
		d := declared{Name: name, Help: []string{"", "One.", "Two \\ \"and\n more."}[m.rng.IntN(3)]}
		d.Kind = []string{"counter", "histogram", "histogram", "summary", "gauge"}[m.rng.IntN(5)]
		for _, l := range []string{"a", "b", "c"} {
			if m.rng.IntN(3) == 0 {
				d.Labels = append(d.Labels, l)
			}
		}
		switch d.Kind {
		case "gauge":
			d.Mode = []string{"", "sum", "max", "min", "avg", "latest", "total"}[m.rng.IntN(7)]
		case "histogram":
			for _, b := range []float64{-1, 0, 0.25, 1, 1.0000000000000002, 3, 1e6} {
				if m.rng.IntN(2) == 0 {
					d.Buckets = append(d.Buckets, b)
				}
			}
			if d.Buckets == nil {
				d.Buckets = []float64{2}
			}
			m.bounds[name] = append(m.bounds[name], fmt.Sprint(d.Buckets))
		}
		v = append(v, d)
	}
	return v
}

func (m *mix) run(steps int) {
	for range steps {
		switch n := m.rng.IntN(10); {
		case len(m.living) == 0, n == 0 && len(m.living) < 5:
			m.start()
		case n == 1 && len(m.living) > 1:
			m.end(m.rng.IntN(len(m.living)))
		default:
			m.work(m.living[m.rng.IntN(len(m.living))])
		}
		if m.check(); m.t.Failed() {
			return
		}
	}
	for len(m.living) > 0 {
		m.end(0)
	}
	m.check()
	m.checkOpen()
}

func (m *mix) start() {
	p := &mixed{reg: shoal.New(), version: m.versions[m.rng.IntN(len(m.versions))]}
	for _, d := range p.version {
		p.write = append(p.write, d.declare(p.reg))
	}
	testkit.Must(m.t, p.reg.Connect(m.f.connect(m.t), m.f.quick()))
	m.t.Cleanup(func() { _ = p.reg.Close(gone()) })
	m.flush(p)
	m.living = append(m.living, p)
}

func (m *mix) end(i int) {
	testkit.Check(m.t, clashless(m.living[i].reg.Close(testkit.Within(m.t))))
	m.living = slices.Delete(m.living, i, i+1)
}

// flush flushes, and records the types of families that are new in Redis.
func (m *mix) flush(p *mixed) {
	testkit.Check(m.t, clashless(p.reg.Flush(testkit.Within(m.t))))
	for _, d := range p.version {
		if m.kinds[d.Name] == "" {
			m.kinds[d.Name] = d.Kind
		}
	}
}

// work writes some numbers whose sums are exact.
func (m *mix) work(p *mixed) {
	for range 1 + m.rng.IntN(6) {
		if len(p.version) == 0 {
			break
		}
		i := m.rng.IntN(len(p.version))
		d := p.version[i]
		values := make([]string, len(d.Labels))
		for k := range values {
			values[k] = []string{"", "x", "y"}[m.rng.IntN(3)]
		}
		v := []float64{0, 0.125, 0.25, 1, 1.0000000000000002, 2, 3, 50, 1e7}[m.rng.IntN(9)]
		if d.Kind == "counter" {
			v = float64(int(v))
		}
		if d.Kind == "gauge" && d.Mode == "total" && m.rng.IntN(2) == 0 {
			v = -v
		}
		p.write[i](v, values...)
		switch {
		case m.kinds[d.Name] != d.Kind:
		case d.Kind != "gauge":
			m.expect(d, values, v)
		case d.Mode == "total":
			m.open[seriesOf(d, values)] += v
		}
	}
	m.flush(p)
}

// expect adds a value to the model. A label with an empty value is left out.
func (m *mix) expect(d declared, values []string, v float64) {
	key := seriesOf(d, values)
	e := m.totals[key]
	if e == nil {
		e = &expected{stored: map[float64]float64{}}
		m.totals[key] = e
	}
	e.sum, e.count = e.sum+v, e.count+1
	at, _ := slices.BinarySearch(d.Buckets, v)
	if at < len(d.Buckets) {
		e.stored[d.Buckets[at]]++
	}
}

// seriesOf names a series, with braces even if it has no labels.
func seriesOf(d declared, values []string) string {
	var labels []string
	for k, name := range d.Labels {
		if values[k] != "" {
			labels = append(labels, name+`="`+values[k]+`"`)
		}
	}
	return d.Name + "{" + strings.Join(labels, ",") + "}"
}

// checkOpen wants pages to show what was added to gauges in mode Total, whatever modes their
// names had meanwhile.
func (m *mix) checkOpen() {
	m.t.Helper()
	last := shoal.New()
	for name, kind := range m.kinds {
		if kind == "gauge" {
			last.NewGaugeVec(shoal.GaugeOpts{Name: name, Mode: shoal.Total}, []string{"unused"})
		}
	}
	flush(m.t, m.f.join(m.t, last))
	p := testkit.Scrape(m.t, m.reader)
	for key, want := range m.open {
		if got, ok := p.Value(strings.TrimSuffix(key, "{}")); !ok || got != want {
			m.t.Errorf("%s is %v, want %v\nthe page:\n%s", key, got, want, p.Users())
		}
	}
}

// check scrapes two processes and compares both pages with the model.
func (m *mix) check() {
	m.t.Helper()
	answering := []*shoal.Registry{m.reader}
	if len(m.living) > 0 {
		answering = append(answering, m.living[m.rng.IntN(len(m.living))].reg)
	}
	var pages []testkit.Page
	for _, reg := range answering {
		p, err := testkit.TryScrape(reg)
		if err == nil {
			err = errors.Join(m.rises.Check(p), m.matches(p))
		}
		if err != nil {
			m.t.Errorf("%v\nthe page:\n%s", err, p.Users())
			return
		}
		pages = append(pages, p)
	}
	first, last := pages[0], pages[len(pages)-1]
	// If two processes are equally young, the page shows the definition of the one that
	// registered last, and each registers at its refresh.
	for tries := 0; first.Users() != last.Users() && tries < 20; tries++ {
		first, last = testkit.Scrape(m.t, m.reader), testkit.Scrape(m.t, answering[len(answering)-1])
	}
	if first.Users() != last.Users() {
		m.t.Errorf("two processes serve\n%s\nand\n%s", first.Users(), last.Users())
	}
}

func (m *mix) matches(p testkit.Page) error {
	for key, e := range m.totals {
		name, labels, _ := strings.Cut(key, "{")
		series := func(suffix, extra string) string {
			all := strings.Trim(strings.TrimSuffix(labels, "}")+extra, ",")
			if all == "" {
				return name + suffix
			}
			return name + suffix + "{" + all + "}"
		}
		if m.kinds[name] == "counter" {
			if got, ok := p.Value(series("", "")); !ok || got != e.sum {
				return fmt.Errorf("%s is %v, want %v", key, got, e.sum)
			}
			continue
		}
		sum, _ := p.Value(series("_sum", ""))
		count, ok := p.Value(series("_count", ""))
		if !ok || !closeTo(sum, e.sum) || count != e.count {
			return fmt.Errorf("%s has %v in %v, want %v in %v", key, sum, count, e.sum, e.count)
		}
		if m.kinds[name] != "histogram" {
			continue
		}
		// Whichever version's bounds are shown: each counts what was stored at or
		// below it.
		var shown []float64
		for sample := range p.Samples {
			rest, isBucket := strings.CutPrefix(sample, name+"_bucket{")
			at := strings.LastIndex(rest, `le="`)
			if !isBucket || strings.Trim(rest[:at], ",")+"}" != labels {
				continue
			}
			le, err := strconv.ParseFloat(strings.TrimSuffix(rest[at+4:], `"}`), 64)
			if err != nil {
				return err
			}
			want := 0.0
			for bound, n := range e.stored {
				if bound <= le {
					want += n
				}
			}
			if le > 1e300 {
				want = e.count
			} else {
				shown = append(shown, le)
			}
			if got, _ := p.Value(sample); got != want {
				return fmt.Errorf("%s is %v, want %v", sample, got, want)
			}
		}
		slices.Sort(shown)
		if !slices.Contains(m.bounds[name], fmt.Sprint(shown)) {
			return fmt.Errorf("%s has the bounds %v, which no version declares: %q", key, shown, m.bounds[name])
		}
	}
	return nil
}

// closeTo ignores differences by the order in which a sum was added up.
func closeTo(a, b float64) bool { return a-b < 1e-6 && b-a < 1e-6 }
