// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"context"
	"crypto/rand"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/shoal-metrics/shoal/core/internal/wire"
	"github.com/shoal-metrics/shoal/core/tests/redistest"
)

// TestCluster_ReadOnlyClientConforms runs all rules on a client that would read
// from replicas: its reads go another way.
func TestCluster_ReadOnlyClientConforms(t *testing.T) {
	client := redistest.SharedCluster(t).Client(t, func(o *redis.ClusterOptions) { o.RouteRandomly = true })
	RunRedis(t, client, nil)
}

// TestCluster_ReadsGoToMasters counts what a replica is asked.
func TestCluster_ReadsGoToMasters(t *testing.T) {
	for name, route := range map[string]func(*redis.ClusterOptions){
		"ReadOnly":       func(o *redis.ClusterOptions) { o.ReadOnly = true },
		"RouteByLatency": func(o *redis.ClusterOptions) { o.RouteByLatency = true },
		"RouteRandomly":  func(o *redis.ClusterOptions) { o.RouteRandomly = true },
	} {
		t.Run(name, func(t *testing.T) {
			client := redistest.SharedCluster(t).Client(t, route)
			seen := &commands{}
			client.AddHook(seen)
			store := wire.NewRedis(client, rand.Text())
			gen := counter(t, store)
			commit(t, store, step(gen, 1))
			wantX(t, store, "1")
			if _, err := store.ScanSeries(t.Context(), "a", wire.MaxPage); err != nil {
				t.Error(err)
			}
			if _, err := store.ReadFamilies(t.Context(), []string{"a"}); err != nil {
				t.Error(err)
			}
			if _, err := store.ReadApp(t.Context()); err != nil {
				t.Error(err)
			}
			if _, err := store.ReadGauges(t.Context(), []string{"w"}); err != nil {
				t.Error(err)
			}
			if err := store.Housekeep(t.Context(), 0, 0); err != nil {
				t.Error(err)
			}
			for _, name := range seen.names {
				if !strings.HasPrefix(name, "eval") {
					t.Errorf("%s may go to a replica", name)
				}
			}
		})
	}
}

// commands notes the names of the commands that a client is given.
type commands struct{ names []string }

func (c *commands) DialHook(next redis.DialHook) redis.DialHook { return next }

func (c *commands) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		c.names = append(c.names, cmd.Name())
		return next(ctx, cmd)
	}
}

func (c *commands) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		for _, cmd := range cmds {
			c.names = append(c.names, cmd.Name())
		}
		return next(ctx, cmds)
	}
}

// TestCluster_SlotMovesUnderTheWriter moves a family to another master, which
// knows no script, while its writer goes on.
func TestCluster_SlotMovesUnderTheWriter(t *testing.T) {
	ctx := t.Context()
	cluster := redistest.StartCluster(t)
	client := cluster.Client(t)
	app := rand.Text()
	store := wire.NewRedis(client, app)
	gen := counter(t, store)
	key := "shoal:1:{" + app + "/a}:v"
	control := "shoal:1:{" + app + "/a}:ctl"

	source := cluster.NodeOf(t, client, key)
	target := cluster.Nodes[0]
	if target == source {
		target = cluster.Nodes[1]
	}
	from, to := source.Client(t), target.Client(t)
	slot := int(client.ClusterKeySlot(ctx, key).Val())
	fromID, toID := id(t, from), id(t, to)

	seq := uint64(0)
	// Reads take their replies raw, and follow redirections all the same.
	reads := func(when string) {
		t.Helper()
		replies, _, err := store.ReadSeries(ctx, []wire.SeriesQuery{{Family: "a", Fields: []string{"x", "not there"}}}, wire.MaxPage)
		want := []wire.SeriesValue{{Text: strconv.FormatUint(seq, 10), Found: true}, {}}
		if err != nil || replies[0].Err != nil || !slices.Equal(replies[0].Values, want) {
			t.Errorf("%s: %+v, %v, want %v", when, replies, err, want)
		}
	}
	applied := func(when string) {
		t.Helper()
		if seq > 0 {
			reads(when)
		}
		seq++
		r := commit(t, store, step(gen, seq))[0]
		if r.Err != nil || r.Status != wire.CommitOK {
			t.Fatalf("%s: %+v", when, r)
		}
		reads(when)
	}
	do := func(c *redis.Client, args ...any) {
		t.Helper()
		if err := c.Do(ctx, args...).Err(); err != nil {
			t.Fatalf("%v: %v", args, err)
		}
	}
	migrate := func(key string) {
		t.Helper()
		host, port, _ := strings.Cut(target.Addr, ":")
		do(from, "MIGRATE", host, port, key, 0, 5000)
	}

	applied("before")
	do(to, "CLUSTER", "SETSLOT", slot, "IMPORTING", fromID)
	do(from, "CLUSTER", "SETSLOT", slot, "MIGRATING", toID)
	applied("while both keys are at the source")
	migrate(key)
	r := commit(t, store, step(gen, seq+1))[0]
	if r.Err == nil || !wire.Refused(r.Err) || !strings.Contains(r.Err.Error(), "TRYAGAIN") {
		t.Errorf("while the keys are apart: %+v, want TRYAGAIN", r)
	}
	migrate(control)
	applied("while both keys are at the target, by ASK and without a script")
	applied("by ASK")
	for _, c := range []*redis.Client{to, from} {
		do(c, "CLUSTER", "SETSLOT", slot, "NODE", toID)
	}
	applied("after the move")
	wantX(t, store, strconv.FormatUint(seq, 10))
}

func id(t *testing.T, c *redis.Client) string {
	t.Helper()
	text, err := c.Do(t.Context(), "CLUSTER", "MYID").Text()
	if err != nil {
		t.Fatal(err)
	}
	return text
}
