// SPDX-License-Identifier: Apache-2.0

package behaviour_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	shoal "github.com/shoal-metrics/shoal/core"
	"github.com/shoal-metrics/shoal/core/internal/wire"

	"github.com/shoal-metrics/shoal/core/tests/testkit"
)

// docs/protocol.md, "Versions": what a later release adds within this version of the protocol
// is ignored and kept, and does no harm.
func TestDeploy_WhatALaterReleaseAddsIsIgnoredAndKept(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	old := f.process(t)
	declare := func(reg *shoal.Registry) (*shoal.Counter, *shoal.Gauge) {
		return reg.NewCounter(shoal.CounterOpts{Name: "jobs_total", Help: "Jobs."}), reg.NewGauge(shoal.GaugeOpts{Name: "depth", Help: "Depth."})
	}
	jobs, depth := declare(old)
	jobs.Add(2)
	depth.Set(1)
	flush(t, old)
	ctx, tag := t.Context(), "shoal:1:{"+f.app
	ends := f.redis.Time(ctx).Val().Add(time.Hour).UnixMilli()
	hour := time.Now().Add(time.Hour).UnixMicro()
	lineage, _, _ := strings.Cut(f.redis.HGet(ctx, tag+"}:leases", "lineage").Val(), " ")
	later := errors.Join(
		// A field in a registration; a lease with further words; fields beside the
		// leases, one of them with a time in it; a family of a type and a gauge of a
		// mode that only the later release knows; and a name that is not allowed today.
		f.redis.HSet(ctx, tag+"/jobs_total}:ctl", "unit", "jobs", "\xfd", "x").Err(),
		f.redis.HSet(ctx, tag+"}:leases", "i:7", fmt.Sprintf("laterwriter %d %s h2 v9 %d more words=here", ends, lineage, hour),
			"epoch", "12 1", "lineages", "a b").Err(),
		f.redis.HSet(ctx, tag+"}:g:laterwriter", "\xfe", "1", "depth", fmt.Sprint("4 ", ends)).Err(),
		f.redis.HSet(ctx, tag+"/state}:ctl", "gen", "g1", "type", "stateset", "born", "1", "created", "1", "shape", "0", "touched", ends/1000).Err(),
		f.redis.HSet(ctx, tag+"/state}:v", "\xfe", "g1", "", "on:1").Err(),
		f.redis.HSet(ctx, tag+"/median}:ctl", "gen", "g2", "type", "gauge", "help", "Later.", "mode", "median", "born", "1", "created", "1", "shape", "0", "touched", ends/1000).Err(),
		f.redis.HSet(ctx, tag+"/median}:v", "\xfe", "g2").Err(),
		f.redis.HSet(ctx, tag+"}:g:laterwriter", "median", fmt.Sprint("5 ", ends)).Err(),
		f.redis.ZAdd(ctx, tag+"}:families", redis.Z{Score: float64(ends), Member: "state"},
			redis.Z{Score: float64(ends), Member: "median"}, redis.Z{Score: float64(ends), Member: "jobs.by kind"}).Err(),
	)
	if later != nil {
		t.Fatal(later)
	}
	young := f.process(t)
	youngJobs, youngDepth := declare(young)
	youngJobs.Add(3)
	youngDepth.Set(2)
	jobs.Inc()
	flush(t, old, young)
	_, err := wire.NewRedis(f.redis, f.app).Housekeep(ctx, time.Hour, 0)
	testkit.Check(t, err)
	f.passes(t, 250*time.Millisecond) // refreshes
	for _, reg := range []*shoal.Registry{old, young, f.reader(t)} {
		p := testkit.Scrape(t, reg)
		p.Want(t, "jobs_total", "6", `depth{gauge_index="0"}`, "1", `depth{gauge_index="1"}`, "2", `depth{gauge_index="7"}`, "4",
			"shoal_instances", "3", `shoal_instance_info{gauge_index="7",host="h2",version="v9"}`, "1", `median{gauge_index="7"}`, "5")
		p.WantNone(t, "state")
		p.Valid(t)
	}
	kept := f.redis.HMGet(ctx, tag+"/jobs_total}:ctl", "unit", "\xfd").Val()
	kept = append(kept, f.redis.HMGet(ctx, tag+"}:leases", "epoch", "lineages").Val()...)
	for i, want := range []string{"jobs", "x", "12 1", "a b"} {
		if kept[i] != want {
			t.Errorf("of what was added is left %q", kept)
			break
		}
	}
}
