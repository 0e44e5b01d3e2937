// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoal-metrics/shoal/core/internal/memstore"
	"github.com/shoal-metrics/shoal/core/internal/wire"
)

// hooked is a store that fails over once, at a moment that the test chooses.
type hooked struct {
	wire.Store
	afterRegister func(regs []wire.Registration)
	afterFirst    string // the family whose commit comes before the failover
	failOver      func()
}

func (s *hooked) Register(ctx context.Context, regs []wire.Registration) []wire.RegisterReply {
	replies := s.Store.Register(ctx, regs)
	if then := s.afterRegister; then != nil {
		s.afterRegister = nil
		then(regs)
	}
	return replies
}

// Commit asks one master before the others, as a Cluster's client may.
func (s *hooked) Commit(ctx context.Context, commits []wire.Commit) []wire.CommitReply {
	if s.afterFirst == "" {
		return s.Store.Commit(ctx, commits)
	}
	replies := make([]wire.CommitReply, len(commits))
	for i, c := range commits {
		if c.Family == s.afterFirst {
			replies[i] = s.Store.Commit(ctx, commits[i:i+1])[0]
		}
	}
	s.failOver()
	for i, c := range commits {
		if c.Family != s.afterFirst {
			replies[i] = s.Store.Commit(ctx, commits[i:i+1])[0]
		}
	}
	s.afterFirst = ""
	return replies
}

// A registration that Redis answered before it failed over proves nothing of what it
// has since.
func TestFlushRun_AnAnswerFromBeforeAFailoverVerifiesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := memstore.New()
		store := &hooked{Store: server.Store("shop")}
		r, w := stepped(store)
		lost, idle := r.NewCounter(CounterOpts{Name: "lost_total"}), r.NewCounter(CounterOpts{Name: "idle_total"})
		lost.Add(1)
		idle.Add(1)
		if err := w.flushAll(); err != nil {
			t.Fatal(err)
		}
		before := server.Snapshot()
		idle.Add(10)
		if err := w.flushAll(); err != nil {
			t.Fatal(err)
		}
		lose := func() {
			server.LoseControl("shop", "lost_total")
			server.LoseValues("shop", "lost_total")
		}
		lose()
		w.refreshWhole()
		store.afterRegister = func(regs []wire.Registration) {
			server.Restore(before)
			lose() // this one's master is another, and has it anew
			for _, reg := range regs {
				if reg.Family == "lost_total" {
					store.Store.Register(t.Context(), []wire.Registration{reg})
				}
			}
		}
		if err := w.flushAll(); err != nil {
			t.Fatal(err)
		}
		if got := storedText(t, server, "idle_total"); got != "11" {
			t.Errorf("the lineage counts as verified (%v), and idle_total is %s, want 11", w.lineage.confirmed(), got)
		}
	})
}

// What was acknowledged before a failover was not in the lineage that was read behind it.
func TestFlushRun_AnAcknowledgementIsOfTheLineageBeforeIt(t *testing.T) {
	server := memstore.New()
	store := &hooked{Store: server.Store("shop")}
	r, w := stepped(store)
	b := r.NewCounter(CounterOpts{Name: "b_total"})
	b.Add(1)
	if err := w.flushAll(); err != nil {
		t.Fatal(err)
	}
	before := server.Snapshot()
	b.Add(1)
	if err := w.flushAll(); err != nil {
		t.Fatal(err)
	}
	r.NewCounter(CounterOpts{Name: "a_total"}).Add(10)
	b.Add(1)
	store.afterFirst, store.failOver = "a_total", func() { server.Restore(before) }
	if err := w.flushAll(); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"a_total": "10", "b_total": "3"} {
		if got := storedText(t, server, name); got != want {
			t.Errorf("%s is %s, want %s", name, got, want)
		}
	}
}

// Where the lineage cannot be read when an answer shows that the data has stepped back,
// the flush does not end before it was.
func TestFlushRun_AStepBackIsFollowedUpThoughTheLineageCannotBeRead(t *testing.T) {
	server := memstore.New()
	r, w := stepped(server.Store("shop"))
	a, b := r.NewCounter(CounterOpts{Name: "a_total"}), r.NewCounter(CounterOpts{Name: "b_total"})
	a.Add(1)
	b.Add(1)
	if err := w.flushAll(); err != nil {
		t.Fatal(err)
	}
	before := server.Snapshot()
	a.Add(10)
	b.Add(10)
	if err := w.flushAll(); err != nil {
		t.Fatal(err)
	}
	server.Restore(before)
	b.Add(100)
	failed := false
	server.Fail(func(op string) error {
		if op == memstore.OpLineage && !failed {
			failed = true
			return errBroken
		}
		return nil
	})
	if err := w.flushAll(); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"a_total": "11", "b_total": "111"} {
		if got := storedText(t, server, name); got != want {
			t.Errorf("%s is %s, want %s", name, got, want)
		}
	}
}

// verifying is a store with a replica: before it waits for that, it asks for the numbers.
type verifying struct{ wire.Store }

func (s verifying) AwaitReplicas(ctx context.Context, list []wire.Commit, _ time.Duration) (int, error) {
	for _, r := range s.Commit(ctx, list) {
		if r.Err == nil && r.Status != wire.CommitDuplicate {
			return 0, wire.ErrSteppedBack
		}
	}
	return 0, nil
}

func TestClose_BringsBackWhatAFailoverLostThoughNoLineageTells(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := memstore.New()
		server.HideLineage(true)
		r := New()
		if err := r.connect(Opts{App: "shop", Host: "here", OnError: func(error) {}},
			func(app string) wire.Store { return verifying{server.Store(app)} }, nil); err != nil {
			t.Fatal(err)
		}
		c := r.NewCounter(CounterOpts{Name: "c_total"})
		c.Add(5)
		flush(t, r)
		before := server.Snapshot()
		c.Add(3)
		flush(t, r)
		server.Restore(before)
		if err := r.Close(t.Context()); err != nil {
			t.Errorf("Close: %v", err)
		}
		if got := storedText(t, server, "c_total"); got != "8" {
			t.Errorf("c_total is %s, want 8", got)
		}
	})
}
