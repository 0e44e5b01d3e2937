// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/shoal-metrics/shoal/core/internal/memstore"
	"github.com/shoal-metrics/shoal/core/internal/wire"
)

// stepped is a registry whose writer has no goroutine: the test makes its
// flush runs, one by one.
func stepped(store wire.Store) (*Registry, *writer) {
	r := New()
	opts, err := Opts{App: "shop", Host: "here"}.complete()
	if err != nil {
		panic(err)
	}
	return r, newWriter(r, store, opts)
}

// refreshWhole makes the next flush run ask for everything again.
func (w *writer) refreshWhole() {
	w.schedule.refresh.refreshNow(time.Now())
	w.refreshDue(time.Now())
}

func (w *writer) flushAll() error {
	return w.runFlush(*w.reg.families.Load())
}

func TestFlushRun_FamiliesThatCanBeReachedGoOnWithoutThoseThatCannot(t *testing.T) {
	server := memstore.New()
	r, w := stepped(server.Store("shop"))
	lost, fine := r.NewCounter(CounterOpts{Name: "a_total"}), r.NewCounterVec(CounterOpts{Name: "b_total"}, []string{"n"})
	if err := w.flushAll(); err != nil {
		t.Fatal(err)
	}
	lost.Inc()
	for n := range callWeight + batchWeight { // more batches than fit one call, all after the other family's
		fine.WithLabelValues(fmt.Sprint(n)).Inc()
	}
	server.Fail(func(op string) error { // as if that family's master in a Cluster were away
		if strings.HasSuffix(op, " a_total") {
			return errBroken
		}
		return nil
	})
	if err := w.flushAll(); !errors.Is(err, errBroken) {
		t.Errorf("the run returns %v, want the trouble of the one family", err)
	}
	if n := len(fine.consts.fam.out.queue); n != 0 {
		t.Errorf("%d batches of the family that can be reached still wait", n)
	}
	if n := len(lost.consts.fam.out.queue); n != 1 {
		t.Errorf("%d batches of the other wait, want 1", n)
	}
}

// lost is how many lost batches the process has counted for a reason, sent or not.
func lost(t *testing.T, w *writer, server *memstore.Server, reason string) float64 {
	t.Helper()
	n := selfValue(w.reg, "shoal_lost_batches_total", reason)
	list, err := wire.ScanSeries(context.Background(), server.Store("shop"), "shoal_lost_batches_total", wire.MaxPage)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range list {
		if strings.HasSuffix(s.Field, reason) {
			more, _ := wire.ParseNumber(s.Text)
			n += more
		}
	}
	return n
}

func storedText(t *testing.T, server *memstore.Server, family string) string {
	t.Helper()
	list, err := wire.ScanSeries(context.Background(), server.Store("shop"), family, wire.MaxPage)
	if err != nil {
		t.Fatal(err)
	}
	var texts []string
	for _, s := range list {
		texts = append(texts, s.Text)
	}
	return strings.Join(texts, ",")
}

// A batch in doubt must not be sent again once Redis may have forgotten the writer's sequence
// number, even if the process was stopped for all that time.
func TestFlushRun_AWeekAwayDoublesNothing(t *testing.T) {
	server := memstore.New()
	r, w := stepped(server.Store("shop"))
	c := r.NewCounter(CounterOpts{Name: "c_total"})
	c.Add(5)
	if err := w.flushAll(); err != nil {
		t.Fatal(err)
	}
	server.LoseReply(only(commitC, away))
	c.Add(3)
	if err := w.flushAll(); err == nil {
		t.Fatal("the lost reply went unnoticed")
	}
	server.LoseReply(nil)
	// 8 days pass: another process removes the silent writer's number, and the batches
	// that this process keeps are 8 days old.
	server.Advance(8 * 24 * time.Hour)
	if _, err := server.Store("shop").Housekeep(context.Background(), 0, 0); err != nil {
		t.Fatal(err)
	}
	for _, b := range append(c.consts.fam.out.kept, c.consts.fam.out.queue...) {
		b.acked, b.frozen = b.acked.Add(-8*24*time.Hour), b.frozen.Add(-8*24*time.Hour)
	}
	c.Add(2)
	w.lease.renewNow()
	w.refreshWhole()
	if err := w.flushAll(); err != nil {
		t.Fatal(err)
	}
	if got := storedText(t, server, "c_total"); got != "10" {
		t.Errorf("the store has %s, want 10: 5 and 3 from before, and 2", got)
	}
	if got := lost(t, w, server, lostExpired); got != 1 {
		t.Errorf("%v batches counted as expired, want 1", got)
	}
}

