// SPDX-License-Identifier: Apache-2.0

package page

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoal-metrics/shoal/core/internal/wire"
)

// member is a process of the fixture's app, with a reader of its own.
type member struct {
	*Reader
	f       *fixture
	writer  string
	index   int
	renewed time.Time
	stuck   time.Time // until when the store refuses to renew its lease
	asked   bool      // it is a candidate
	knew    bool      // when the leases were lost, its reader knew who was the senior
}

func (f *fixture) enter(writer string) *member {
	m := &member{f: f, writer: writer, index: wire.NoIndex, renewed: time.Now()}
	config := f.config
	config.Held = func() *Held {
		held := &Held{Process: writer, Writer: writer}
		if m.overdue() {
			held.Writer = "" // it knows that it was refused
		}
		return held
	}
	config.Gauges = func() []string { return []string{"level"} }
	m.Reader = New(f.server.Store("shop"), config, newCounts())
	f.t.Cleanup(func() {
		m.Stop(context.Canceled)
		m.Wait()
	})
	m.renew()
	return m
}

// renew renews the lease, as the writer's heartbeat does.
func (m *member) renew() {
	m.f.t.Helper()
	if time.Now().Before(m.stuck) {
		return
	}
	held, err := m.store.Hold(m.f.t.Context(), wire.HoldRequest{
		Writer: m.writer, Index: m.index, Wanted: wire.NoIndex, TTL: lease, Candidate: m.asked && time.Since(m.renewed) < lease,
	})
	if err != nil {
		m.f.t.Fatal(err)
	}
	m.index, m.renewed = held.Index, time.Now()
}

// overdue says whether the writer's next tick renews the lease.
func (m *member) overdue() bool { return time.Since(m.renewed) > lease/3 }

func (m *member) release() {
	m.f.t.Helper()
	if err := m.store.Release(m.f.t.Context(), m.writer, m.index); err != nil {
		m.f.t.Fatal(err)
	}
}

// ask asks for the process's page, by a request that came some time ago. The page is nil if the
// process has no lease.
func (m *member) ask(ago time.Duration) *Page {
	m.f.t.Helper()
	p, err := m.join(m.f.t.Context(), Request{Own: true, Came: time.Now().Add(-ago)})
	if _, recovering := err.(*RecoveringError); err != nil && !recovering {
		m.f.t.Fatal(err)
	}
	return p
}

// shared returns a family's series on a page, and whether the page has what all processes share.
func shared(p *Page, family string) (*shownFamily, bool) {
	if p == nil {
		return nil, false
	}
	has := func(name string) int {
		return slices.IndexFunc(p.families, func(f *shownFamily) bool { return f.name == name })
	}
	if at := has(family); at >= 0 {
		return p.families[at], true
	}
	return nil, has("shoal_instances") >= 0
}

// Whatever happens, and wherever the clock goes: of one state of the store no
// two pages show the shared families; no page shows them for a request from
// before another page did; no page tells a start that another page may have told
// with the same value; and once all is calm, one page has them.
func TestSeniority_OnePageHasTheSharedFamilies(t *testing.T) {
	seeds := 150
	if testing.Short() {
		seeds = 30
	}
	moves, waits := 0, 0
	for seed := range seeds {
		synctest.Test(t, func(t *testing.T) {
			w := &seniorWorld{fixture: newFixture(t), rng: rand.New(rand.NewPCG(uint64(seed), 15)), clocks: seed%3 == 0}
			w.seed = seed
			w.family("c_total", 1, counterDef(""))
			for range 150 {
				w.act()
				w.look()
			}
			w.calm()
			moves += w.moves
			waits += w.waits
		})
	}
	if moves < seeds || waits < seeds {
		t.Errorf("the shared families moved %d times, and %d pages had to wait for them: the test tests too little", moves, waits)
	}
}

type seniorWorld struct {
	*fixture
	rng     *rand.Rand
	seed    int
	clocks  bool // the store's clock is set forward and back
	members []*member
	dead    []*member
	joined  int
	series  int
	lost    time.Time            // when the leases were lost
	shown   map[string]time.Time // by writer: when a page with the shared families was read last
	starts  map[string]time.Time // by writer: likewise, since the store's clock was set
	last    string
	moves   int
	waits   int
}

func (w *seniorWorld) pick() *member {
	if len(w.members) == 0 {
		return nil
	}
	return w.members[w.rng.IntN(len(w.members))]
}

func (w *seniorWorld) leaves(m *member) {
	w.members = slices.DeleteFunc(w.members, func(other *member) bool { return other == m })
	w.dead = append(w.dead, m)
}

