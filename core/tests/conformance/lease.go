// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"fmt"
	"sync"
	"time"

	"github.com/shoal-metrics/shoal/core/internal/wire"
)

const (
	long  = time.Hour
	short = 40 * time.Millisecond
)

func hold(writer string) wire.HoldRequest {
	return wire.HoldRequest{Writer: writer, Index: wire.NoIndex, Wanted: wire.NoIndex, TTL: long}
}

func (f *fixture) hold(req wire.HoldRequest) wire.HoldReply {
	f.Helper()
	reply, err := f.store.Hold(f.ctx, req)
	if err != nil {
		f.Fatalf("holding: %v", err)
	}
	return reply
}

// take sends a hold request and wants this index.
func (f *fixture) take(req wire.HoldRequest, index int, fenced string) {
	f.Helper()
	if r := f.hold(req); r.Index != index || r.Fenced != fenced {
		f.Errorf("%s got index %d and fenced %q, want %d and %q", req.Writer, r.Index, r.Fenced, index, fenced)
	}
}

// living lists the living writers, by index.
func (f *fixture) living() map[int]string {
	f.Helper()
	last, holders := -1, make(map[int]string)
	for _, l := range f.head().Leases {
		if l.Index <= last {
			f.Errorf("the leases are not ordered by index: %d after %d", l.Index, last)
		}
		last = l.Index
		holders[l.Index] = l.Writer
	}
	return holders
}

func (f *fixture) release(writer string, index int) {
	f.Helper()
	if err := f.store.Release(f.ctx, writer, index); err != nil {
		f.Fatalf("releasing: %v", err)
	}
}

