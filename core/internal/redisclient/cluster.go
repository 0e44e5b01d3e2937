// SPDX-License-Identifier: Apache-2.0

package redisclient

import (
	"context"
	"maps"
	"net/url"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/shoal-metrics/shoal/core/internal/guard"
)

// A Cluster's largest size. go-redis connects to every server that it is told of and
// never forgets one.
const (
	maxClusterServers = 1000 // as Redis recommends
	maxClusterSlots   = 16384
	// newServerEvery is how often one more server may be new, once maxClusterServers
	// were. In some environments each restart of a server gives it a new address; and
	// after an attack all servers of the Cluster may be new.
	newServerEvery = 4 * time.Second
)

// newClusterClient takes a URL that parseURL accepts, with the defaults in it.
func newClusterClient(u *url.URL, app string) (redis.UniversalClient, error) {
	o, err := redis.ParseClusterURL(u.String())
	if err != nil {
		return nil, badURL(unusable)
	}
	server := &redis.Options{
		Protocol: o.Protocol, DialTimeout: o.DialTimeout, TLSConfig: o.TLSConfig, ConnMaxIdleTime: o.ConnMaxIdleTime,
	}
	set(server, u, app)
	o.ContextTimeoutEnabled = server.ContextTimeoutEnabled
	o.MaxRetries, o.DialerRetries = server.MaxRetries, server.DialerRetries
	o.PipelinePoolSize, o.ConnMaxIdleTime = server.PipelinePoolSize, server.ConnMaxIdleTime
	o.DisableIdentity, o.MaintNotificationsConfig = server.DisableIdentity, server.MaintNotificationsConfig
	o.OnConnect = server.OnConnect
	o.ClusterStateReloadInterval = clusterReload
	servers := newClusterServerSet()
	o.Dialer = guardedDialer(server, &guard.Limits{Redirect: servers.admitOne})
	o.NewClient = servers.newClient
	return redis.NewClusterClient(o), nil
}

// clusterServerSet bounds how many servers a Cluster's client is told of.
type clusterServerSet struct {
	mu   sync.Mutex
	seen map[string]struct{} // addresses; guarded by mu
	room int                 // how many more may be new; guarded by mu
	last time.Time           // when room grew; guarded by mu
}

func newClusterServerSet() *clusterServerSet {
	return &clusterServerSet{seen: make(map[string]struct{}), room: maxClusterServers, last: time.Now()}
}

// admit says whether the client may be told of these servers: of all, or of none.
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

// admitOne is admit for the server to which a redirection (MOVED, ASK) leads.
func (s *clusterServerSet) admitOne(addr string) bool {
	return s.admit(map[string]struct{}{addr: {}})
}

// newClient makes the client of one server. Its hook checks the reply to CLUSTER SLOTS;
// the guard of its connections checks redirections.
func (s *clusterServerSet) newClient(o *redis.Options) *redis.Client {
	client := redis.NewClient(o)
	client.AddHook(slotsHook{s, o.Addr})
	return client
}

// slotsHook fails CLUSTER SLOTS where its reply names more servers than admit allows.
type slotsHook struct {
	servers *clusterServerSet
	addr    string // of the server that replies
}

func (slotsHook) DialHook(next redis.DialHook) redis.DialHook { return next }

func (slotsHook) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func (h slotsHook) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		err := next(ctx, cmd)
		if slots, ok := cmd.(*redis.ClusterSlotsCmd); ok && err == nil && !h.admits(slots.Val()) {
			err = &guard.Error{Addr: h.addr, What: "it names more servers than a Cluster has"}
			cmd.SetErr(err)
		}
		return err
	}
}

// admits says whether the client may be told of all servers that a reply names.
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
