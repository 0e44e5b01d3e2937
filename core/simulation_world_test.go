// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoal-metrics/shoal/core/internal/memstore"
)

// world is one run of the simulation. Its driver is the bubble's main goroutine: it does
// one thing at a time, and waits until everything is at rest.
type world struct {
	t      *testing.T
	seed   uint64
	rng    rng // of the driver alone
	plan   plan
	server *memstore.Server
	began  time.Time

	procs    []*proc
	watcher  *proc // reads only
	number   int   // of the processes so far
	labels   int   // how many label values are in use
	saved    []*savedState
	events   []event // of the driver, by time
	inFlight sync.WaitGroup
	callers  sync.WaitGroup

	mu         sync.Mutex // held while a request is applied; guards all below
	ledger     ledger
	faultRate  int  // percent of calls that go wrong
	down       bool // nobody can reach the store
	calm       bool // nothing goes wrong any more
	ahead      time.Duration
	clockMoves int
	behind     time.Duration        // all jumps back, by which gauges of the dead are shown for longer
	most       map[string]highWater // by family
	faults     [faultKinds]int
	violations []string
	hash       uint64
	trace      *strings.Builder // nil unless wanted
}

// plan is what a seed may do. Each allows some of the faults, so that promises that hold
// only without the others are tested too.
type plan struct {
	opts      Opts
	processes int
	steps     int
	faultRate int // the worst
	outages   bool
	rollback  bool // failovers and restarts from older states
	wipes     bool
	restarts  bool // without data
	hidden    bool // the store never tells its lineage
	keyLoss   bool
	clock     bool
	freezing  bool
	mortal    bool // processes come and go
	deletes   bool
	pauses    bool // minutes of rest
	functions bool // gauge functions, which make a process flush at each heartbeat
	totals    bool // a Total gauge
	heirs     bool // a killed process has a successor that is to have its index

	removal    bool                     // series that no process holds are removed; see planRemoval
	retentions map[string]time.Duration // of the families whose marks the ledger follows, as they are declared
	expire     time.Duration            // of the Latest gauge with labels
	days       bool                     // the clock jumps by days
	marksLoss  bool                     // marks alone are lost
}

func newPlan(d *rng) plan {
	p := plan{
		opts:      Opts{App: "sim", Interval: time.Second, LeaseDuration: 15 * time.Second, RefreshPeriod: 30 * time.Second},
		processes: 2 + d.below(2),
		steps:     25 + d.below(35),
		faultRate: pick(d, []int{0, 5, 20, 40}),
		outages:   d.percent(50),
		rollback:  d.percent(60),
		wipes:     d.percent(15),
		restarts:  d.percent(15),
		hidden:    d.percent(10),
		keyLoss:   d.percent(15),
		clock:     d.percent(25),
		freezing:  d.percent(30),
		mortal:    d.percent(60),
		deletes:   d.percent(50),
		pauses:    d.percent(5),
		functions: d.percent(20),
	}
	if d.percent(60) { // the same, faster
		p.opts.Interval, p.opts.LeaseDuration, p.opts.RefreshPeriod = 300*time.Millisecond, 6*time.Second, 8*time.Second
	}
	p.opts.OnError = func(error) {}
	return p
}

// event is something that the driver does later.
type event struct {
	at time.Time
	do func()
}

func newWorld(t *testing.T, seed uint64, traced bool) *world {
	w := &world{t: t, seed: seed, rng: newRNG(seed), server: memstore.New(), began: time.Now(), labels: 2}
	w.server.LogChanges(int(seed % 3)) // families are small here
	w.plan = newPlan(&w.rng)
	// These are not drawn, so that the other seeds run as before these options.
	w.plan.totals = seed%3 == 0
	w.plan.heirs = seed%4 == 1
	w.plan.retentions = map[string]time.Duration{}
	for _, family := range summedFamilies {
		w.plan.retentions[family] = 0 // that of the registry
	}
	if seed%removalEvery == 0 {
		w.plan.planRemoval(seed)
	}
	w.ledger = newLedger(w)
	if w.plan.hidden {
		w.server.HideLineage(true)
		w.faults[faultHidden]++
	}
	w.ledger.noteLineage()
	w.most = map[string]highWater{}
	if traced {
		w.trace = new(strings.Builder)
	}
	w.mark("the plan is %+v", fmt.Sprintf("%+v", w.plan))
	return w
}

