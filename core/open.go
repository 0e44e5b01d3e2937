// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"fmt"
	"net/url"
	"time"

	"github.com/redis/go-redis/v9"
)

// Settings of the clients that Open makes, where the URL does not say
// otherwise. go-redis ignores the deadline of a context unless told not to,
// tries a failed command or dial again by itself, which hides what happened to
// it and for how long, and learns of a Cluster's failover once a minute.
const (
	clientDialTimeout   = 2 * time.Second
	clientTimeout       = 3 * time.Second // of a read or a write
	clientPoolSize      = 4
	clientDialAttempts  = 1
	clientNoRetries     = -1
	clientClusterReload = time.Second
)

// newClient makes a client from a URL; see [Registry.Open].
func newClient(text string) (redis.UniversalClient, error) {
	u, err := url.Parse(text)
	if err != nil || u.Fragment != "" { // what follows a # is the rest of a password
		return nil, badURL(nil)
	}
	query := u.Query()
	switch {
	case query.Has("master_name"):
		o, err := redis.ParseFailoverURL(text)
		if err != nil {
			return nil, badURL(u)
		}
		setDefaults(query, &o.DialTimeout, &o.ReadTimeout, &o.WriteTimeout, &o.PoolSize)
		o.DialerRetries, o.MaxRetries, o.ContextTimeoutEnabled = clientDialAttempts, clientNoRetries, true
		return redis.NewFailoverClient(o), nil
	case query.Has("addr"):
		o, err := redis.ParseClusterURL(text)
		if err != nil {
			return nil, badURL(u)
		}
		setDefaults(query, &o.DialTimeout, &o.ReadTimeout, &o.WriteTimeout, &o.PoolSize)
		o.DialerRetries, o.MaxRetries, o.ContextTimeoutEnabled = clientDialAttempts, clientNoRetries, true
		o.ClusterStateReloadInterval = clientClusterReload
		return redis.NewClusterClient(o), nil
	default:
		o, err := redis.ParseURL(text)
		if err != nil {
			return nil, badURL(u)
		}
		setDefaults(query, &o.DialTimeout, &o.ReadTimeout, &o.WriteTimeout, &o.PoolSize)
		o.DialerRetries, o.MaxRetries, o.ContextTimeoutEnabled = clientDialAttempts, clientNoRetries, true
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
