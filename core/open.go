// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"errors"
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
	if err != nil {
		return nil, badURL(err)
	}
	switch query := u.Query(); {
	case query.Has("master_name"):
		o, err := redis.ParseFailoverURL(text)
		if err != nil {
			return nil, badURL(err)
		}
		o.DialTimeout, o.ReadTimeout, o.WriteTimeout = clientDialTimeout, clientReadTimeout, clientReadTimeout
		o.PoolSize, o.MaxRetries, o.ContextTimeoutEnabled = clientPoolSize, -1, true
		return redis.NewFailoverClient(o), nil
	case query.Has("addr"):
		o, err := redis.ParseClusterURL(text)
		if err != nil {
			return nil, badURL(err)
		}
		o.DialTimeout, o.ReadTimeout, o.WriteTimeout = clientDialTimeout, clientReadTimeout, clientReadTimeout
		o.PoolSize, o.ContextTimeoutEnabled = clientPoolSize, true
		o.ClusterStateReloadInterval = clientClusterReload
		return redis.NewClusterClient(o), nil
	default:
		o, err := redis.ParseURL(text)
		if err != nil {
			return nil, badURL(err)
		}
		o.DialTimeout, o.ReadTimeout, o.WriteTimeout = clientDialTimeout, clientReadTimeout, clientReadTimeout
		o.PoolSize, o.MaxRetries, o.ContextTimeoutEnabled = clientPoolSize, -1, true
		return redis.NewClient(o), nil
	}
}

// badURL keeps the URL, which may hold a password, out of the error.
func badURL(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	return fmt.Errorf("shoal: Open: the Redis URL is not usable: %w; give redis://user:password@host:6379/0", err)
}
