// SPDX-License-Identifier: Apache-2.0

package redistest

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	masters = 3
	slots   = 16384
)

// Cluster has three masters that share all slots, and perhaps a replica of each.
type Cluster struct {
	Nodes    []*Server // the masters at the start
	Replicas []*Server // their replicas at the start, in the same order, or none
}

// StartCluster starts a Cluster for one test and ends it with the test.
func StartCluster(t testing.TB, args ...string) *Cluster {
	t.Helper()
	c, err := startCluster(t.TempDir, args)
	if err != nil {
		t.Fatal(err)
	}
	c.endWith(t)
	return c
}

// endWith ends the Cluster with the test.
func (c *Cluster) endWith(t testing.TB) {
	t.Cleanup(func() {
		c.kill()
		if t.Failed() {
			for _, node := range c.all() {
				t.Logf("log of the Cluster's node at %s:\n%s", node.Addr, node.log())
			}
		}
	})
}

func startCluster(dir func() string, args []string) (*Cluster, error) {
	c := &Cluster{}
	for range masters {
		node, err := startNode(dir(), args)
		if err != nil {
			c.kill()
			return nil, err
		}
		c.Nodes = append(c.Nodes, node)
	}
	if err := c.join(); err != nil {
		c.kill()
		return nil, err
	}
	return c, nil
}

// startNode starts a server in Cluster mode. The bus gets a free port too: its
// default is 10,000 higher, which may be above 65,535.
func startNode(dir string, args []string) (*Server, error) {
	var err error
	for range attempts {
		var bus int
		if bus, err = freePort(); err != nil {
			return nil, err
		}
		var node *Server
		node, err = start(dir, append([]string{
			"--cluster-enabled", "yes",
			"--cluster-port", strconv.Itoa(bus),
			"--cluster-config-file", "nodes-" + strconv.Itoa(bus) + ".conf",
			"--cluster-node-timeout", "5000",
		}, args...))
		if err == nil {
			return node, nil
		}
	}
	return nil, err
}

// join assigns the slots, introduces the nodes to each other, and waits until
// each node knows all slots.
func (c *Cluster) join() error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	clients := make([]*redis.Client, len(c.Nodes))
	for i, node := range c.Nodes {
		clients[i] = redis.NewClient(&redis.Options{Addr: node.Addr})
	}
	defer func() {
		for _, client := range clients {
			_ = client.Close()
		}
	}()
	for i, client := range clients {
		from, to := i*slots/masters, (i+1)*slots/masters-1
		steps := [][]any{
			{"CLUSTER", "SET-CONFIG-EPOCH", i + 1},
			{"CLUSTER", "ADDSLOTSRANGE", from, to},
		}
		if i > 0 {
			bus, err := busPort(ctx, clients[0])
			if err != nil {
				return err
			}
			steps = append(steps, []any{"CLUSTER", "MEET", "127.0.0.1", c.Nodes[0].port, bus})
		}
		for _, step := range steps {
			if err := client.Do(ctx, step...).Err(); err != nil {
				return fmt.Errorf("%v at %s: %w", step, c.Nodes[i].Addr, err)
			}
		}
	}
	for i, client := range clients {
		for !whole(ctx, client) {
			select {
			case <-ctx.Done():
				return fmt.Errorf("the Cluster's node at %s has not heard of all others", c.Nodes[i].Addr)
			case <-time.After(10 * time.Millisecond):
			}
		}
	}
	return nil
}

func busPort(ctx context.Context, client *redis.Client) (string, error) {
	reply, err := client.ConfigGet(ctx, "cluster-port").Result()
	return reply["cluster-port"], err
}

// whole says whether a node knows all nodes and all slots.
func whole(ctx context.Context, client *redis.Client) bool {
	info, err := client.ClusterInfo(ctx).Result()
	if err != nil ||
		!strings.Contains(info, "cluster_state:ok") ||
		!strings.Contains(info, "cluster_slots_ok:"+strconv.Itoa(slots)) {
		return false
	}
	shards, err := client.ClusterShards(ctx).Result()
	serving := 0
	for _, shard := range shards {
		serving += len(shard.Slots) // each shard has one range
	}
	return err == nil && serving == masters
}

// Addrs lists the nodes' addresses.
func (c *Cluster) Addrs() []string {
	return addresses(c.all())
}

// URL is in the form of redis.ParseClusterURL.
func (c *Cluster) URL() string {
	return "redis://" + c.Nodes[0].Addr + "?addr=" + strings.Join(c.Addrs()[1:], "&addr=")
}

func addresses(servers []*Server) []string {
	addrs := make([]string, len(servers))
	for i, s := range servers {
		addrs[i] = s.Addr
	}
	return addrs
}

// Client returns a new client, closed with the test. Each of change may alter
// its options.
func (c *Cluster) Client(t testing.TB, change ...func(*redis.ClusterOptions)) *redis.ClusterClient {
	t.Helper()
	opts := &redis.ClusterOptions{Addrs: c.Addrs(), ClusterStateReloadInterval: time.Second}
	for _, f := range change {
		f(opts)
	}
	client := redis.NewClusterClient(opts)
	t.Cleanup(func() { _ = client.Close() })
	return client
}

// NodeOf returns the node that serves a key.
func (c *Cluster) NodeOf(t testing.TB, client *redis.ClusterClient, key string) *Server {
	t.Helper()
	master, err := client.MasterForKey(context.Background(), key)
	if err != nil {
		t.Fatal(err)
	}
	_, port, err := net.SplitHostPort(master.Options().Addr)
	if err != nil {
		t.Fatal(err)
	}
	number, _ := strconv.Atoi(port)
	node := c.at(number)
	if node == nil {
		t.Fatalf("no node of the Cluster has the port %s", port)
	}
	return node
}

// all lists the masters, then the replicas.
func (c *Cluster) all() []*Server { return slices.Concat(c.Nodes, c.Replicas) }

func (c *Cluster) kill() {
	for _, node := range c.all() {
		node.Kill()
	}
}
