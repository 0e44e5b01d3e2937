// SPDX-License-Identifier: Apache-2.0

// Package conformance is the suite that every store of metrics must pass. [Run]
// runs it on any store; [RunRedis] adds tests of the keys of a server.
package conformance

import (
	"context"
	"crypto/rand"
	"testing"
	"time"

	"github.com/shoal-metrics/shoal/core/internal/memstore"
	"github.com/shoal-metrics/shoal/core/internal/wire"
)

// Target is one kind of store, and what a test may change in it directly.
type Target struct {
	// Store gives access to one app's metrics.
	Store func(t testing.TB, app string) wire.Store
	// Advance puts the store's clock forward. It is nil for a store with a real clock.
	Advance func(t testing.TB, d time.Duration)
	// List adds names of families that are not registered to the list of families.
	List func(t testing.TB, app string, names ...string)
	// SetText overwrites the stored text of a series.
	SetText func(t testing.TB, app, family, field, text string)
	// LoseControl removes the key with a family's registration.
	LoseControl func(t testing.TB, app, family string)
	// LoseValues removes the key with a family's series.
	LoseValues func(t testing.TB, app, family string)
	// LoseMarks removes the key with the marks of a family's series.
	LoseMarks func(t testing.TB, app, family string)
	// EndEpoch makes the present epoch of a family seem to have begun long ago.
	EndEpoch func(t testing.TB, app, family string)
}

// MemstoreTarget is the store in memory.
func MemstoreTarget(server *memstore.Server) Target {
	return Target{
		Store:   func(_ testing.TB, app string) wire.Store { return server.Store(app) },
		Advance: func(_ testing.TB, d time.Duration) { server.Advance(d) },
		List:    func(_ testing.TB, app string, names ...string) { server.List(app, names...) },
		SetText: func(_ testing.TB, app, family, field, text string) {
			server.SetText(app, family, field, text)
		},
		LoseControl: func(_ testing.TB, app, family string) { server.LoseControl(app, family) },
		LoseValues:  func(_ testing.TB, app, family string) { server.LoseValues(app, family) },
		LoseMarks:   func(_ testing.TB, app, family string) { server.LoseMarks(app, family) },
		EndEpoch:    func(_ testing.TB, app, family string) { server.EndEpoch(app, family) },
	}
}

// Run runs the suite. Each test uses an app of its own.
func Run(t *testing.T, target Target) {
	t.Helper()
	runGroups(t, target, registerTests, commitTests, opTests, numberTests, vectorTests,
		leaseTests, seniorityTests, clockTests, gaugeTests, readTests, headTests, expectedTests, scanTests, housekeepTests, startTests, idleTests, removalTests, lateTests, changeTests)
}

func runGroups(t *testing.T, target Target, groups ...map[string]func(f *fixture)) {
	t.Helper()
	for _, group := range groups {
		for name, test := range group {
			t.Run(name, func(t *testing.T) { test(newFixture(t, target)) })
		}
	}
}

// fixture is one test's app, with shorthands that fail the test.
type fixture struct {
	*testing.T
	target Target
	app    string
	ctx    context.Context
	store  wire.Store
}

func newFixture(t *testing.T, target Target) *fixture {
	app := "app-" + rand.Text()
	return &fixture{T: t, target: target, app: app, ctx: t.Context(), store: target.Store(t, app)}
}

// registration returns a registration with a new nonce.
func registration(family, writer, kind string) wire.Registration {
	return wire.Registration{
		Family: family, Writer: writer, Nonce: rand.Text(), Born: 1,
		Definition: wire.Definition{Type: kind, Help: "Help of " + family + ".", Retention: retention},
	}
}

// register registers one family, which must succeed.
func (f *fixture) register(r wire.Registration) wire.RegisterReply {
	f.Helper()
	replies := f.store.Register(f.ctx, []wire.Registration{r})
	if len(replies) != 1 {
		f.Fatalf("%d replies to one registration", len(replies))
	}
	if replies[0].Err != nil {
		f.Fatalf("registering %s: %v", r.Family, replies[0].Err)
	}
	return replies[0]
}

// family registers a family and returns its generation.
func (f *fixture) family(name, kind string) string {
	f.Helper()
	return f.register(registration(name, "w1", kind)).Generation
}