// act does something that changes the store.
func (w *seniorWorld) act() {
	m := w.pick()
	switch n := w.rng.IntN(100); {
	case m == nil || n < 8 && len(w.members) < 6:
		w.joined++
		w.members = append(w.members, w.enter(fmt.Sprint("w", w.joined)))
	case n < 25:
		m.asked = true
		m.renew()
	case n < 30:
		m.asked = false // nobody has asked for long
		m.renew()
	case n < 35:
		m.release()
		w.leaves(m)
	case n < 38:
		w.leaves(m) // it is killed
	case n < 42:
		time.Sleep(time.Duration(w.rng.Int64N(int64(2 * lease)))) // all of them freeze
	case n < 44:
		if _, err := w.store.Housekeep(w.t.Context(), 0, 0); err != nil {
			w.t.Fatal(err)
		}
	case n < 46:
		w.server.LoseLeases("shop")
		w.lost = time.Now()
		for _, m := range w.members {
			m.knew = m.seniority.last.writer != ""
		}
	case n < 48:
		m.stuck = time.Now().Add(time.Duration(w.rng.Int64N(int64(3 * lease))))
	case n < 52 && w.clocks:
		// Forward, or back. A lease that a step forward ends and one back brings to life again is
		// that of a senior as long as its process has seen neither.
		step := time.Duration(w.rng.Int64N(int64(2 * lease)))
		if w.seed%2 == 0 {
			step = -step
		}
		w.server.Advance(step)
		w.starts = nil
		if step > 0 {
			w.shown = nil // the leases that expire do so before this moment, by the clock as it is then
		}
	case n < 60:
		w.series++
		now := w.app().Now
		w.commit("c_total", wire.Op{Kind: wire.OpAdd, Field: labels("n", fmt.Sprint(w.series)), Value: "1", Born: now.UnixMicro()})
	default:
		time.Sleep(time.Duration(w.rng.Int64N(int64(lease / 5))))
		for _, m := range w.members {
			if m.overdue() {
				m.renew()
			}
		}
	}
}

func (w *seniorWorld) app() wire.AppState {
	app, err := w.store.ReadApp(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	return app
}

// look asks all processes for their pages, in one state of the store.
func (w *seniorWorld) look() {
	w.t.Helper()
	for _, m := range w.members { // a page comes after a tick
		if m.overdue() {
			m.renew()
		}
	}
	time.Sleep(2 * time.Millisecond) // the scripts' times are in whole milliseconds
	now := w.app().Now
	var who []string
	for _, m := range w.rng.Perm(len(w.members)) {
		m := w.members[m]
		if w.rng.IntN(4) == 0 {
			continue // nobody asks it now
		}
		ago := time.Duration(w.rng.Int64N(int64(20 * time.Millisecond)))
		p := m.ask(ago)
		family, has := shared(p, "c_total")
		if !has {
			if m.seniority.senior {
				w.waits++
			}
			continue
		}
		who = append(who, m.writer)
		for other, at := range w.shown {
			// Who comes after a loss of the leases can't know what was before.
			if known := m.knew || at.After(w.lost); other != m.writer && known && time.Now().Add(-ago).Before(at) {
				w.t.Errorf("seed %d: %s shows the shared families for a request of %v, and %s did at %v", w.seed, m.writer, time.Now().Add(-ago), other, at)
			}
		}
		for i := 0; family != nil && i < family.len(); i++ {
			_, place := family.row(i)
			start := family.start(place)
			for other, at := range w.starts {
				if known := m.knew || w.shown[other].After(w.lost); other != m.writer && known && start != 0 && start <= at.UnixMicro() {
					w.t.Errorf("seed %d: %s tells a start at %d, and %s had shown the series at %d", w.seed, m.writer, start, other, at.UnixMicro())
				}
			}
		}
		if w.last != m.writer {
			w.moves++
		}
		w.last = m.writer
	}
	if len(who) > 1 {
		w.t.Errorf("seed %d: %v all show the shared families", w.seed, who)
	}
	for _, writer := range who {
		if w.shown == nil {
			w.shown = map[string]time.Time{}
		}
		if w.starts == nil {
			w.starts = map[string]time.Time{}
		}
		w.shown[writer], w.starts[writer] = time.Now(), now
	}
}

// calm lets the living candidates live, until the leases of all others must have expired.
func (w *seniorWorld) calm() {
	w.t.Helper()
	for _, m := range w.members {
		m.stuck = time.Time{}
	}
	w.joined++
	w.members = append(w.members, w.enter(fmt.Sprint("w", w.joined)))
	w.members[len(w.members)-1].asked = true
	for range 10 {
		time.Sleep(lease / 4)
		for _, m := range w.members {
			m.renew()
			m.ask(0)
		}
	}
	n := 0
	for _, m := range w.members {
		if _, has := shared(m.ask(0), ""); has {
			n++
			if !m.asked {
				w.t.Errorf("seed %d: %s is no candidate, and shows the shared families", w.seed, m.writer)
			}
		}
	}
	if n != 1 {
		w.t.Errorf("seed %d: at last %d pages have the shared families", w.seed, n)
	}
}
