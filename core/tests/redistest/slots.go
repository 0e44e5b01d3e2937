// SPDX-License-Identifier: Apache-2.0

package redistest

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// MoveSlot moves a slot from one master to another, as redis-cli does. It calls pause
// before it announces the new owner, while the old one answers with ASK.
func (c *Cluster) MoveSlot(t testing.TB, slot int, from, to *Server, pause func()) {
	t.Helper()
	ctx := context.Background()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("moving the slot %d: %v", slot, err)
		}
	}
	source, target := from.Client(t), to.Client(t)
	targetID := target.Do(ctx, "CLUSTER", "MYID").Val()
	must(target.Do(ctx, "CLUSTER", "SETSLOT", slot, "IMPORTING", source.Do(ctx, "CLUSTER", "MYID").Val()).Err())
	must(source.Do(ctx, "CLUSTER", "SETSLOT", slot, "MIGRATING", targetID).Err())
	host, port, _ := strings.Cut(to.Addr, ":")
	for {
		keys, err := source.ClusterGetKeysInSlot(ctx, slot, 1).Result()
		must(err)
		if len(keys) == 0 {
			break
		}
		must(source.Do(ctx, "MIGRATE", host, port, keys[0], 0, 5000).Err())
		<-time.After(20 * time.Millisecond) // meanwhile each master has some of the family's keys
	}
	pause()
	for _, node := range []*redis.Client{target, source} {
		must(node.Do(ctx, "CLUSTER", "SETSLOT", slot, "NODE", targetID).Err())
	}
}

// Owner is a master and the slots that it serves.
type Owner struct {
	*Server
	ranges []redis.SlotRange
}

// Has says whether it serves a slot.
func (o Owner) Has(slot int) bool {
	for _, r := range o.ranges {
		if int64(slot) >= r.Start && int64(slot) <= r.End {
			return true
		}
	}
	return false
}

// Masters lists the masters and their slots. It waits until a node knows all masters.
func (c *Cluster) Masters(t testing.TB) []Owner {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var owners []Owner
	err := poll(ctx, func() error {
		for _, node := range c.all() {
			if owners = c.seenBy(ctx, node); len(owners) == masters {
				return nil
			}
		}
		return errors.New("no node of the Cluster knows all masters")
	})
	if err != nil {
		t.Fatal(err)
	}
	return owners
}

// seenBy lists the masters that a node knows to be alive.
func (c *Cluster) seenBy(ctx context.Context, node *Server) (owners []Owner) {
	_ = node.ask(func(client *redis.Client) error {
		shards, err := client.ClusterShards(ctx).Result()
		for _, shard := range shards {
			for _, n := range shard.Nodes {
				if s := c.at(int(n.Port)); s != nil && n.Role == "master" && n.Health == "online" {
					owners = append(owners, Owner{Server: s, ranges: shard.Slots})
				}
			}
		}
		return err
	})
	return owners
}

// at returns the node with a port.
func (c *Cluster) at(port int) *Server {
	for _, node := range c.all() {
		if node.port == port {
			return node
		}
	}
	return nil
}