// commit sends one batch, which must not fail.
func (f *fixture) commit(c wire.Commit) wire.CommitReply {
	f.Helper()
	replies := f.store.Commit(f.ctx, []wire.Commit{c})
	if len(replies) != 1 {
		f.Fatalf("%d replies to one batch", len(replies))
	}
	if replies[0].Err != nil {
		f.Fatalf("committing %d after %d: %v", c.Seq, c.Prev, replies[0].Err)
	}
	return replies[0]
}

// apply sends one batch and wants it applied.
func (f *fixture) apply(c wire.Commit) wire.CommitReply {
	f.Helper()
	reply, removed := f.commit(c), 0
	for ; reply.Status == wire.CommitUnfinished; reply = f.commit(c) {
		removed += reply.Removed
	}
	reply.Removed += removed
	if reply.Status != wire.CommitOK {
		f.Fatalf("committing %d after %d: status %d, last %d", c.Seq, c.Prev, reply.Status, reply.Last)
	}
	return reply
}

// batch is a batch of writer w1.
func batch(family, generation string, prev, seq uint64, ops ...wire.Op) wire.Commit {
	return wire.Commit{
		Family: family, Generation: generation, Writer: "w1", Prev: prev, Seq: seq, Totals: true, Ops: ops,
	}
}

func add(field, delta string) wire.Op {
	return wire.Op{Kind: wire.OpAdd, Field: field, Value: delta}
}

// series reads a family whole, by field.
func (f *fixture) series(family string) map[string]string {
	f.Helper()
	list, err := wire.ScanSeries(f.ctx, f.store, family, wire.MaxPage)
	if err != nil {
		f.Fatalf("scanning %s: %v", family, err)
	}
	all := make(map[string]string)
	for _, s := range list {
		if _, twice := all[s.Field]; twice {
			f.Errorf("scanning %s: the field %q came twice", family, s.Field)
		}
		all[s.Field] = s.Text
	}
	return all
}

// state reads a family's registration, if there is one.
func (f *fixture) state(family string) wire.FamilyState {
	f.Helper()
	states, err := f.store.ReadFamilies(f.ctx, []string{family})
	if err != nil || len(states) != 1 {
		f.Fatalf("reading %s: %d states, %v", family, len(states), err)
	}
	return states[0]
}

// head reads the app.
func (f *fixture) head() wire.AppState {
	f.Helper()
	state, err := f.store.ReadApp(f.ctx)
	if err != nil {
		f.Fatalf("reading the app: %v", err)
	}
	return state
}

func (f *fixture) housekeep(retention time.Duration) {
	f.Helper()
	f.housekeepAgain(f.store, retention, 0)
}

// housekeepAgain does the housekeeping unless a process did it within pause.
func (f *fixture) housekeepAgain(store wire.Store, retention, pause time.Duration) {
	f.Helper()
	if _, err := store.Housekeep(f.ctx, retention, pause); err != nil {
		f.Fatalf("housekeeping: %v", err)
	}
}

// elapse lets d pass; where it can't, it waits until done.
func (f *fixture) elapse(d time.Duration, what string, done func() bool) {
	f.Helper()
	if f.target.Advance != nil {
		f.target.Advance(f.T, d)
	}
	eventually(f.T, what, done)
}

// advance lets d pass, or skips the test where time can't be moved.
func (f *fixture) advance(d time.Duration) {
	f.Helper()
	if f.target.Advance == nil {
		f.Skip("this server's clock can't be moved; see the tests on its keys")
	}
	f.target.Advance(f.T, d)
}

// eventually polls until done, for 10 s at most.
func eventually(t testing.TB, what string, done func() bool) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for !done() {
		if time.Now().After(deadline) {
			t.Fatalf("not within 10 s: %s", what)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// wantVector compares the numbers, since 0.1 and 0.10000000000000001 are equal.
func wantVector(t testing.TB, what, got, want string) {
	t.Helper()
	if !sameVector(t, got, want) {
		t.Errorf("%s is %q, want %q", what, got, want)
	}
}

func sameVector(t testing.TB, got, want string) bool {
	t.Helper()
	a, err := wire.ParseVector(nil, got)
	if err != nil {
		return false
	}
	b, err := wire.ParseVector(nil, want)
	if err != nil {
		t.Fatal(err)
	}
	if len(a) != len(b) {
		return false
	}
	values := make(map[string]float64)
	for _, c := range a {
		values[c.Name] = c.Value
	}
	for _, c := range b {
		if v, ok := values[c.Name]; !ok || v != c.Value {
			return false
		}
	}
	return true
}
