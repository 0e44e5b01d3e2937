// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"context"
	"errors"
	"maps"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// What a Cluster has at most. go-redis connects to all servers that it is told of, and
// keeps the address of each for ever.
const (
	maxClusterServers = 1000 // as Redis recommends
	maxClusterSlots   = 16384
	// newServerEvery is how often one more server may be new, when so many were: in
	// some environments each start has a new address. It is not rare, since after an
	// attack all that the Cluster has may be new.
	newServerEvery = 4 * time.Second
)

var errServers = errors.New("shoal: what answers is no Redis, or it is broken: " +
	"it names more servers than a Cluster has")

// clusterServerSet bounds how many servers a Cluster's client is told of.
type clusterServerSet struct {
	mu   sync.Mutex
	seen map[string]struct{} // guarded by mu
	room int                 // for new ones; guarded by mu
	last time.Time           // when room was made; guarded by mu
}

func newClusterServerSet() *clusterServerSet {
	return &clusterServerSet{seen: make(map[string]struct{}), room: maxClusterServers, last: time.Now()}
}

// admit says whether the client may be told of servers, of all or of none.
func (s *clusterServerSet) admit(addrs map[string]struct{}) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	more := int(time.Since(s.last) / newServerEvery)
	s.room, s.last = min(s.room+more, maxClusterServers), s.last.Add(time.Duration(more)*newServerEvery)
	fresh := 0
	for addr := range addrs {
		if _, known := s.seen[addr]; !known {
			fresh++
		}
	}
	if fresh > s.room || len(addrs) > maxClusterServers {
		return false
	}
	s.room -= fresh
	maps.Copy(s.seen, addrs)
	return true
}

// admitOne is admit for a redirection.
func (s *clusterServerSet) admitOne(addr string) bool {
	return s.admit(map[string]struct{}{addr: {}})
}

// newClient makes the client of one server, which asks before it tells the
// Cluster's client of others. Redirections are asked about by the guard.
func (s *clusterServerSet) newClient(o *redis.Options) *redis.Client {
	client := redis.NewClient(o)
	client.AddHook(slotsHook{s})
	return client
}

// slotsHook looks at the reply to CLUSTER SLOTS.
type slotsHook struct{ servers *clusterServerSet }

func (slotsHook) DialHook(next redis.DialHook) redis.DialHook { return next }

func (slotsHook) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func (h slotsHook) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		err := next(ctx, cmd)
		if slots, ok := cmd.(*redis.ClusterSlotsCmd); ok && err == nil && !h.admits(slots.Val()) {
			err = errServers
			cmd.SetErr(err)
		}
		return err
	}
}

func (h slotsHook) admits(slots []redis.ClusterSlot) bool {
	if len(slots) > maxClusterSlots {
		return false
	}
	addrs := make(map[string]struct{})
	for _, slot := range slots {
		for _, node := range slot.Nodes {
			addrs[node.Addr] = struct{}{}
		}
	}
	return h.servers.admit(addrs)
}
