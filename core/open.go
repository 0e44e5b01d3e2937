// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"context"
	"net/url"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
	"github.com/shoal-metrics/shoal/core/internal/guard"
	"github.com/shoal-metrics/shoal/core/internal/wire"
)

// Settings of the clients that Open makes, where the URL does not say
// otherwise. go-redis ignores the deadline of a context unless told not to,
// tries a failed command or dial again by itself, which hides what happened to
// it and for how long, keeps a second pool for pipelines, and learns of a
// Cluster's failover once a minute.
const (
	clientDialTimeout   = 2 * time.Second
	clientTimeout       = 3 * time.Second // of a read or a write
	clientPoolSize      = 4
	clientDialAttempts  = 1
	clientNoRetries     = -1
	clientOnePool       = -1
	clientClusterReload = time.Second
)

// newClient makes a client from a URL; see [Registry.Open]. Its connections are
// guarded.
func newClient(text, app string) (redis.UniversalClient, error) {
	u, err := parseURL(text)
	if err != nil {
		return nil, err
	}
	query := u.Query()
	switch kindOf(query) {
	case sentinelSet:
		return newSentinelClient(u, app)
	case clusterServers:
		o, err := redis.ParseClusterURL(text)
		if err != nil {
			return nil, badURL(unusable)
		}
		setDefaults(query, &o.DialTimeout, &o.ReadTimeout, &o.WriteTimeout, &o.PoolSize)
		o.DialerRetries, o.MaxRetries, o.ContextTimeoutEnabled = clientDialAttempts, clientNoRetries, true
		o.PipelinePoolSize = clientOnePool
		o.DisableIdentity = true
		o.OnConnect = nameConnection(query, o.Protocol, app)
		o.ClusterStateReloadInterval = clientClusterReload
		o.MaintNotificationsConfig = noNotifications()
		servers := newClusterServerSet()
		o.Dialer = guardedDialer(&redis.Options{DialTimeout: o.DialTimeout, TLSConfig: o.TLSConfig},
			&guard.Limits{Redirect: servers.admitOne})
		o.NewClient = servers.newClient
		return redis.NewClusterClient(o), nil
	default:
		o, err := redis.ParseURL(text)
		if err != nil {
			return nil, badURL(unusable)
		}
		setSingle(o, query, app)
		o.Dialer = guardedDialer(o, &guard.Limits{})
		return redis.NewClient(o), nil
	}
}

// setSingle sets what the URL of a single server leaves open.
func setSingle(o *redis.Options, query url.Values, app string) {
	setDefaults(query, &o.DialTimeout, &o.ReadTimeout, &o.WriteTimeout, &o.PoolSize)
	o.DialerRetries, o.MaxRetries, o.ContextTimeoutEnabled = clientDialAttempts, clientNoRetries, true
	o.PipelinePoolSize = clientOnePool
	o.DisableIdentity = true
	o.OnConnect = nameConnection(query, o.Protocol, app)
	o.MaintNotificationsConfig = noNotifications()
}

// setDefaults sets what the URL's parameters leave open.
func setDefaults(query url.Values, dial, read, write *time.Duration, poolSize *int) {
	for _, d := range []struct {
		parameter string
		value     *time.Duration
		standard  time.Duration
	}{
		{"dial_timeout", dial, clientDialTimeout},
		{"read_timeout", read, clientTimeout},
		{"write_timeout", write, clientTimeout},
	} {
		if !query.Has(d.parameter) {
			*d.value = d.standard
		}
	}
	if !query.Has("pool_size") {
		*poolSize = clientPoolSize
	}
}

// noNotifications keeps go-redis from asking each new connection for a
// service's maintenance notifications, which servers refuse that don't know them.
func noNotifications() *maintnotifications.Config {
	return &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
}

// nameConnection makes each connection tell its name, for whoever reads CLIENT
// LIST in trouble. It does so by HELLO, to which every user has a right: for want
// of that to CLIENT SETNAME, which go-redis's own ClientName uses, each
// connection would leave an entry in ACL LOG, and end. A server that refuses is
// one without names, or demands a password.
func nameConnection(query url.Values, protocol int, app string) func(context.Context, *redis.Conn) error {
	if query.Has("client_name") {
		return nil
	}
	if protocol != 2 {
		protocol = 3 // as go-redis has it
	}
	return func(ctx context.Context, conn *redis.Conn) error {
		err := conn.Hello(ctx, protocol, "", "", "shoal:"+app).Err()
		if wire.Answered(err) && wire.ReplyCode(err) != "NOAUTH" {
			return nil
		}
		return err
	}
}