// run lets the fleet live, then lets it come to rest, checks what must hold
// then, and ends it.
func (w *world) run() {
	defer w.end()
	w.save()
	for range w.plan.processes {
		w.start(false, nil)
	}
	w.watcher = w.start(true, nil)
	for range w.plan.steps {
		w.pass(w.rng.between(5*time.Millisecond, 2*w.plan.opts.Interval))
		w.act()
		if !w.well() {
			return
		}
	}
	w.rest()
}

// pass lets time go by, with what is due in it.
func (w *world) pass(d time.Duration) {
	until := time.Now().Add(d)
	for len(w.events) > 0 && w.events[0].at.Before(until) {
		e := w.events[0]
		w.events = w.events[1:]
		time.Sleep(time.Until(e.at))
		synctest.Wait()
		e.do()
		synctest.Wait()
	}
	time.Sleep(time.Until(until))
	synctest.Wait()
}

// later has the driver do something after d.
func (w *world) later(d time.Duration, do func()) {
	e := event{time.Now().Add(d), do}
	at, _ := slices.BinarySearchFunc(w.events, e, func(a, b event) int { return a.at.Compare(b.at) })
	w.events = slices.Insert(w.events, at, e)
}

// act does one of the things that the plan allows.
func (w *world) act() {
	d := &w.rng
	total := 0
	for _, a := range actions {
		if a.allowed == nil || a.allowed(&w.plan) {
			total += a.weight
		}
	}
	n := d.below(total)
	for _, a := range actions {
		if a.allowed != nil && !a.allowed(&w.plan) {
			continue
		}
		if n -= a.weight; n < 0 {
			w.locked(func() { w.mark("%v", a.name) })
			a.do(w, d)
			break
		}
	}
	if d.percent(30) {
		w.save()
	}
	synctest.Wait()
}

// rest ends the trouble and waits until every process must have noticed what
// happened to the store, the idle ones by themselves. Then it checks.
func (w *world) rest() {
	w.pass(0)
	for len(w.events) > 0 { // outages, freezes and partitions end
		w.pass(time.Until(w.events[0].at) + time.Millisecond)
	}
	w.locked(func() {
		w.faultRate, w.calm = 0, true
		w.mark("no more faults")
	})
	w.pass(latest + slowest + callTimeout) // what was under way has arrived, or never will
	w.callers.Wait()
	w.pass(w.plan.opts.RefreshPeriod + maxBackoff + callTimeout + w.behind)
	if !w.well() {
		return
	}
	if w.plan.removal {
		w.checkHeld()
	}
	w.checkRest()
	w.callers.Wait()
	if !w.well() {
		return
	}
	for _, p := range w.procs {
		if p.life == alive && !p.readOnly {
			p.close(10 * time.Second)
		}
	}
	w.callers.Wait()
	w.pass(w.plan.opts.RefreshPeriod*2 + w.plan.opts.LeaseDuration + latest + w.behind)
	if !w.plan.days { // else what the dead left lasts until the clock has caught up
		w.checkEmpty()
	}
}

// end leaves no goroutine behind.
func (w *world) end() {
	for _, p := range w.procs {
		p.thaw()
	}
	w.callers.Wait()
	for _, p := range w.procs {
		if p.readOnly {
			_ = p.reg.Close(w.t.Context()) // delivers nothing
		} else if p.life == alive {
			p.kill()
		}
	}
	w.inFlight.Wait()
}

// well says whether nothing was found to be wrong.
func (w *world) well() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.violations) == 0
}

func (w *world) locked(do func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	do()
}

// serverNow is the store's time. The caller holds w.mu.
func (w *world) serverNow() time.Time { return time.Now().Add(w.ahead) }

// violated notes that something does not hold. The caller holds w.mu.
func (w *world) violated(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	w.mark("VIOLATED: %v", text)
	w.violations = append(w.violations, fmt.Sprintf("after %v: %s", time.Since(w.began), text))
}

// mark adds an event to the run's hash, in which the order of events of one moment makes
// no difference, and to the trace. The caller holds w.mu, or is alone.
func (w *world) mark(format string, args ...any) {
	h := newRNG(uint64(time.Since(w.began)))
	mix := func(n uint64) { h ^= rng(n); h.next() }
	text := func(s string) {
		for i := range len(s) {
			h = (h ^ rng(s[i])) * 0x100000001B3
		}
	}
	text(format)
	for _, a := range args {
		switch a := a.(type) {
		case int:
			mix(uint64(a))
		case string:
			text(a)
		case uint64:
			mix(a)
		case fault:
			mix(uint64(a))
		case *proc:
			mix(uint64(a.number))
		}
	}
	w.hash += h.next()
	if w.trace != nil {
		fmt.Fprintf(w.trace, "%14v  "+format+"\n", append([]any{time.Since(w.began)}, args...)...)
	}
}
