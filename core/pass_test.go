// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/shoal-metrics/shoal/core/internal/memstore"
	"github.com/shoal-metrics/shoal/core/internal/wire"
)

// stepped is a registry whose writer has no goroutine: the test makes its
// passes, one by one.
func stepped(store wire.Store) (*Registry, *writer) {
	r := New()
	opts, err := Opts{App: "shop", Host: "here"}.complete()
	if err != nil {
		panic(err)
	}
	return r, newWriter(r, store, opts)
}

func (w *writer) wholePass() error {
	return w.pass(context.Background(), *w.reg.families.Load())
}

func TestPass_FamiliesThatCanBeReachedGoOnWithoutThoseThatCannot(t *testing.T) {
	server := memstore.New()
	r, w := stepped(server.Store("shop"))
	lost, fine := r.NewCounter(CounterOpts{Name: "a_total"}), r.NewCounterVec(CounterOpts{Name: "b_total"}, []string{"n"})
	if err := w.wholePass(); err != nil {
		t.Fatal(err)
	}
	lost.Inc()
	for n := range callWeight + batchWeight { // more than one call's batches, all behind the other family's
		fine.WithLabelValues(fmt.Sprint(n)).Inc()
	}
	server.Fail(func(op string) error { // as the one master of a Cluster does that is away
		if strings.HasSuffix(op, " a_total") {
			return errBroken
		}
		return nil
	})
	if err := w.wholePass(); !errors.Is(err, errBroken) {
		t.Errorf("the pass returns %v, want the trouble of the one family", err)
	}
	if n := len(fine.consts.fam.out.queue); n != 0 {
		t.Errorf("%d batches of the family that can be reached still wait", n)
	}
	if n := len(lost.consts.fam.out.queue); n != 1 {
		t.Errorf("%d batches of the other wait, want 1", n)
	}
}

// replaying is a store that sometimes executes an old commit once more, as a
// request does that was delayed on its way.
type replaying struct {
	wire.Store
	rng  *rand.Rand
	sent []wire.Commit
}

func (s *replaying) Commit(ctx context.Context, commits []wire.Commit) []wire.CommitReply {
	if len(s.sent) > 0 && s.rng.IntN(4) == 0 {
		s.Store.Commit(ctx, []wire.Commit{s.sent[s.rng.IntN(len(s.sent))]})
	}
	s.sent = append(s.sent, commits...)
	return s.Store.Commit(ctx, commits)
}

// The writer's passes against a store that refuses, loses replies, executes
// requests late and again, steps back to an older state and is wiped: in the
// end it has exactly what was added since the last wipe and what had not been
// acknowledged before it.
func TestPass_ExactlyOnceWhateverTheStoreDoes(t *testing.T) {
	for seed := range uint64(200) {
		modelRun(t, seed)
	}
}

func modelRun(t *testing.T, seed uint64) {
	rng := rand.New(rand.NewPCG(seed, 1))
	server := memstore.New()
	now := time.Now()
	server.SetClock(func() time.Time { return now })
	store := &replaying{Store: server.Store("shop"), rng: rng}
	r, w := stepped(store)
	v := r.NewCounterVec(CounterOpts{Name: "c_total"}, []string{"a"})
	want := map[string]float64{} // by label value
	faulty := func(string) error {
		switch rng.IntN(12) {
		case 0:
			return refusal
		case 1:
			return errBroken
		}
		return nil
	}
	var snapshot *memstore.Snapshot
	// noticed says that the writer has looked at its family since the store was
	// restored. Wiped before, it looks as if a failover had lost everything.
	noticed := func() bool {
		lineage, err := server.Store("shop").Lineage(context.Background())
		return err == nil && (lineage == w.lineage.seen || w.lineage.seen == "") && !v.consts.fam.out.unverified
	}
	for range 60 {
		server.Fail(nil)
		server.LoseReply(nil)
		switch rng.IntN(10) {
		case 0: // wiped: what is acknowledged is gone, and all that is not comes back
			if !noticed() {
				continue
			}
			server.Wipe()
			snapshot = nil
			want = outstanding(v.consts.fam)
		case 1:
			if snapshot != nil {
				server.Restore(snapshot)
			}
		case 2:
			// Not of a state that was wiped without the writer having noticed: set
			// back to that, it too looks as if a failover had lost everything.
			states, err := server.Store("shop").ReadFamilies(context.Background(), []string{"c_total"})
			if err == nil && states[0].Err == nil && states[0].Generation == v.consts.fam.out.generation {
				snapshot = server.Snapshot()
			}
		case 3:
			w.refresh(now) // which verifies
		default:
			for range rng.IntN(200) { // several batches
				label := fmt.Sprint(rng.IntN(300))
				n := float64(rng.IntN(100))
				v.WithLabelValues(label).Add(n)
				want[label] += n
			}
		}
		server.Fail(faulty)
		server.LoseReply(func(op string) error {
			if rng.IntN(8) == 0 {
				return errBroken
			}
			return nil
		})
		w.lease.renewAt = time.Now() // a heartbeat in each pass, to fail as well
		_ = w.wholePass()
	}
	server.Fail(nil)
	server.LoseReply(nil)
	w.refresh(now)
	w.lease.renewAt = time.Time{}
	if err := w.wholePass(); err != nil {
		t.Errorf("seed %d: the last pass: %v", seed, err)
	}
	got := map[string]float64{}
	list, err := server.Store("shop").ScanSeries(context.Background(), "c_total", wire.MaxPage)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range list {
		got[strings.TrimPrefix(s.Field, "a"+wire.Separator)], _ = wire.ParseNumber(s.Text)
	}
	maps.DeleteFunc(want, func(_ string, n float64) bool { return n == 0 })
	maps.DeleteFunc(got, func(_ string, n float64) bool { return n == 0 })
	if !maps.Equal(got, want) {
		t.Errorf("seed %d: the store has %v, want %v", seed, total(got), total(want))
	}
}