func TestFlushRun_KeepsAFewMegabytesAtMost(t *testing.T) {
	server := memstore.New()
	r, w := stepped(server.Store("shop"))
	a, b := r.NewCounter(CounterOpts{Name: "a_total"}), r.NewCounter(CounterOpts{Name: "b_total"})
	keep := func(c *Counter, n int, acked time.Time) {
		for range n {
			f := c.consts.fam
			f.out.push(&batch{size: 1 << 20, frozen: acked})
			w.backlog.acknowledged(f, f.out.acknowledge(acked, ""))
			w.backlog.enter(f)
		}
	}
	now := time.Now()
	keep(a, 3, now.Add(-2*time.Minute))
	keep(b, 3, now.Add(-time.Minute))
	w.trimKept()
	if n, m := len(a.consts.fam.out.kept), len(b.consts.fam.out.kept); n != 1 || m != 3 {
		t.Errorf("kept %d older and %d younger batches, want 1 and 3", n, m)
	}
}

// recording is a store that keeps what it was sent.
type recording struct {
	wire.Store
	sent []wire.Commit
}

func (s *recording) Commit(ctx context.Context, commits []wire.Commit) []wire.CommitReply {
	s.sent = append(s.sent, commits...)
	return s.Store.Commit(ctx, commits)
}

// The script reads all series of a batch before it writes any.
func TestFlushRun_ABatchNamesEachSeriesOnce(t *testing.T) {
	server := memstore.New()
	store := &recording{Store: server.Store("shop")}
	r, w := stepped(store)
	v := r.NewCounterVec(CounterOpts{Name: "c_total"}, []string{"a"})
	for range 3 { // handles from before each deletion, all of them written
		c := v.WithLabelValues("x")
		v.DeleteLabelValues("x")
		c.Inc()
	}
	v.WithLabelValues("x").Inc()
	v.WithLabelValues("y").Inc()
	if err := w.flushAll(); err != nil {
		t.Fatal(err)
	}
	for _, c := range store.sent {
		fields := map[string]bool{}
		for _, op := range c.Ops {
			if fields[op.Field] {
				t.Errorf("batch %d of %s names %q twice", c.Seq, c.Family, op.Field)
			}
			fields[op.Field] = true
		}
	}
	stored(t, server).want(t, samples{`c_total{a="x"}`: 4, `c_total{a="y"}`: 1})
}

// A clone of this process used the sequence numbers that we were about to use. What we had
// sent under the old identity before we noticed is counted once.
func TestFlushRun_AClonedProcessGoesOnUnderAnotherIdentity(t *testing.T) {
	server := memstore.New()
	r, w := stepped(server.Store("shop"))
	var vecs []*Counter
	for i := range 5 {
		vecs = append(vecs, r.NewCounter(CounterOpts{Name: fmt.Sprintf("c%d_total", i)}))
	}
	if err := w.flushAll(); err != nil {
		t.Fatal(err)
	}
	// The clone brings c1 to number 4, with 1 in each batch.
	f := vecs[1].consts.fam
	for seq := uint64(2); seq <= 4; seq++ {
		reply := server.Store("shop").Commit(context.Background(), []wire.Commit{{
			Family: "c1_total", Generation: f.out.generation, Writer: w.id, Prev: seq - 1, Seq: seq,
			Ops: []wire.Op{{Kind: wire.OpAdd, Value: "1"}},
		}})[0]
		if reply.Status != wire.CommitOK {
			t.Fatalf("the clone was answered %+v", reply)
		}
	}
	before := w.id
	for _, c := range vecs {
		c.Add(10)
	}
	if err := w.flushAll(); !errors.Is(err, errCloned) {
		t.Fatalf("the run returns %v, want errCloned", err)
	}
	if w.id == before {
		t.Error("the identity stayed")
	}
	for range 2 {
		if err := w.flushAll(); err != nil {
			t.Fatal(err)
		}
	}
	for i := range vecs {
		want := "10"
		if i == 1 {
			want = "13"
		}
		if got := storedText(t, server, fmt.Sprintf("c%d_total", i)); got != want {
			t.Errorf("c%d_total is %s, want %s", i, got, want)
		}
	}
}

func TestFlushRun_AClonesBatchesInDoubtAreDroppedAndCounted(t *testing.T) {
	server := memstore.New()
	r, w := stepped(server.Store("shop"))
	a, b := r.NewCounter(CounterOpts{Name: "a_total"}), r.NewCounter(CounterOpts{Name: "b_total"})
	if err := w.flushAll(); err != nil {
		t.Fatal(err)
	}
	a.Inc()
	b.Inc()
	server.LoseReply(only(memstore.OpCommit, away))
	if err := w.flushAll(); err == nil {
		t.Fatal("the lost reply went unnoticed")
	}
	server.LoseReply(nil)
	a.consts.fam.out.generation = "" // as a clone that restarts its registration finds it
	a.consts.fam.out.newest = 0
	a.consts.fam.out.queue = nil
	if err := w.flushAll(); !errors.Is(err, errCloned) {
		t.Fatalf("the run returns %v, want errCloned", err)
	}
	for range 2 {
		if err := w.flushAll(); err != nil {
			t.Fatal(err)
		}
	}
	if got := storedText(t, server, "b_total"); got != "1" {
		t.Errorf("b_total is %s, want 1", got)
	}
	if got := lost(t, w, server, lostOrphan); got < 1 {
		t.Errorf("%v batches counted as lost", got)
	}
}

