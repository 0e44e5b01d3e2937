// SPDX-License-Identifier: Apache-2.0

package redistest_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/shoal-metrics/shoal/core/tests/redistest"
	"github.com/shoal-metrics/shoal/core/tests/testkit"
)

func TestMain(m *testing.M) { redistest.Main(m) }

func TestServer_KeepsItsDataOverAShutdownAndNotOverAKill(t *testing.T) {
	ctx := context.Background()
	s := redistest.Start(t)
	client := s.Client(t)
	testkit.Must(t, client.Set(ctx, "saved", "1", 0).Err())
	s.Shutdown(t)
	s.Restart(t)
	testkit.Must(t, client.Get(ctx, "saved").Err())
	testkit.Must(t, client.Set(ctx, "unsaved", "1", 0).Err())
	s.Kill()
	s.Kill() // twice is harmless
	s.Restart(t)
	if n := client.Exists(ctx, "saved", "unsaved").Val(); n != 1 {
		t.Errorf("%d keys left, want only the saved one", n)
	}
	s.Stop(t)
}

func TestServer_FrozenDoesNotAnswerAndThawedDoes(t *testing.T) {
	ctx := context.Background()
	s := redistest.Start(t)
	client := s.Client(t, func(o *redis.Options) {
		o.ReadTimeout = 50 * time.Millisecond
		o.MaxRetries = -1
	})
	testkit.Must(t, client.Ping(ctx).Err())
	s.Freeze(t)
	if err := client.Ping(ctx).Err(); err == nil {
		t.Error("a frozen server answered")
	}
	s.Thaw(t)
	testkit.Must(t, s.Client(t).Ping(ctx).Err())
}

func TestCluster_ServesKeysOnAllThreeMasters(t *testing.T) {
	ctx := context.Background()
	c := redistest.StartCluster(t)
	client := c.Client(t)
	nodes := make(map[string]bool)
	for _, key := range []string{"a", "b", "c", "d", "e", "f"} {
		testkit.Must(t, client.Set(ctx, key, key, 0).Err())
		nodes[c.NodeOf(t, client, key).Addr] = true
	}
	if len(nodes) != 3 {
		t.Errorf("the keys are on %d masters, want 3", len(nodes))
	}
	opts, err := redis.ParseClusterURL(c.URL())
	testkit.Must(t, err)
	if len(opts.Addrs) != 3 {
		t.Errorf("the URL names %v", opts.Addrs)
	}
}

// A stalled replica lags when it takes over.
func TestSentinel_PromotesTheReplicaThatIsBehind(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	s := redistest.StartSentinel(t)
	client := s.Client(t)
	testkit.Must(t, client.Set(ctx, "early", "1", 0).Err())
	s.Replicas[0].InSync(t)
	s.Replicas[0].Stall(t)
	testkit.Must(t, client.Set(ctx, "late", "1", 0).Err())
	s.Replicas[1].InSync(t)
	s.Master.Kill()
	s.Replicas[0].Becomes(t, "master")
	if n := s.Replicas[0].Client(t).Exists(ctx, "early", "late").Val(); n != 1 {
		t.Errorf("the new master has %d keys, want the early one", n)
	}
	testkit.Must(t, client.Get(ctx, "early").Err())
}

func TestClusterWithReplicas_AReplicaThatIsBehindTakesOver(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	c := redistest.StartClusterWithReplicas(t)
	client := c.Client(t)
	testkit.Must(t, client.Set(ctx, "{k}early", "1", 0).Err())
	i := slices.Index(c.Nodes, c.NodeOf(t, client, "{k}"))
	c.Replicas[i].InSync(t)
	c.Replicas[i].Stall(t)
	testkit.Must(t, client.Set(ctx, "{k}late", "1", 0).Err())
	c.Nodes[i].Kill()
	c.Replicas[i].Becomes(t, "master")
	if n := c.Replicas[i].Client(t).Exists(ctx, "{k}early", "{k}late").Val(); n != 1 {
		t.Errorf("the new master has %d keys, want the early one", n)
	}
	c.Nodes[i].Restart(t)
	c.Nodes[i].Becomes(t, "slave")
}

func TestShared_IsOneServerForAll(t *testing.T) {
	if a, b := redistest.Shared(t), redistest.Shared(t); a != b {
		t.Errorf("two servers: %s and %s", a.Addr, b.Addr)
	}
	if a, b := redistest.SharedCluster(t), redistest.SharedCluster(t); a != b {
		t.Error("two Clusters")
	}
}

func TestMini_AdvancesTimeAndExpiries(t *testing.T) {
	ctx := context.Background()
	m := redistest.StartMini(t)
	client := m.Client(t)
	before := client.Time(ctx).Val()
	testkit.Must(t, client.Set(ctx, "k", "v", time.Second).Err())
	m.Advance(2 * time.Second)
	if n := client.Exists(ctx, "k").Val(); n != 0 {
		t.Error("the key outlived its expiry")
	}
	if d := client.Time(ctx).Val().Sub(before); d != 2*time.Second {
		t.Errorf("the time advanced by %s, want 2s", d)
	}
}