// outstanding is what a family has not been told is stored.
func outstanding(f *family) map[string]float64 {
	m := map[string]float64{}
	f.each(func(s *series) { m[s.values[0]] += float64(s.metric.(*Counter).whole.Load()) })
	for _, b := range f.out.queue {
		for _, op := range b.ops {
			n, _ := wire.ParseNumber(op.Value)
			m[strings.TrimPrefix(op.Field, "a"+wire.Separator)] += n
		}
	}
	return m
}

func total(m map[string]float64) (sum float64) {
	for _, n := range m {
		sum += n
	}
	return sum
}

// lost is what the process has counted of a reason, sent or not.
func lost(t *testing.T, w *writer, server *memstore.Server, reason string) float64 {
	t.Helper()
	n := selfValue(w.reg, "shoal_lost_batches_total", reason)
	list, err := server.Store("shop").ScanSeries(context.Background(), "shoal_lost_batches_total", wire.MaxPage)
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
	list, err := server.Store("shop").ScanSeries(context.Background(), family, wire.MaxPage)
	if err != nil {
		t.Fatal(err)
	}
	var texts []string
	for _, s := range list {
		texts = append(texts, s.Text)
	}
	return strings.Join(texts, ",")
}

// Batches that are too old to be told apart must not be sent again, even if
// the process could not do anything for as long as they grew old.
func TestPass_AWeekAwayDoublesNothing(t *testing.T) {
	server := memstore.New()
	r, w := stepped(server.Store("shop"))
	c := r.NewCounter(CounterOpts{Name: "c_total"})
	c.Add(5)
	if err := w.wholePass(); err != nil {
		t.Fatal(err)
	}
	server.LoseReply(func(op string) error {
		if op == memstore.OpCommit+" c_total" {
			return errBroken
		}
		return nil
	})
	c.Add(3)
	if err := w.wholePass(); err == nil {
		t.Fatal("the lost reply went unnoticed")
	}
	server.LoseReply(nil)
	// 8 days pass: another process removes the silent writer's number, and
	// what this one holds has grown old.
	server.Advance(8 * 24 * time.Hour)
	if err := server.Store("shop").Housekeep(context.Background(), 0, 0); err != nil {
		t.Fatal(err)
	}
	for _, b := range append(c.consts.fam.out.kept, c.consts.fam.out.queue...) {
		b.acked, b.frozen = b.acked.Add(-8*24*time.Hour), b.frozen.Add(-8*24*time.Hour)
	}
	c.Add(2)
	w.lease.renewAt = time.Time{}
	w.refresh(time.Now())
	if err := w.wholePass(); err != nil {
		t.Fatal(err)
	}
	if got := storedText(t, server, "c_total"); got != "10" {
		t.Errorf("the store has %s, want 10: 5 and 3 from before, and 2", got)
	}
	if got := lost(t, w, server, lostExpired); got != 1 {
		t.Errorf("%v batches counted as expired, want 1", got)
	}
}

