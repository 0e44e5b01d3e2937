// SPDX-License-Identifier: Apache-2.0

package memstore

import (
	"context"
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/shoal-metrics/shoal/core/internal/wire"
)

// core/tests/conformance tests the rules of the protocol on this store too, and
// core/tests/differential compares it with the scripts. The tests here are of what only
// this store has: faults on request, and snapshots.

var (
	_ wire.Store  = (*store)(nil)
	_ redis.Error = RefusedError("")
)

// fixture is a server with the counter "orders" of the app "shop".
type fixture struct {
	*testing.T
	server     *Server
	store      wire.Store
	generation string
}

func newFixture(t *testing.T) *fixture {
	server := New()
	f := &fixture{T: t, server: server, store: server.Store("shop")}
	r := f.store.Register(t.Context(), []wire.Registration{{
		Family: "orders", Writer: "w1", Nonce: "n", Definition: wire.Definition{Type: wire.TypeCounter},
	}})[0]
	if r.Err != nil {
		t.Fatal(r.Err)
	}
	f.generation = r.Generation
	return f
}

// commit sends a batch that adds 1 to the series without labels.
func (f *fixture) commit(prev, seq uint64) wire.CommitReply {
	return f.store.Commit(f.Context(), []wire.Commit{{
		Family: "orders", Generation: f.generation, Writer: "w1", Prev: prev, Seq: seq,
		Ops: []wire.Op{{Kind: wire.OpAdd, Value: "1"}},
	}})[0]
}

// series is the value of the series without labels; empty where there is none.
func (f *fixture) series() string {
	f.server.mu.Lock()
	defer f.server.mu.Unlock()
	return f.server.apps["shop"].families["orders"].values.series[""]
}

func expect[T any](t *testing.T, what string, got, want T) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s: got %+v, want %+v", what, got, want)
	}
}

func TestFaults_RefusedIsNotAppliedAndLostReplyIs(t *testing.T) {
	f := newFixture(t)
	lost := errors.New("connection reset")
	f.server.Fail(func(op string) error {
		expect(t, "op", op, OpCommit+" orders")
		return RefusedError("READONLY")
	})
	expect(t, "refusal", f.commit(0, 1), wire.CommitReply{Err: RefusedError("READONLY")})
	expect(t, "refused", f.series(), "")
	f.server.Fail(nil)
	f.server.LoseReply(func(string) error { return lost })
	expect(t, "lost", f.commit(0, 1), wire.CommitReply{Err: lost})
	expect(t, "applied", f.series(), "1")

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := f.store.ReadApp(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("with a canceled context: %v", err)
	}
}

// create sends a batch that creates a series.
func (f *fixture) create(field string, seq uint64) {
	f.Helper()
	expect(f.T, "applied", f.store.Commit(f.Context(), []wire.Commit{{
		Family: "orders", Generation: f.generation, Writer: "w1", Prev: seq - 1, Seq: seq,
		Ops: []wire.Op{{Kind: wire.OpAdd, Field: field, Value: "1"}},
	}})[0].Status, wire.CommitOK)
}

func (f *fixture) version() string {
	f.Helper()
	states, err := f.store.ReadFamilies(f.Context(), []string{"orders"})
	if err != nil {
		f.Fatal(err)
	}
	return states[0].SeriesVersion
}

// changes reads the log since a version.
func (f *fixture) changes(since string) wire.ChangesReply {
	f.Helper()
	replies, err := f.store.ReadChanges(f.Context(), []wire.ChangesQuery{{Family: "orders", Since: since, Now: f.version()}})
	if err != nil {
		f.Fatal(err)
	}
	return replies[0]
}

func TestLogChanges_BeginsAboveSoManySeries(t *testing.T) {
	f := newFixture(t)
	f.server.LogChanges(1)
	for seq, field := range []string{"a", "b", "c"} {
		before := f.version()
		f.create(field, uint64(seq)+1)
		want := wire.ChangesReply{}
		if seq > 1 {
			want = wire.ChangesReply{Known: true, Fields: []string{field}}
		}
		expect(t, field, f.changes(before), want)
	}
}

func TestSnapshot_RestoreLeavesTheLogOfTheOlderState(t *testing.T) {
	f := newFixture(t)
	f.server.LogChanges(0)
	f.create("a", 1)
	common := f.version()
	snapshot := f.server.Snapshot()
	f.create("b", 2)
	lost := f.version()
	f.server.Restore(snapshot)
	f.server.Advance(time.Second)
	f.create("c", 2)
	expect(t, "since before", f.changes(common), wire.ChangesReply{Known: true, Fields: []string{"c"}})
	expect(t, "since what was lost", f.changes(lost), wire.ChangesReply{})
}

func TestSnapshot_RestoreIsARollback(t *testing.T) {
	f := newFixture(t)
	f.commit(0, 1)
	before := f.server.Snapshot()
	for range 2 {
		f.commit(1, 2)
		expect(t, "ahead", f.series(), "2")
		f.server.Restore(before)
		expect(t, "rolled back", f.series(), "1")
		expect(t, "shows as a gap", f.commit(2, 3), wire.CommitReply{Status: wire.CommitGap, Last: 1})
	}
	f.server.Wipe()
	expect(t, "wiped", f.commit(1, 2).Status, wire.CommitUnknown)
}
