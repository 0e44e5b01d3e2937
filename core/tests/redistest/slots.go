// SPDX-License-Identifier: Apache-2.0

package redistest

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// MoveSlot moves a slot from one master to another, as an operator's tool does.
// Before the new owner is announced it calls pause: the old one then answers
// with ASK.
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
		<-time.After(20 * time.Millisecond) // while a half of the family is here and a half there
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

// Masters lists who serves what, as the first node sees it that answers.
func (c *Cluster) Masters(t testing.TB) []Owner {
	t.Helper()
	var last error
	for _, node := range c.all() {
		var owners []Owner
		last = node.ask(func(client *redis.Client) error {
			shards, err := client.ClusterShards(context.Background()).Result()
			for _, shard := range shards {
				for _, n := range shard.Nodes {
					if s := c.at(int(n.Port)); s != nil && n.Role == "master" && n.Health == "online" {
						owners = append(owners, Owner{Server: s, ranges: shard.Slots})
					}
				}
			}
			return err
		})
		if last == nil && len(owners) == masters {
			return owners
		}
	}
	t.Fatalf("no node of the Cluster knows all masters: %v", last)
	return nil
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
