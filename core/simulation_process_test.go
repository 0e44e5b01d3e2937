// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/shoal-metrics/shoal/core/internal/wire"
)

// The families whose values add up in the store. No process deletes series of kept.
const (
	keptFamily    = "kept_total"
	churnFamily   = "churn_total"
	secondsFamily = "seconds"
	sizeFamily    = "size"
	openFamily    = "open" // a Total gauge: it falls, too
	lostFamily    = "shoal_lost_batches_total"
)

var (
	addingFamilies = []string{keptFamily, churnFamily, secondsFamily, sizeFamily} // whose values only rise
	summedFamilies = append(slices.Clone(addingFamilies), openFamily)
)

func addsUp(family string) bool { return slices.Contains(summedFamilies, family) }

// labelValues are those of the families' one label. Each of the observations has a bucket
// of its own, so that a histogram's buckets tell its sum.
var (
	labelValues  = []string{"a", "b", "c", "d"}
	observations = []float64{1, 2, 4, 8}
	upperBounds  = []float64{1, 2, 4}
)

const sizeObserved = 3 // always, so that the sum of sizes tells their count

// life is what became of a process.
type life int

const (
	alive life = iota
	closing
	closed // and all was delivered
	dead   // killed, or closed with something left
)

// proc is a process of the simulation. What the driver alone uses has no lock;
// what is guarded by w.mu says so.
type proc struct {
	w        *world
	number   int
	reg      *Registry
	link     *link
	readOnly bool
	index    *int
	life     life // guarded by w.mu
	frozen   bool
	oldChild *Counter // of churn, perhaps from before a deletion

	kept, churn *CounterVec
	seconds     *HistogramVec
	size        *Summary
	level       *Gauge    // per process
	load        *Gauge    // summed
	last        *Gauge    // Latest
	open        *GaugeVec // Total
	crowd       *CounterVec
	state       *GaugeVec // Latest

	id       string               // of the writer; guarded by w.mu
	leased   int                  // the index that it got last; guarded by w.mu
	heldAt   time.Time            // its last heartbeat; guarded by w.mu
	leasedAt time.Time            // its last heartbeat that the store answered with a new lease; guarded by w.mu
	sent     sums                 // what its batches hold; guarded by w.mu
	lostTold float64              // what its batches tell of lost batches; guarded by w.mu
	books    books                // guarded by w.mu
	acked    map[string]time.Time // when the first batch of a family was; guarded by w.mu

	told  map[seriesKey]toldGone  // the series that it was told are gone; guarded by w.mu
	named map[seriesKey]time.Time // when a new batch had a series last; guarded by w.mu

	added  sums             // what was counted, less what a deletion dropped
	levels map[float64]bool // every value of its gauge level; guarded by w.mu
	newest float64          // the last of them
}

// start makes one more process and connects it.
func (w *world) start(readOnly bool, index *int) *proc {
	w.number++
	p := &proc{
		w: w, number: w.number, reg: New(), readOnly: readOnly, index: index,
		sent: sums{}, acked: map[string]time.Time{}, added: sums{}, levels: map[float64]bool{},
		told: map[seriesKey]toldGone{}, named: map[seriesKey]time.Time{},
	}
	r, keeps := p.reg, w.plan.retentions
	if !readOnly {
		p.kept = r.NewCounterVec(CounterOpts{Name: keptFamily, Retention: keeps[keptFamily]}, []string{"k"})
		p.churn = r.NewCounterVec(CounterOpts{Name: churnFamily, Retention: keeps[churnFamily]}, []string{"k"})
		p.seconds = r.NewHistogramVec(HistogramOpts{Name: secondsFamily, Buckets: upperBounds, Retention: keeps[secondsFamily]}, []string{"k"})
		p.size = r.NewSummary(SummaryOpts{Name: sizeFamily, Retention: keeps[sizeFamily]})
		p.level = r.NewGauge(GaugeOpts{Name: "level", Expire: 2 * w.plan.opts.RefreshPeriod})
		p.load = r.NewGauge(GaugeOpts{Name: "load", Mode: Sum, Expire: 2 * w.plan.opts.RefreshPeriod})
		p.last = r.NewGauge(GaugeOpts{Name: "last", Mode: Latest})
		if w.plan.totals {
			p.open = r.NewGaugeVec(GaugeOpts{Name: openFamily, Mode: Total, Retention: keeps[openFamily]}, []string{"k"})
		}
		if w.plan.removal {
			p.declareRemoval()
		}
		if w.plan.functions {
			r.NewGaugeFunc(GaugeOpts{Name: "answer", Expire: 2 * w.plan.opts.RefreshPeriod}, func() float64 { return 42 })
		}
	}
	opts := w.plan.opts
	opts.ReadOnly, opts.Index = readOnly, index
	opts.Host = fmt.Sprintf("host-%d", p.number)
	err := p.connect(opts, func(app string) wire.Store {
		p.link = &link{w: w, p: p, store: w.server.Store(app)}
		return p.link
	})
	if err != nil {
		w.t.Fatal(err)
	}
	w.procs = append(w.procs, p)
	return p
}

// toldLost notes what a batch tells of lost batches. The caller holds w.mu.
func (p *proc) toldLost(ops []wire.Op) {
	for _, op := range ops {
		if op.Kind == wire.OpAdd {
			p.lostTold += parseAmounts(op.Value)[0]
		}
	}
}