// What a run lost no longer waits for an answer.
func TestWriter_ABatchThatWasGivenUpDoesNotWait(t *testing.T) {
	server := memstore.New()
	r, w := stepped(server.Store("shop"))
	a := r.NewCounter(CounterOpts{Name: "a_total"})
	if err := w.flushAll(); err != nil {
		t.Fatal(err)
	}
	server.LoseReply(func(op string) error {
		if op == memstore.OpCommit+" a_total" {
			return errBroken
		}
		return nil
	})
	a.Inc()
	if err := w.flushAll(); err == nil {
		t.Fatal("the lost reply went unnoticed")
	}
	server.LoseReply(nil)
	b := r.NewCounter(CounterOpts{Name: "b_total"})
	reply := server.Store("shop").Register(t.Context(), []wire.Registration{{Family: "b_total", Writer: w.id, Nonce: "n", Definition: b.consts.fam.def.wire(DefRetention)}})[0]
	server.Store("shop").Commit(t.Context(), []wire.Commit{{Family: "b_total", Generation: reply.Generation, Writer: w.id, Seq: 1,
		Ops: []wire.Op{{Kind: wire.OpAdd, Value: "1"}}}}) // by a copy of this process
	if err := w.flushAll(); !errors.Is(err, errCloned) {
		t.Fatal(err)
	}
	if left := r.undelivered(nil); left.InDoubt != 0 || left.NeverSent != 1 { // of b_total
		t.Errorf("after the loss %v", left)
	}
}

func TestWriter_IsBackWithinTheTimeThatPagesWaitForIt(t *testing.T) {
	for _, lease := range []time.Duration{time.Second, 3 * time.Second, DefLeaseDuration, time.Minute} {
		_, w := stepped(memstore.New().Store("shop"))
		w.schedule.opts.LeaseDuration = lease
		for range 20 { // Redis has been away for long
			w.failed(errBroken)
		}
		if wait, grace := time.Until(w.schedule.retryAt), leaseGrace(lease); wait > grace*2/3 {
			t.Errorf("with a lease of %v it waits %v before it tries again, pages wait %v for it", lease, wait, grace)
		}
	}
}

// What the store had of this process under its last identity is still missed on a page
// that lacks it.
func TestWriter_AnotherIdentityStillMissesWhatTheLastOneHad(t *testing.T) {
	reg, w := stepped(memstore.New().Store("shop"))
	reg.NewCounter(CounterOpts{Name: "a_total"}).Inc()
	if err := w.flushAll(); err != nil {
		t.Fatal(err)
	}
	w.becomeAnother(errCloned)
	w.publish()
	if !w.held.Load().MissingIn(wire.Head{}) {
		t.Error("a page may lack all families")
	}
	if err := w.flushAll(); err != nil {
		t.Fatal(err)
	}
	head, err := w.store.ReadHead(t.Context(), wire.Expected{})
	if err != nil || w.held.Load().MissingIn(head) {
		t.Errorf("a whole page counts as lacking something: %+v, %v", head, err)
	}
}

// A process that was fenced off from its index does not take it back when it goes on
// under another identity. A process that had it does.
func TestWriter_AnotherIdentityDoesNotTakeTheIndexBack(t *testing.T) {
	server, index := memstore.New(), 3
	_, old := stepped(server.Store("shop"))
	_, young := stepped(server.Store("shop"))
	for _, w := range []*writer{old, young} {
		w.opts.Index = &index
		if err := w.heartbeat(time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	renew := func(w *writer) {
		t.Helper()
		w.lease.renewNow()
		if err := w.heartbeat(time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	for _, w := range []*writer{old, young, old, young} {
		renew(w)
		w.becomeAnother(errNumber)
		renew(w)
		if old.lease.index == index || young.lease.index != index {
			t.Fatalf("the one that was fenced off has %d, and the other %d", old.lease.index, young.lease.index)
		}
	}
}

// A name that another type holds is asked for again after a while. If that while ends within a
// run, the next run asks.
func TestFlushRun_EndsThoughATakenNameBecomesDueInIt(t *testing.T) {
	server := memstore.New()
	register(t, server, "taken_total", 1, wire.Definition{Type: wire.TypeHistogram})
	r, w := stepped(server.Store("shop"))
	taken, free := r.NewCounter(CounterOpts{Name: "taken_total"}), r.NewCounter(CounterOpts{Name: "free_total"})
	if err := w.flushAll(); err != nil || taken.consts.fam.out.refused == nil {
		t.Fatalf("%v, and no clash", err)
	}
	free.Inc()
	server.Fail(func(op string) error {
		if strings.HasPrefix(op, memstore.OpCommit) {
			taken.consts.fam.out.retryAt = time.Time{}
		}
		return nil
	})
	ended := make(chan error, 1)
	go func() { ended <- w.flushAll() }()
	select {
	case err := <-ended:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("the run does not end")
	}
}
