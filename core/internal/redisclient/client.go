// SPDX-License-Identifier: Apache-2.0

package redisclient

import (
	"context"
	"net/url"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
	"github.com/shoal-metrics/shoal/core/internal/guard"
	"github.com/shoal-metrics/shoal/core/internal/wire"
)

// defaults are the parameters that a URL gets where it does not have them.
var defaults = []struct{ parameter, value string }{
	{"dial_timeout", "2s"},
	{"read_timeout", "3s"},
	{"write_timeout", "3s"},
	{"pool_size", "4"},
}

// maxIdle is how long a connection may be idle before the client closes it. Firewalls forget
// idle connections without a word: whoever uses one next waits for the read timeout in vain.
const maxIdle = time.Minute

// clusterReload is how often the client of a Cluster may ask where the slots are.
// go-redis asks once a minute, which is late after a failover.
const clusterReload = time.Second

// New makes a client from a Redis URL, of a single server, a Cluster or a Sentinel set,
// whose connections tell Redis the app's name. Its errors hold nothing of the URL.
func New(text, app string) (redis.UniversalClient, error) {
	u, err := parseURL(text)
	if err != nil {
		return nil, err
	}
	u = withDefaults(u)
	switch kindOf(u.Query()) {
	case sentinelSet:
		return newSentinelClient(u, app)
	case clusterServers:
		return newClusterClient(u, app)
	default:
		o, err := redis.ParseURL(u.String())
		if err != nil {
			return nil, badURL(unusable)
		}
		set(o, u, app)
		o.Dialer = guardedDialer(o, &guard.Limits{})
		return redis.NewClient(o), nil
	}
}

func withDefaults(u *url.URL) *url.URL {
	query := u.Query()
	for _, d := range defaults {
		if !query.Has(d.parameter) {
			query.Set(d.parameter, d.value)
		}
	}
	complete := *u
	complete.RawQuery = query.Encode()
	return &complete
}

// set sets what shoal needs of a client, whatever its URL says.
func set(o *redis.Options, u *url.URL, app string) {
	// go-redis ignores the deadline of a context unless told not to.
	o.ContextTimeoutEnabled = true
	// Trying again is the registry's business: go-redis would hide what happened to a
	// command or a dial, and for how long.
	o.MaxRetries = -1
	o.DialerRetries = 1
	// One pool is enough: everything that shoal sends is a pipeline.
	o.PipelinePoolSize = -1
	// Servers that do not know CLIENT SETINFO, or maintenance notifications, refuse
	// them on each new connection.
	o.DisableIdentity = true
	o.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	if query := u.Query(); !query.Has("conn_max_idle_time") && !query.Has("idle_timeout") {
		o.ConnMaxIdleTime = maxIdle
	}
	if !u.Query().Has("client_name") {
		o.OnConnect = nameConnection(o.Protocol, "shoal:"+app)
	}
}

// nameConnection gives each new connection a name, which CLIENT LIST shows. It does so by
// HELLO, to which every user has a right. go-redis's ClientName uses CLIENT SETNAME: where
// the user lacks that right, each connection would leave an entry in ACL LOG, and fail. A
// server that refuses HELLO has no names, or demands a password.
func nameConnection(protocol int, name string) func(context.Context, *redis.Conn) error {
	if protocol != 2 {
		protocol = 3 // go-redis's default
	}
	return func(ctx context.Context, conn *redis.Conn) error {
		err := conn.Hello(ctx, protocol, "", "", name).Err()
		if wire.Answered(err) && wire.ReplyCode(err) != "NOAUTH" {
			return nil
		}
		return err
	}
}
