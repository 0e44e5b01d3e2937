// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
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

// newClient makes a client from a URL; see [Registry.Open].
func newClient(text, app string) (redis.UniversalClient, error) {
	u, err := parseURL(text)
	if err != nil {
		return nil, err
	}
	query := u.Query()
	switch kindOf(query) {
	case sentinelSet:
		o, err := redis.ParseFailoverURL(text)
		if err != nil {
			return nil, badURL(unusable)
		}
		setDefaults(query, &o.DialTimeout, &o.ReadTimeout, &o.WriteTimeout, &o.PoolSize)
		o.DialerRetries, o.MaxRetries, o.ContextTimeoutEnabled = clientDialAttempts, clientNoRetries, true
		o.PipelinePoolSize = clientOnePool
		o.DisableIdentity = true
		o.OnConnect = nameConnection(query, o.Protocol, app)
		return redis.NewFailoverClient(o), nil
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
		o.Dialer = quietDialer(&redis.Options{DialTimeout: o.DialTimeout, TLSConfig: o.TLSConfig})
		return redis.NewClusterClient(o), nil
	default:
		o, err := redis.ParseURL(text)
		if err != nil {
			return nil, badURL(unusable)
		}
		setDefaults(query, &o.DialTimeout, &o.ReadTimeout, &o.WriteTimeout, &o.PoolSize)
		o.DialerRetries, o.MaxRetries, o.ContextTimeoutEnabled = clientDialAttempts, clientNoRetries, true
		o.PipelinePoolSize = clientOnePool
		o.DisableIdentity = true
		o.OnConnect = nameConnection(query, o.Protocol, app)
		o.MaintNotificationsConfig = noNotifications()
		o.Dialer = quietDialer(o)
		return redis.NewClient(o), nil
	}
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

// quietDialer dials as go-redis does, but reports a failure through the first
// use of the connection. go-redis would write a line to its global logger for
// each, as long as Redis is away, and after some would dial only once a second.
// shoal reports the failure itself.
func quietDialer(o *redis.Options) func(ctx context.Context, network, addr string) (net.Conn, error) {
	dial := redis.NewDialer(o)
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := dial(ctx, network, addr)
		if err != nil {
			return noConnection{fmt.Errorf("shoal: %w", err)}, nil // go-redis takes off one layer
		}
		return conn, nil
	}
}

// noConnection is the connection that could not be had.
type noConnection struct{ err error }

func (c noConnection) Read([]byte) (int, error)         { return 0, c.err }
func (c noConnection) Write([]byte) (int, error)        { return 0, c.err }
func (c noConnection) Close() error                     { return nil }
func (c noConnection) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (c noConnection) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (c noConnection) SetDeadline(time.Time) error      { return nil }
func (c noConnection) SetReadDeadline(time.Time) error  { return nil }
func (c noConnection) SetWriteDeadline(time.Time) error { return nil }
