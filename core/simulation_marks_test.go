// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"context"
	"maps"
	"strconv"
	"time"

	"github.com/shoal-metrics/shoal/core/internal/wire"
)

// What the ledger knows of the marks: in which epoch a family is, when series began, by whom
// and when they were held last. It works that out from what the store is asked, and reads the
// store's series after each such request.

// seriesKey names a series by its one label.
type seriesKey struct{ family, k string }

// markBooks is what the ledger knows of the marks.
type markBooks struct {
	epochs map[string]epoch
	lives  map[seriesKey]seriesLife
	ended  map[seriesKey]int64        // when the life before this one ended, by the store's clock
	cut    map[string]int64           // when a series of the family was removed last, by that clock
	holds  map[seriesKey]map[int]bool // the processes that told the store that they hold it; never changed
	bare   map[string]bool            // the families whose marks were lost: none is kept before a process registers them
}

type epoch struct {
	number int
	since  int64 // in seconds of the store's clock
	family int64 // when the family was registered, in microseconds
}

func newMarkBooks() markBooks {
	return markBooks{
		epochs: map[string]epoch{}, lives: map[seriesKey]seriesLife{}, ended: map[seriesKey]int64{},
		cut: map[string]int64{}, holds: map[seriesKey]map[int]bool{}, bare: map[string]bool{},
	}
}

func (m *markBooks) clone() markBooks {
	return markBooks{
		epochs: maps.Clone(m.epochs), lives: maps.Clone(m.lives), ended: maps.Clone(m.ended),
		cut: maps.Clone(m.cut), holds: maps.Clone(m.holds), bare: maps.Clone(m.bare),
	}
}

// idleAge is how many epochs old the mark of an idle series is.
const idleAge = 9

// epochLength is how long an epoch of a family lasts at least, in seconds; 0 if none ends.
func (w *world) epochLength(family string) int64 {
	retention := w.retentionOf(family)
	if retention <= 0 {
		return 0
	}
	return max(60, int64(retention/time.Second)/8)
}

// noteEpoch compares the epoch that a registration was answered with the one that it must be.
// A registration begins the next one when the present one is long enough ago, and never more
// than one, however far the clock jumped.
func (l *ledger) noteEpoch(r wire.Registration, reply wire.RegisterReply) {
	if !l.marked(r.Family) {
		return
	}
	delete(l.bare, r.Family)
	now := l.w.serverNow().Unix()
	if l.generation[r.Family] != reply.Generation {
		l.forgetLives(r.Family)
		l.epochs[r.Family] = epoch{0, now, l.w.serverNow().UnixMicro()}
		l.adopt(r.Family, reply.Generation)
	} else {
		e, length := l.epochs[r.Family], l.w.epochLength(r.Family)
		switch {
		case length > 0 && now-e.since >= length:
			e.number, e.since = e.number+1, now
			l.w.faults[faultEpochPassed]++
		case now < e.since:
			e.since = now
		}
		l.epochs[r.Family] = e
	}
	if want := strconv.Itoa(l.epochs[r.Family].number); reply.Epoch != want {
		l.w.violated("a registration was told that %s is in the epoch %s, and it is in %s", r.Family, reply.Epoch, want)
	}
}

// marked says whether the ledger follows the marks of a family.
func (l *ledger) marked(family string) bool {
	_, ours := l.w.plan.retentions[family]
	return ours
}

// storedSeries is what the store has of a series.
type storedSeries struct {
	text  string
	start int64
}

// read reads a family from the store, by the values of its label. The caller holds w.mu.
func (l *ledger) read(family, generation string) map[string]storedSeries {
	store, ctx := l.w.server.Store(l.w.plan.opts.App), context.Background()
	list, _ := wire.ScanSeries(ctx, store, family, wire.MaxPage) // no errors here
	q := wire.StartsQuery{Family: family, Generation: generation}
	for _, s := range list {
		q.Fields = append(q.Fields, s.Field)
	}
	starts, _ := store.ReadStarts(ctx, []wire.StartsQuery{q})
	found := make(map[string]storedSeries, len(list))
	for i, s := range list {
		found[labelOf(s.Field)] = storedSeries{s.Text, starts[0][i]}
	}
	return found
}

// marksLost notes that the marks of a family alone are gone: the ages of its series begin anew,
// and when they began is not known any more.
func (l *ledger) marksLost(family string) {
	l.unmarked[family], l.bare[family] = true, true
	for key, s := range l.lives {
		if key.family == family {
			s.start, s.marked = 0, l.epochs[family].number
			l.lives[key] = s
		}
	}
}

// hold notes that a process told the store that it holds a series.
func (l *ledger) hold(key seriesKey, p *proc) {
	s := l.lives[key]
	s.marked = l.epochs[key.family].number
	l.lives[key] = s
	l.toldBy(key, p)
}

// toldBy notes that the store knows that a process has a series, whether it marked it or not.
func (l *ledger) toldBy(key seriesKey, p *proc) {
	if !l.holds[key][p.number] {
		holders := maps.Clone(l.holds[key])
		if holders == nil {
			holders = map[int]bool{}
		}
		holders[p.number] = true
		l.holds[key] = holders
	}
}

// markedBy follows a mark that the store carried out.
func (l *ledger) markedBy(p *proc, m wire.Mark, reply wire.MarkReply) {
	if !l.marked(m.Family) {
		return
	}
	if reply.Unknown {
		lacks := m.Last > 0 && !l.applied[batchKey{p.number, m.Family, m.Last}] // after a step back
		if l.generation[m.Family] == m.Generation && !l.damaged[m.Family] && !lacks {
			l.w.violated("a mark of %v was not taken: %s has the generation %s", p, m.Family, m.Generation)
		}
		return
	}
	gone := map[int]bool{}
	for _, i := range reply.Gone {
		gone[i] = true
	}
	for i, field := range m.Fields {
		key := seriesKey{m.Family, labelOf(field)}
		if _, there := l.lives[key]; there == gone[i] {
			l.w.violated("%v was told that %s %q is gone: %v", p, key.family, key.k, gone[i])
		}
		if !gone[i] {
			l.hold(key, p)
		}
	}
	for k, s := range l.read(m.Family, m.Generation) {
		if one, ok := l.lives[seriesKey{m.Family, k}]; !ok || one.start != s.start {
			l.w.violated("%s %q began at %v, and after a mark of %v at %v", m.Family, k, one.start, p, s.start)
		}
	}
}
