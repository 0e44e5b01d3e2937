// SPDX-License-Identifier: Apache-2.0

package memstore

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/shoal-metrics/shoal/core/internal/wire"
)

var (
	_ wire.Store  = (*store)(nil)
	_ redis.Error = RefusedError("")
)

// fixture is a server with a clock of its own, one store and one family.
type fixture struct {
	*testing.T
	server     *Server
	store      wire.Store
	generation string
}

func newFixture(t *testing.T) *fixture {
	server := New()
	start := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	server.SetClock(func() time.Time { return start })
	f := &fixture{T: t, server: server, store: server.Store("shop")}
	f.generation = f.register("orders", "w1").Generation
	return f
}

func (f *fixture) register(family, writer string) wire.RegisterReply {
	f.Helper()
	r := f.store.Register(context.Background(), []wire.Registration{{
		Family:     family,
		Writer:     writer,
		Nonce:      family + " " + writer,
		Definition: wire.Definition{Type: wire.TypeCounter},
	}})[0]
	if r.Err != nil {
		f.Fatal(r.Err)
	}
	return r
}

func (f *fixture) commit(prev, seq uint64, ops ...wire.Op) wire.CommitReply {
	f.Helper()
	return f.store.Commit(context.Background(), []wire.Commit{{
		Family:     "orders",
		Generation: f.generation,
		Writer:     "w1",
		Prev:       prev,
		Seq:        seq,
		Limit:      2,
		Overflow:   "k\xffshoal_overflow",
		Totals:     true,
		Ops:        ops,
	}})[0]
}

func (f *fixture) series() map[string]string {
	f.Helper()
	list, err := f.store.ScanSeries(context.Background(), "orders", wire.MaxPage)
	if err != nil {
		f.Fatal(err)
	}
	series := make(map[string]string)
	for _, s := range list {
		series[s.Field] = s.Text
	}
	return series
}

func plus(field, value string) wire.Op {
	return wire.Op{Kind: wire.OpAdd, Field: field, Value: value}
}

func expect[T any](t *testing.T, what string, got, want T) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s: got %+v, want %+v", what, got, want)
	}
}

func TestCommit_States(t *testing.T) {
	f := newFixture(t)
	expect(t, "first", f.commit(0, 1, plus("", "2")),
		wire.CommitReply{Status: wire.CommitOK, Last: 1, Totals: []string{"2"}})
	expect(t, "again", f.commit(0, 1, plus("", "2")),
		wire.CommitReply{Status: wire.CommitDuplicate, Last: 1, Totals: []string{"2"}})
	expect(t, "a hole", f.commit(2, 3, plus("", "1")),
		wire.CommitReply{Status: wire.CommitGap, Last: 1})
	expect(t, "jumping over it", f.commit(1, 3, plus("", "0.5")),
		wire.CommitReply{Status: wire.CommitOK, Last: 3, Totals: []string{"2.5"}})
	expect(t, "verification", f.commit(3, 3).Status, wire.CommitDuplicate)
	expect(t, "verification after a rollback", f.commit(4, 4).Status, wire.CommitGap)
	f.generation = "other"
	expect(t, "another generation", f.commit(0, 1),
		wire.CommitReply{Status: wire.CommitUnknown})
	expect(t, "stored", f.series(), map[string]string{"": "2.5"})
}

func TestCommit_Vectors(t *testing.T) {
	f := newFixture(t)
	f.commit(0, 1, plus("k\xffa", "sum:1 5:1"))
	expect(t, "added", f.commit(1, 2, plus("k\xffa", "10:2 sum:1e308")).Totals, []string{"sum:1e+308 5:1 10:2"})
	expect(t, "clamped", f.commit(2, 3, plus("k\xffa", "sum:1e308")).Totals, []string{"sum:1.7976931348623157e+308 5:1 10:2"})
	f.server.SetText("shop", "orders", "k\xffa", "sum:x")
	reply := f.commit(3, 4, plus("k\xffa", "sum:3"))
	expect(t, "corrupt", reply.Corrupt, 1)
	expect(t, "replaced", reply.Totals, []string{"sum:3"})

	reply = f.commit(4, 5, plus("k\xffb", "1"), plus("k\xffa", "sum:NaN"))
	expect(t, "malformed is refused", isRefusal(reply.Err), true)
	expect(t, "and changes nothing", f.series(), map[string]string{"k\xffa": "sum:3"})
	expect(t, "nor its number", f.commit(4, 5).Status, wire.CommitOK)
}

