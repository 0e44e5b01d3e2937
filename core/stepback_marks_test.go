// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"testing"
	"time"

	"github.com/shoal-metrics/shoal/core/internal/memstore"
	"github.com/shoal-metrics/shoal/core/internal/wire"
)

// texts are the stored texts of a family, by the value of its one label.
func texts(t testing.TB, server *memstore.Server, family string) map[string]string {
	t.Helper()
	list, err := wire.ScanSeries(t.Context(), server.Store("shop"), family, wire.MaxPage)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, s := range list {
		all[wire.FieldValues(s.Field, []string{"k"})[0]] = s.Text
	}
	return all
}

// A child that found no room leaves the table. What it counted is in the overflow series.
func TestMarks_WhatTheOverflowSeriesTookComesBackAfterAStepBack(t *testing.T) {
	for name, lostReply := range map[string]error{"acknowledged": nil, "acknowledged as a duplicate": errBroken} {
		t.Run(name, func(t *testing.T) {
			server := memstore.New()
			r := process(t, server, Opts{SeriesLimit: 1, Interval: time.Hour})
			v := r.NewCounterVec(CounterOpts{Name: "c_total"}, []string{"k"})
			v.WithLabelValues("in").Inc()
			flush(t, r)
			before := server.Snapshot()
			v.WithLabelValues("beyond").Add(5)
			server.LoseReply(func(op string) (err error) {
				if op == memstore.OpCommit+" c_total" {
					err, lostReply = lostReply, nil
				}
				return err
			})
			flush(t, r)
			if n := children(r, "c_total"); n != 1 {
				t.Fatalf("%d children, want that which found no room to be gone", n)
			}
			server.Restore(before)
			v.WithLabelValues("in").Inc()
			flush(t, r)
			if got := texts(t, server, "c_total"); got["in"] != "2" || got["shoal_overflow"] != "5" {
				t.Errorf("Redis has %v, want in 2 and shoal_overflow 5", got)
			}
		})
	}
}

// Where Redis has stepped back, a series is missing that comes back from what is kept.
func TestMarks_AStepBackBeforeAMarkLosesNothing(t *testing.T) {
	server := memstore.New()
	server.HideLineage(true) // the heartbeat does not tell
	r, w := stepped(server.Store("shop"))
	v := r.NewCounterVec(CounterOpts{Name: "c_total"}, []string{"k"})
	v.WithLabelValues("old").Inc()
	if err := w.flushAll(); err != nil {
		t.Fatal(err)
	}
	before := server.Snapshot()
	v.WithLabelValues("new").Add(5)
	if err := w.flushAll(); err != nil {
		t.Fatal(err)
	}
	server.Restore(before)
	v.consts.fam.out.due = true
	for range 2 {
		if err := w.flushAll(); err != nil {
			t.Fatal(err)
		}
	}
	if got := texts(t, server, "c_total"); got["old"] != "1" || got["new"] != "5" {
		t.Errorf("Redis has %v, want old 1 and new 5", got)
	}
	if n := children(r, "c_total"); n != 2 {
		t.Errorf("the process holds %d children, want 2", n)
	}
}