// count lets some events happen in the process.
func (p *proc) count(d *rng) {
	for range 1 + d.below(4) {
		k := pick(d, labelValues[:p.w.labels])
		switch d.below(6) {
		case 0, 1:
			p.add(keptFamily, k, float64(1+d.below(5)))
		case 2:
			p.add(churnFamily, k, float64(1+d.below(5)))
		case 3, 4:
			v := pick(d, observations)
			p.seconds.WithLabelValues(k).Observe(v)
			p.added.add(secondsFamily, k, observed(v))
		case 5:
			p.size.Observe(sizeObserved)
			p.added.add(sizeFamily, "", amounts{sizeObserved, 1})
		}
	}
	if d.percent(30) {
		p.setLevel(float64(p.number*1000 + d.below(1000)))
	}
	if d.percent(10) {
		p.last.Set(float64(p.number))
	}
	if p.w.plan.totals && d.percent(60) {
		k, v := pick(d, labelValues[:p.w.labels]), float64(d.below(9)-4)
		p.open.WithLabelValues(k).Add(v)
		p.added.add(openFamily, k, amounts{v})
	}
}

// observed is one observation as amounts.
func observed(v float64) (a amounts) {
	a[0] = v
	a[1+slices.Index(observations, v)] = 1
	return a
}

func (p *proc) setLevel(v float64) {
	p.level.Set(v)
	p.load.Set(float64(p.number))
	p.w.mu.Lock()
	p.levels[v] = true
	p.newest = v
	p.w.mu.Unlock()
}

func (p *proc) add(family, k string, v float64) {
	c := p.counter(family, k)
	c.Add(v)
	p.added.add(family, k, amounts{v})
}

func (p *proc) counter(family, k string) *Counter {
	if family == keptFamily {
		return p.kept.WithLabelValues(k)
	}
	c := p.churn.WithLabelValues(k)
	if k == labelValues[0] {
		if p.oldChild == nil {
			p.oldChild = c
		}
		return p.oldChild // a deletion does not end it
	}
	return c
}

// addSync adds and waits, in a goroutine of its own, and checks the total.
func (p *proc) addSync(k string, v float64, patience time.Duration) {
	p.added.add(keptFamily, k, amounts{v})
	w, c := p.w, p.kept.WithLabelValues(k)
	w.callers.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		w.mu.Lock()
		before, fallen := w.ledger.values[keptFamily][k], w.ledger.falls[keptFamily].any
		w.mu.Unlock()
		total, err := c.AddSync(ctx, v)
		w.mu.Lock()
		defer w.mu.Unlock()
		w.mark("%v has an answer: %v, %v", p, total, err != nil)
		after := w.ledger.values[keptFamily][k]
		if err == nil && fallen == w.ledger.falls[keptFamily].any && (total < v || total < before[0] || total > after[0]) {
			w.violated("%v: the total after AddSync is %v, before it was %v and now it is %v", p, total, before[0], after[0])
		}
	})
}

// delete deletes series in one of the three ways. What the process had counted
// and not frozen goes with them.
func (p *proc) delete(d *rng) fault {
	k := pick(d, labelValues[:p.w.labels])
	way := d.below(3)
	if p.w.plan.totals && d.percent(50) {
		return deleteOf(p, openFamily, p.open, k, way)
	}
	return deleteOf(p, churnFamily, p.churn, k, way)
}

// The ways to delete series.
const (
	deleteOne = iota
	deleteMatching
	deleteAll
)

func deleteOf[M Counter | Gauge](p *proc, family string, v *Vec[M], k string, way int) fault {
	eachUnsent(v, func(label string, n float64) {
		if way == deleteAll || label == k {
			p.added.add(family, label, amounts{-n})
		}
	})
	switch way {
	case deleteOne:
		v.DeleteLabelValues(k)
		return faultSeriesDeleted
	case deleteMatching:
		v.DeletePartialMatch(Labels{"k": k})
		return faultSeriesDeletedInPart
	}
	v.Reset()
	return faultFamilyReset
}

// running says whether the process can do something.
func (p *proc) running() bool {
	p.w.mu.Lock()
	defer p.w.mu.Unlock()
	return p.life == alive && !p.frozen
}

// kill ends the process as kill -9 does: what it had sent is still under way.
func (p *proc) kill() {
	p.thaw()
	p.w.mu.Lock()
	p.life, p.link.dead = dead, true
	p.w.mu.Unlock()
	kill(p.w.t, p.reg)
}

// close closes the process in a goroutine of its own.
func (p *proc) close(patience time.Duration) {
	w := p.w
	w.mu.Lock()
	p.life = closing
	w.mu.Unlock()
	w.callers.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		begin := time.Now()
		err := p.reg.Close(ctx)
		took := time.Since(begin)
		w.mu.Lock()
		defer w.mu.Unlock()
		w.mark("%v is closed after %v: %v", p, took, err != nil)
		if took > patience {
			w.violated("%v: Close took %v of %v", p, took, patience)
		}
		p.life = dead
		if err == nil {
			p.life = closed
			p.checkDelivered()
		}
	})
}

// freeze stops everything in the process, as SIGSTOP does: none of its calls
// comes back.
func (p *proc) freeze() {
	p.w.mu.Lock()
	p.link.frozen = make(chan struct{})
	p.w.mu.Unlock()
	p.frozen = true
}

func (p *proc) thaw() {
	p.w.mu.Lock()
	if p.link.frozen != nil {
		close(p.link.frozen)
		p.link.frozen = nil
	}
	p.w.mu.Unlock()
	p.frozen = false
}