func TestCommit_OverflowTakesWhatIsAboveTheLimit(t *testing.T) {
	f := newFixture(t)
	reply := f.commit(0, 1, plus("k\xffa", "1"), plus("k\xffb", "1"), plus("k\xffc", "1"), plus("k\xffd", "2"))
	expect(t, "overflowed", reply.Overflowed, 2)
	expect(t, "totals", reply.Totals, []string{"1", "1", "3", "3"})
	expect(t, "known series still grow", f.commit(1, 2, plus("k\xffb", "1")).Totals, []string{"2"})
	expect(t, "stored", f.series(), map[string]string{"k\xffa": "1", "k\xffb": "2", "k\xffshoal_overflow": "3"})
}

func TestCommit_DeleteAndClear(t *testing.T) {
	f := newFixture(t)
	seriesVersion := f.seriesVersion()
	f.commit(0, 1, plus("k\xffa", "1"), plus("k\xffb", "1"))
	if f.seriesVersion() == seriesVersion {
		t.Error("new series left the series version as it was")
	}
	seriesVersion = f.seriesVersion()
	f.commit(1, 2, plus("k\xffa", "1"))
	expect(t, "series version after an addition to a known series", f.seriesVersion(), seriesVersion)
	reply := f.commit(2, 3, wire.Op{Kind: wire.OpDelete, Field: "k\xffa"}, plus("k\xffc", "1"))
	expect(t, "totals", reply.Totals, []string{"", "1"})
	expect(t, "after the delete", f.series(), map[string]string{"k\xffb": "1", "k\xffc": "1"})
	f.commit(3, 4, wire.Op{Kind: wire.OpClear}, plus("k\xffb", "5"))
	expect(t, "after the clear", f.series(), map[string]string{"k\xffb": "5"})
	expect(t, "the retry of the clear", f.commit(3, 4, wire.Op{Kind: wire.OpClear}).Status, wire.CommitDuplicate)
	expect(t, "erases nothing", f.series(), map[string]string{"k\xffb": "5"})
}

func (f *fixture) seriesVersion() string {
	f.Helper()
	states, err := f.store.ReadFamilies(context.Background(), []string{"orders"})
	if err != nil || states[0].Err != nil {
		f.Fatal(err, states[0].Err)
	}
	return states[0].SeriesVersion
}

func TestCommit_LatestKeepsTheNewestStamp(t *testing.T) {
	f := newFixture(t)
	set := func(value string) wire.Op { return wire.Op{Kind: wire.OpLatest, Value: value} }
	expect(t, "first", f.commit(0, 1, set("5 100 0")).Totals, []string{"5 100 0"})
	expect(t, "older", f.commit(1, 2, set("6 99 0")).Totals, []string{"5 100 0"})
	expect(t, "newer", f.commit(2, 3, set("NaN 101 200")).Totals, []string{"NaN 101 200"})
	expect(t, "malformed", isRefusal(f.commit(3, 4, set("6")).Err), true)
}

func TestRegister_OrphanAndClash(t *testing.T) {
	f := newFixture(t)
	named := func(nonce string) string { // the fixture's clock stands still
		return nonce + strings.TrimPrefix(f.generation, "orders w1")
	}
	f.commit(0, 1, plus("", "2"))
	expect(t, "known", f.register("orders", "w1"), wire.RegisterReply{Generation: named("orders w1"), Last: 1})
	expect(t, "unknown writer", f.register("orders", "w2"), wire.RegisterReply{Generation: named("orders w1")})

	clash := f.store.Register(context.Background(), []wire.Registration{{
		Family: "orders", Writer: "w1", Nonce: "n", Definition: wire.Definition{Type: wire.TypeGauge},
	}})[0]
	expect(t, "clash", clash, wire.RegisterReply{Clash: wire.TypeCounter})

	f.server.LoseControl("shop", "orders")
	expect(t, "commit without registration", f.commit(1, 2).Status, wire.CommitUnknown)
	expect(t, "orphan", f.register("orders", "w2"), wire.RegisterReply{Generation: named("orders w2"), Orphan: true})
	expect(t, "keeps the values", f.series(), map[string]string{"": "2"})

	f.server.LoseValues("shop", "orders")
	expect(t, "new start", f.register("orders", "w1"), wire.RegisterReply{Generation: named("orders w1")})
	expect(t, "without values", f.series(), map[string]string{})
}

