// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"fmt"
	"net/url"
	"time"

	"github.com/redis/go-redis/v9"
)

// Settings of the clients that Open makes. go-redis ignores the deadline of a
// context unless told otherwise, tries a failed command again by itself, which
// hides what happened to it, and learns of a Cluster's failover once a minute.
const (
	clientDialTimeout   = 2 * time.Second
	clientReadTimeout   = 3 * time.Second
	clientPoolSize      = 4
	clientClusterReload = time.Second
)

// newClient makes a client from a URL; see [Registry.Open].
func newClient(text string) (redis.UniversalClient, error) {
	u, err := url.Parse(text)
	if err != nil || u.Fragment != "" { // what follows a # is the rest of a password
		return nil, badURL(nil)
	}
	switch query := u.Query(); {
	case query.Has("master_name"):
		o, err := redis.ParseFailoverURL(text)
		if err != nil {
			return nil, badURL(u)
		}
		o.DialTimeout, o.ReadTimeout, o.WriteTimeout = clientDialTimeout, clientReadTimeout, clientReadTimeout
		o.PoolSize, o.MaxRetries, o.ContextTimeoutEnabled = clientPoolSize, -1, true
		return redis.NewFailoverClient(o), nil
	case query.Has("addr"):
		o, err := redis.ParseClusterURL(text)
		if err != nil {
			return nil, badURL(u)
		}
		o.DialTimeout, o.ReadTimeout, o.WriteTimeout = clientDialTimeout, clientReadTimeout, clientReadTimeout
		o.PoolSize, o.ContextTimeoutEnabled = clientPoolSize, true
		o.ClusterStateReloadInterval = clientClusterReload
		return redis.NewClusterClient(o), nil
	default:
		o, err := redis.ParseURL(text)
		if err != nil {
			return nil, badURL(u)
		}
		o.DialTimeout, o.ReadTimeout, o.WriteTimeout = clientDialTimeout, clientReadTimeout, clientReadTimeout
		o.PoolSize, o.MaxRetries, o.ContextTimeoutEnabled = clientPoolSize, -1, true
		return redis.NewClient(o), nil
	}
}

// badURL says what is wrong with a URL, and nothing of what it holds. Not even
// the parser's own words are safe: of redis://user:pass#word@host it calls
// "pass" a port, of redis://user:12/word@host it calls "word@host" a database.
func badURL(u *url.URL) error {
	reason := "it does not parse"
	switch {
	case u == nil:
	case u.Scheme != "redis" && u.Scheme != "rediss" && u.Scheme != "unix":
		reason = "its scheme is not redis, rediss or unix"
	default:
		reason = "its host, its database number or one of its parameters is not valid"
	}
	return fmt.Errorf("shoal: Open: the Redis URL is not usable: %s; give redis://user:password@host:6379/0, "+
		"with @ : / ? # and %% in the password written as %%40 %%3A %%2F %%3F %%23 %%25", reason)
}
