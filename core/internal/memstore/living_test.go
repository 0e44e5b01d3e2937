// SPDX-License-Identifier: Apache-2.0

package memstore

import (
	"context"
	"testing"
	"time"

	"github.com/shoal-metrics/shoal/core/internal/wire"
)

const leaseTTL = 15 * time.Second

func (f *fixture) hold(writer string, index, wanted int) wire.HoldReply {
	f.Helper()
	reply, err := f.store.Hold(context.Background(), wire.HoldRequest{
		Writer: writer, Index: index, Wanted: wanted, TTL: leaseTTL,
	})
	if err != nil {
		f.Fatal(err)
	}
	reply.Now = time.Time{}
	return reply
}

func (f *fixture) leases() map[int]string {
	f.Helper()
	app, err := f.store.ReadApp(context.Background())
	if err != nil {
		f.Fatal(err)
	}
	leases := make(map[int]string)
	for _, l := range app.Leases {
		leases[l.Index] = l.Writer
	}
	return leases
}

func TestHold_FirstMatch(t *testing.T) {
	f := newFixture(t)
	none := wire.NoIndex
	expect(t, "lowest free", f.hold("a", none, none), wire.HoldReply{Index: 0})
	expect(t, "next free", f.hold("b", none, none), wire.HoldReply{Index: 1})
	expect(t, "after a lost reply", f.hold("b", none, none), wire.HoldReply{Index: 1})
	expect(t, "own index missing", f.hold("c", 5, none), wire.HoldReply{Index: 5, Lost: true})
	expect(t, "wanted fences", f.hold("d", none, 1), wire.HoldReply{Index: 1, Fenced: "b"})
	expect(t, "the fenced one moves on", f.hold("b", 1, none), wire.HoldReply{Index: 2, Lost: true})
	f.server.Advance(leaseTTL)
	expect(t, "own index expired", f.hold("c", 5, none), wire.HoldReply{Index: 5})
	expect(t, "an expired one is free", f.hold("e", none, none), wire.HoldReply{Index: 0, Fenced: "a"})
	expect(t, "living", f.leases(), map[int]string{0: "e", 5: "c"})
}

func TestRelease_TouchesNothingOfOthers(t *testing.T) {
	f := newFixture(t)
	ctx := context.Background()
	f.hold("a", wire.NoIndex, wire.NoIndex)
	f.gauges("a", wire.GaugeWrite{Version: 1, Full: true, Ops: set("g", "1", time.Minute)})
	if err := f.store.Release(ctx, "b", 0); err != nil {
		t.Fatal(err)
	}
	expect(t, "released by another", f.leases(), map[int]string{0: "a"})
	expect(t, "gauges", f.read("a"), map[string]string{"g": "1"})
	if err := f.store.Release(ctx, "a", 0); err != nil {
		t.Fatal(err)
	}
	expect(t, "released", f.leases(), map[int]string{})
	expect(t, "gauges", f.read("a"), map[string]string{})
}

func set(field, value string, expire time.Duration) []wire.GaugeOp {
	return []wire.GaugeOp{{Field: field, Value: value, Expire: expire}}
}

func (f *fixture) gauges(writer string, w wire.GaugeWrite) wire.GaugeStatus {
	f.Helper()
	w.Writer = writer
	status, err := f.store.WriteGauges(context.Background(), w)
	if err != nil {
		f.Fatal(err)
	}
	return status
}

func (f *fixture) read(writer string) map[string]string {
	f.Helper()
	lists, err := f.store.ReadGauges(context.Background(), []string{"nobody", writer})
	if err != nil {
		f.Fatal(err)
	}
	if len(lists[0].Entries) != 0 {
		f.Errorf("gauges of nobody: %v", lists[0])
	}
	gauges := make(map[string]string)
	for _, s := range lists[1].Entries {
		gauges[s.Field] = s.Text
	}
	return gauges
}

func TestWriteGauges_VersionsAndDeadlines(t *testing.T) {
	f := newFixture(t)
	expect(t, "without a lease", f.gauges("a", wire.GaugeWrite{Version: 1, Ops: set("g", "1", time.Minute)}), wire.GaugesLostLease)
	f.hold("a", wire.NoIndex, wire.NoIndex)
	expect(t, "first", f.gauges("a", wire.GaugeWrite{Version: 1, Ops: set("g", "1", time.Minute)}), wire.GaugesOK)
	expect(t, "again", f.gauges("a", wire.GaugeWrite{Version: 1, Ops: set("g", "2", time.Minute)}), wire.GaugesDuplicate)
	expect(t, "after a hole", f.gauges("a", wire.GaugeWrite{Version: 3, Ops: set("g", "3", time.Minute)}), wire.GaugesWantFull)
	expect(t, "unchanged", f.read("a"), map[string]string{"g": "1"})
	expect(t, "full", f.gauges("a", wire.GaugeWrite{Version: 4, Full: true, Ops: set("h", "4", time.Second)}), wire.GaugesOK)
	expect(t, "next", f.gauges("a", wire.GaugeWrite{Version: 5, Ops: set("i", "5", time.Minute)}), wire.GaugesOK)
	expect(t, "replaced", f.read("a"), map[string]string{"h": "4", "i": "5"})
	f.server.Advance(time.Second)
	expect(t, "own deadline", f.read("a"), map[string]string{"i": "5"})
	f.server.Advance(time.Hour)
	expect(t, "the key expired", f.gauges("a", wire.GaugeWrite{Version: 6, Ops: set("i", "6", time.Minute)}), wire.GaugesWantFull)
	f.hold("b", wire.NoIndex, 0)
	expect(t, "fenced", f.gauges("a", wire.GaugeWrite{Version: 7, Full: true}), wire.GaugesLostLease)
}

func TestHousekeep_RemovesByAgeAlone(t *testing.T) {
	f := newFixture(t)
	ctx := context.Background()
	f.hold("a", wire.NoIndex, wire.NoIndex)
	f.commit(0, 1, plus("", "1"))
	f.server.List("shop", "orders")
	housekeep := func(retention time.Duration) {
		t.Helper()
		if err := f.store.Housekeep(ctx, retention, 0); err != nil {
			t.Fatal(err)
		}
	}
	f.server.Advance(wire.SequenceAge - time.Second)
	housekeep(0)
	expect(t, "younger than the age", f.commit(0, 1).Status, wire.CommitDuplicate) // which renews the stamp
	f.server.Advance(wire.SequenceAge - time.Second)
	housekeep(0)
	expect(t, "renewed by the duplicate", f.commit(1, 1).Status, wire.CommitDuplicate)
	f.server.Advance(wire.SequenceAge)
	housekeep(0)
	expect(t, "removed", f.commit(1, 2).Status, wire.CommitGap)
	expect(t, "kept without retention", f.series(), map[string]string{"": "1"})

	housekeep(30 * 24 * time.Hour)
	expect(t, "younger than the retention", f.series(), map[string]string{"": "1"})
	f.server.Advance(20 * 24 * time.Hour)
	f.commit(0, 1, plus("", "1"))
	f.server.Advance(20 * 24 * time.Hour)
	housekeep(30 * 24 * time.Hour)
	expect(t, "written though not declared", f.series(), map[string]string{"": "2"})
	f.server.Advance(30 * 24 * time.Hour)
	housekeep(30 * 24 * time.Hour)
	expect(t, "past the retention", f.series(), map[string]string{})
	app, err := f.store.ReadApp(ctx)
	if err != nil || len(app.Families) != 0 {
		t.Errorf("still listed: %v, %v", app.Families, err)
	}
}