func TestPass_KeepsAFewMegabytesAtMost(t *testing.T) {
	server := memstore.New()
	r, w := stepped(server.Store("shop"))
	a, b := r.NewCounter(CounterOpts{Name: "a_total"}), r.NewCounter(CounterOpts{Name: "b_total"})
	keep := func(c *Counter, n int, acked time.Time) {
		for range n {
			c.consts.fam.out.push(&batch{size: 1 << 20, frozen: acked})
			c.consts.fam.out.acknowledge(acked, "")
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

// The script reads all series of a batch before it writes any.
func TestPass_ABatchNamesEachSeriesOnce(t *testing.T) {
	server := memstore.New()
	store := &replaying{Store: server.Store("shop"), rng: rand.New(rand.NewPCG(1, 1))}
	r, w := stepped(store)
	v := r.NewCounterVec(CounterOpts{Name: "c_total"}, []string{"a"})
	for range 3 { // handles from before each deletion, all of them written
		c := v.WithLabelValues("x")
		v.DeleteLabelValues("x")
		c.Inc()
	}
	v.WithLabelValues("x").Inc()
	v.WithLabelValues("y").Inc()
	if err := w.wholePass(); err != nil {
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

// A clone of this process used the numbers that we were about to use. What is
// on its way under the old identity when that shows is counted once.
func TestPass_AClonedProcessGoesOnUnderAnotherName(t *testing.T) {
	server := memstore.New()
	r, w := stepped(server.Store("shop"))
	var vecs []*Counter
	for i := range 5 {
		vecs = append(vecs, r.NewCounter(CounterOpts{Name: fmt.Sprintf("c%d_total", i)}))
	}
	if err := w.wholePass(); err != nil {
		t.Fatal(err)
	}
	// The twin brings c1 to number 4, with 1 in each batch.
	f := vecs[1].consts.fam
	for seq := uint64(2); seq <= 4; seq++ {
		reply := server.Store("shop").Commit(context.Background(), []wire.Commit{{
			Family: "c1_total", Generation: f.out.generation, Writer: w.id, Prev: seq - 1, Seq: seq,
			Ops: []wire.Op{{Kind: wire.OpAdd, Value: "1"}},
		}})[0]
		if reply.Status != wire.CommitOK {
			t.Fatalf("the twin was answered %+v", reply)
		}
	}
	before := w.id
	for _, c := range vecs {
		c.Add(10)
	}
	if err := w.wholePass(); !errors.Is(err, errCloned) {
		t.Fatalf("the pass returns %v, want errCloned", err)
	}
	if w.id == before {
		t.Error("the identity stayed")
	}
	for range 2 {
		if err := w.wholePass(); err != nil {
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

func TestPass_AClonesDoubtfulBatchesAreDroppedAndCounted(t *testing.T) {
	server := memstore.New()
	r, w := stepped(server.Store("shop"))
	a, b := r.NewCounter(CounterOpts{Name: "a_total"}), r.NewCounter(CounterOpts{Name: "b_total"})
	if err := w.wholePass(); err != nil {
		t.Fatal(err)
	}
	a.Inc()
	b.Inc()
	server.LoseReply(func(op string) error {
		if strings.HasPrefix(op, memstore.OpCommit) {
			return errBroken
		}
		return nil
	})
	if err := w.wholePass(); err == nil {
		t.Fatal("the lost reply went unnoticed")
	}
	server.LoseReply(nil)
	a.consts.fam.out.generation = "" // as a clone that restarts its registration finds it
	a.consts.fam.out.newest = 0
	a.consts.fam.out.queue = nil
	if err := w.wholePass(); !errors.Is(err, errCloned) {
		t.Fatalf("the pass returns %v, want errCloned", err)
	}
	for range 2 {
		if err := w.wholePass(); err != nil {
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

func TestWriter_IsBackWithinTheTimeThatPagesWaitForIt(t *testing.T) {
	for _, lease := range []time.Duration{time.Second, 3 * time.Second, DefLeaseDuration, time.Minute} {
		_, w := stepped(memstore.New().Store("shop"))
		w.opts.LeaseDuration = lease
		for range 20 { // Redis has been away for long
			w.failed(errBroken)
		}
		if wait, grace := time.Until(w.retryAt), leaseGrace(lease); wait > grace*2/3 {
			t.Errorf("with a lease of %v it waits %v before it tries again, pages wait %v for it", lease, wait, grace)
		}
	}
}

// What the store had of this process before it took another identity is still missed
// on a page that lacks it.
func TestWriter_AnotherIdentityStillMissesWhatTheLastOneHad(t *testing.T) {
	reg, w := stepped(memstore.New().Store("shop"))
	reg.NewCounter(CounterOpts{Name: "a_total"}).Inc()
	if err := w.wholePass(); err != nil {
		t.Fatal(err)
	}
	w.becomeAnother(errCloned)
	w.publish()
	if !w.held.Load().MissingIn(wire.Head{}) {
		t.Error("a page may lack all families")
	}
	if err := w.wholePass(); err != nil {
		t.Fatal(err)
	}
	head, err := w.store.ReadHead(t.Context(), wire.AppState{})
	if err != nil || w.held.Load().MissingIn(head) {
		t.Errorf("a whole page counts as lacking something: %+v, %v", head, err)
	}
}

// A process that was fenced off from its index does not take it back when it goes on
// under another identity. One that had it does.
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
		w.lease.renewAt = time.Time{}
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