var leaseTests = map[string]func(f *fixture){
	"Hold_TakesTheLowestFreeIndex": func(f *fixture) {
		f.take(hold("a"), 0, "")
		f.take(hold("b"), 1, "")
		f.take(hold("c"), 2, "")
		f.release("b", 1)
		f.take(hold("d"), 1, "")
		f.take(hold("e"), 3, "")
	},
	"Hold_RenewsItsOwnIndex": func(f *fixture) {
		f.take(hold("a"), 0, "")
		f.take(hold("b"), 1, "")
		again := hold("b")
		again.Index = 1
		f.take(again, 1, "")
	},
	"Hold_FindsItsEntryAfterALostReply": func(f *fixture) {
		f.take(hold("a"), 0, "")
		f.take(hold("b"), 1, "")
		f.release("a", 0)
		f.take(hold("b"), 1, "") // not the free 0
		wanting := hold("b")
		wanting.Wanted = 7
		f.take(wanting, 1, "")
	},
	"Hold_TakesItsIndexBackIfItIsMissing": func(f *fixture) {
		f.take(hold("a"), 0, "")
		f.take(hold("b"), 1, "")
		f.release("b", 1)
		f.release("a", 0)
		again := hold("b")
		again.Index = 1
		f.take(again, 1, "")
	},
	"Hold_BesideFewLeasesGivesAWriterNoSecondIndex": func(f *fixture) {
		// The server steps back to a state in which the writer had another index.
		f.take(hold("a"), 0, "")
		f.take(hold("b"), 1, "")
		later := hold("b")
		later.Index = 3
		f.take(later, 1, "")
		if l := f.living(); len(l) != 2 {
			f.Errorf("the leases are %v", l)
		}
	},
	// A writer may have a second entry, which expires in the end: readers must not count it twice.
	"Hold_OfTwoEntriesOfAWriterTheLastRenewedIsRead": func(f *fixture) {
		wanting := hold("a")
		wanting.Wanted = 1000
		f.take(wanting, 1000, "")
		later := func() { // by more than the resolution of a deadline
			f.Helper()
			before := f.head().Now
			f.elapse(2*time.Millisecond, "the clock goes on", func() bool { return f.head().Now.Sub(before) >= 2*time.Millisecond })
		}
		later()
		f.take(hold("a"), 0, "")
		f.gauges(wire.GaugeWrite{Writer: "a", Index: 0, Version: 1, Full: true, Ops: []wire.GaugeOp{set("g", "1")}}, wire.GaugesOK)
		read := func(want int) {
			f.Helper()
			head, err := f.store.ReadHead(f.ctx, wire.Expected{})
			if err != nil || len(head.App.Leases) != 1 || head.App.Leases[0].Index != want || len(head.Gauges) != 1 {
				f.Errorf("the head is %+v, %v, want one lease, of the index %d", head, err, want)
			}
		}
		read(0)
		again := hold("a")
		again.Index = 1000
		later()
		f.take(again, 1000, "")
		read(1000)
	},
	// A search for a free index looks at some of them only.
	"Hold_BesideManyLeasesEachFreeIndexIsTakenAfterAWhile": func(f *fixture) {
		const many, most = 300, 60
		for i := range many {
			f.take(hold(fmt.Sprint("w", i)), i, "")
		}
		free := map[int]bool{7: true, 100: true, 101: true, 250: true}
		for i := range free {
			f.release(fmt.Sprint("w", i), i)
		}
		given := map[int]bool{}
		for i := 0; len(free) > 0; i++ {
			index := f.hold(hold(fmt.Sprint("x", i))).Index
			if given[index] || index < many && !free[index] || index > 2*(many+most) || i == most {
				f.Fatalf("new writer %d got the index %d; %v are free", i, index, free)
			}
			given[index] = true
			delete(free, index)
		}
		if l := f.living(); len(l) != many-4+len(given) {
			f.Errorf("%d leases", len(l))
		}
		again := hold("w7")
		again.Index = 7
		if r := f.hold(again); r.Index == 7 || given[r.Index] || !r.Lost {
			f.Errorf("the writer whose index was taken got %+v", r)
		}
		wanting := hold("y")
		wanting.Wanted = 290
		f.take(wanting, 290, "w290")
		f.take(wanting, 290, "") // the first reply was lost
	},
	"Hold_LosesAnIndexThatIsAnothers": func(f *fixture) {
		f.take(hold("a"), 0, "")
		again := hold("b")
		again.Index = 0
		f.take(again, 1, "")
	},
	"Hold_WantedFencesItsHolder": func(f *fixture) {
		wanting := hold("a")
		wanting.Wanted = 5
		f.take(wanting, 5, "")
		wanting.Writer = "b"
		f.take(wanting, 5, "a")
		back := hold("a")
		back.Index = 5
		f.take(back, 0, "")
		if l := f.living(); len(l) != 2 || l[5] != "b" || l[0] != "a" {
			f.Errorf("the leases are %v", l)
		}
	},
	"Hold_WithAPredecessorTakesTheIndexOnlyFromIt": func(f *fixture) {
		f.take(hold("dead"), 0, "")
		f.take(hold("other"), 1, "")
		heir := func(writer string, index int) wire.HoldRequest {
			req := hold(writer)
			req.Wanted, req.Predecessor = index, "dead"
			return req
		}
		f.take(heir("a", 1), 2, "") // that is another one's
		f.take(heir("b", 0), 0, "dead")
		f.take(heir("b", 0), 0, "") // the reply was lost
		f.take(heir("c", 7), 7, "") // free
		f.take(heir("d", 0), 3, "") // the other heir came first
		if l := f.living(); len(l) != 5 || l[0] != "b" || l[1] != "other" {
			f.Errorf("the leases are %v", l)
		}
	},
	"Hold_WithAPredecessorTakesAnExpiredIndexOfAnybody": func(f *fixture) {
		brief := hold("other")
		brief.Wanted, brief.TTL = 1000, short
		f.take(brief, 1000, "")
		heir := hold("a")
		heir.Wanted, heir.Predecessor = 1000, "dead"
		f.elapse(2*short, "the lease expires", func() bool { return len(f.living()) == 0 })
		f.take(heir, 1000, "other")
		f.take(heir, 1000, "") // the reply was lost, and no search looks so far up
	},
	"Hold_TakesAnExpiredIndexAndItsOwnerMayComeFirst": func(f *fixture) {
		brief := hold("a")
		brief.TTL = short
		f.take(brief, 0, "")
		f.elapse(2*short, "the lease expires", func() bool { return len(f.living()) == 0 })
		own := hold("a")
		own.Index, own.TTL = 0, short
		f.take(own, 0, "")
		f.elapse(2*short, "the lease expires", func() bool { return len(f.living()) == 0 })
		if r := f.hold(hold("b")); r.Index != 0 {
			f.Errorf("got index %d, want the expired 0", r.Index)
		}
		f.take(own, 1, "")
	},
	"Hold_TellsTheStoresTime": func(f *fixture) {
		before := f.head().Now
		now := f.hold(hold("a")).Now
		after := f.head().Now
		if now.Before(before) || now.After(after) {
			f.Errorf("%v is not between %v and %v", now, before, after)
		}
	},
	"Hold_KeepsLineageAndInfo": func(f *fixture) {
		for i, req := range []wire.HoldRequest{
			{Lineage: "", Info: wire.Info{}},
			{Lineage: "f00", Info: wire.Info{Host: "web-1", Version: "v1.2.3", Started: 1700000000000000}},
			{Lineage: "-", Info: wire.Info{Host: "-", Version: "a b\tc\n%2D+é\xff", Started: -5}},
		} {
			req.Writer, req.Index, req.Wanted, req.TTL = "w", wire.NoIndex, i, long
			if i > 0 {
				f.release("w", i-1)
			}
			now := f.hold(req).Now
			leases := f.head().Leases
			if len(leases) != 1 {
				f.Fatalf("%d leases", len(leases))
			}
			l := leases[0]
			if l.Lineage != req.Lineage || l.Info != req.Info || l.Writer != "w" || l.Index != i {
				f.Errorf("the lease reads %+v, want %+v", l, req)
			}
			if d := l.Deadline.Sub(now); d > long || d < long-time.Second {
				f.Errorf("the lease lives for %s, want %s", d, long)
			}
		}
	},
	"Hold_ConcurrentWritersNeverShareAnIndex": func(f *fixture) {
		const writers = 12
		indices := make([]int, writers)
		var wg sync.WaitGroup
		for w := range writers {
			wg.Go(func() {
				r, err := f.store.Hold(f.ctx, hold(string(rune('a'+w))))
				if err != nil {
					f.Error(err)
				}
				indices[w] = r.Index
			})
		}
		wg.Wait()
		seen := make(map[int]bool)
		for _, i := range indices {
			if seen[i] || i >= writers {
				f.Errorf("the indices are %v", indices)
				break
			}
			seen[i] = true
		}
	},
	"Release_TouchesNobodyElse": func(f *fixture) {
		f.take(hold("a"), 0, "")
		f.gauges(wire.GaugeWrite{Writer: "a", Index: 0, Version: 1, Full: true, Ops: []wire.GaugeOp{set("g", "1")}}, wire.GaugesOK)
		f.release("b", 0)
		f.release("b", 9)
		if l := f.living(); l[0] != "a" {
			f.Errorf("the leases are %v", l)
		}
		if g := f.readGauges("a"); len(g) != 1 {
			f.Errorf("the gauges are %v", g)
		}
	},
	"Release_RemovesTheWritersGaugesEvenIfTheLeaseIsLost": func(f *fixture) {
		f.take(hold("a"), 0, "")
		f.gauges(wire.GaugeWrite{Writer: "a", Index: 0, Version: 1, Full: true, Ops: []wire.GaugeOp{set("g", "1")}}, wire.GaugesOK)
		wanting := hold("b")
		wanting.Wanted = 0
		f.take(wanting, 0, "a")
		f.release("a", 0)
		if l := f.living(); l[0] != "b" {
			f.Errorf("the leases are %v", l)
		}
		if g := f.readGauges("a"); len(g) != 0 {
			f.Errorf("the gauges are %v", g)
		}
		f.release("a", 0) // twice is harmless
	},
}
