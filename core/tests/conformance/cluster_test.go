// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/shoal-metrics/shoal/core/internal/wire"
	"github.com/shoal-metrics/shoal/core/tests/redistest"
)

// TestCluster_ReadOnlyClientConforms runs the suite on a client that would read from replicas.
// wire sends its reads in another way.
func TestCluster_ReadOnlyClientConforms(t *testing.T) {
	client := redistest.SharedCluster(t).Client(t, func(o *redis.ClusterOptions) { o.RouteRandomly = true })
	RunRedis(t, client, nil)
}

// TestCluster_ReadsGoToMasters checks that no reading command may go to a replica.
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
			f, _ := begin(t, client)
			f.wantX("1")
			f.series("a")
			f.state("a")
			f.head()
			f.readGauges("w")
			f.housekeep(0)
			for _, name := range seen.names {
				if !strings.HasPrefix(name, "eval") {
					t.Errorf("%s may go to a replica", name)
				}
			}
		})
	}
}

// commands is a hook that records the names of a client's commands.
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

// TestCluster_SlotMovesUnderTheWriter moves a family to another master, which has no script
// loaded, while its writer goes on.
func TestCluster_SlotMovesUnderTheWriter(t *testing.T) {
	ctx := t.Context()
	cluster := redistest.StartCluster(t)
	client := cluster.Client(t)
	f := newFixture(t, RedisTarget(client))
	gen := f.family("a", wire.TypeCounter)
	key, control, marks := valuesKey(f.app, "a"), controlKey(f.app, "a"), marksKey(f.app, "a")

	source := cluster.NodeOf(t, client, key)
	target := cluster.Nodes[0]
	if target == source {
		target = cluster.Nodes[1]
	}
	from, to := source.Client(t), target.Client(t)
	slot := int(client.ClusterKeySlot(ctx, key).Val())
	fromID, toID := id(t, from), id(t, to)

	seq := uint64(0)
	// Reads parse their replies themselves, and still follow redirections.
	reads := func(when string) {
		t.Helper()
		replies, _, err := f.store.ReadSeries(ctx, []wire.SeriesQuery{{Family: "a", Fields: []string{"x", "not there"}}}, wire.MaxPage)
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
		r := f.send(step(gen, seq))[0]
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
	applied("while all keys are at the source")
	migrate(key)
	r := f.send(step(gen, seq+1))[0]
	if r.Err == nil || !wire.Refused(r.Err) || !strings.Contains(r.Err.Error(), "TRYAGAIN") {
		t.Errorf("while the keys are apart: %+v, want TRYAGAIN", r)
	}
	migrate(control)
	migrate(marks)
	applied("while all keys are at the target, by ASK and without a script")
	applied("by ASK")
	for _, c := range []*redis.Client{to, from} {
		do(c, "CLUSTER", "SETSLOT", slot, "NODE", toID)
	}
	applied("after the move")
	f.wantX(strconv.FormatUint(seq, 10))
}

func id(t *testing.T, c *redis.Client) string {
	t.Helper()
	text, err := c.Do(t.Context(), "CLUSTER", "MYID").Text()
	if err != nil {
		t.Fatal(err)
	}
	return text
}