func TestRegister_ShowsTheYoungestWriter(t *testing.T) {
	f := newFixture(t)
	ctx := context.Background()
	for _, born := range []int64{5, 9, 7} {
		f.store.Register(ctx, []wire.Registration{{
			Family: "size", Writer: "w", Nonce: "n", Born: born,
			Definition: wire.Definition{Type: wire.TypeHistogram, Bounds: []string{wire.FormatNumber(float64(born))}},
		}})
	}
	states, err := f.store.ReadFamilies(ctx, []string{"size", "nobody's"})
	if err != nil {
		t.Fatal(err)
	}
	expect(t, "bounds", states[0].Bounds, []string{"9"})
	if states[1].Err == nil {
		t.Error("a family without registration came back without an error")
	}
}

func TestFaults_RefusedIsNotAppliedAndLostReplyIs(t *testing.T) {
	f := newFixture(t)
	lost := errors.New("connection reset")
	f.server.Fail(func(op string) error {
		expect(t, "op", op, OpCommit+" orders")
		return RefusedError("READONLY")
	})
	expect(t, "refusal", f.commit(0, 1, plus("", "1")), wire.CommitReply{Err: RefusedError("READONLY")})
	expect(t, "refused", f.serverSeries(), map[string]string{})
	f.server.Fail(nil)
	f.server.LoseReply(func(string) error { return lost })
	expect(t, "lost", f.commit(0, 1, plus("", "1")), wire.CommitReply{Err: lost})
	f.server.LoseReply(nil)
	expect(t, "applied", f.series(), map[string]string{"": "1"})

	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := f.store.ReadApp(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("with a canceled context: %v", err)
	}
}

// serverSeries looks past the hooks.
func (f *fixture) serverSeries() map[string]string {
	f.server.mu.Lock()
	defer f.server.mu.Unlock()
	return f.server.apps["shop"].families["orders"].values.series
}

func isRefusal(err error) bool {
	var refusal redis.Error
	return errors.As(err, &refusal)
}

func TestSnapshot_RestoreIsARollback(t *testing.T) {
	f := newFixture(t)
	f.commit(0, 1, plus("", "1"))
	before := f.server.Snapshot()
	for range 2 {
		f.commit(1, 2, plus("", "1"))
		expect(t, "ahead", f.series(), map[string]string{"": "2"})
		f.server.Restore(before)
		expect(t, "rolled back", f.series(), map[string]string{"": "1"})
		expect(t, "shows as a gap", f.commit(2, 3), wire.CommitReply{Status: wire.CommitGap, Last: 1})
	}
	f.server.Wipe()
	expect(t, "wiped", f.commit(1, 2).Status, wire.CommitUnknown)
}

func TestStore_AppsNeverMeet(t *testing.T) {
	f := newFixture(t)
	ctx := context.Background()
	f.commit(0, 1, plus("", "1"))
	f.server.List("shop", "orders")
	other := f.server.Store("shop2") // a prefix of the name is not the name
	app, err := other.ReadApp(ctx)
	if err != nil || len(app.Families) != 0 {
		t.Errorf("the other app lists %v, %v", app.Families, err)
	}
	if series, err := other.ScanSeries(ctx, "orders", wire.MaxPage); err != nil || len(series) != 0 {
		t.Errorf("the other app reads %v, %v", series, err)
	}
	app, err = f.server.Store("shop").ReadApp(ctx)
	if err != nil || len(app.Families) != 1 {
		t.Errorf("a second store of the app lists %v, %v", app.Families, err)
	}
}
