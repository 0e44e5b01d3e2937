// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/shoal-metrics/shoal/core/internal/wire"
)

func TestConnect_RefusesARing(t *testing.T) {
	ring := redis.NewRing(&redis.RingOptions{Addrs: map[string]string{"a": "127.0.0.1:1"}, HeartbeatFrequency: time.Hour})
	defer func() { _ = ring.Close() }()
	type wrapped struct{ *redis.Ring }
	type embedding struct{ redis.UniversalClient }
	for name, client := range map[string]redis.UniversalClient{
		"bare": ring, "wrapped": wrapped{ring}, "embedded": embedding{ring}, "pointer": &embedding{&embedding{ring}},
		"with Unwrap": telling{opaque: ring},
	} {
		r := New()
		mentions(t, r.Connect(client, Opts{App: "shop"}), "redis.Ring", "Cluster")
		if r.conn.Load() != nil {
			t.Errorf("%s: connected all the same", name)
		}
	}
}

type opaque redis.UniversalClient

// telling hides a client, and has a method that gives it.
type telling struct{ opaque }

func (t telling) Unwrap() redis.UniversalClient { return t.opaque }

func TestConnect_RefusesNoClient(t *testing.T) {
	type embedding struct{ redis.UniversalClient }
	for name, client := range map[string]redis.UniversalClient{
		"nil": nil, "a nil client": (*redis.Client)(nil), "a nil Cluster's client": (*redis.ClusterClient)(nil),
		"a nil wrapper": (*embedding)(nil), "an empty wrapper": embedding{}, "an empty one in another": &embedding{embedding{}},
		"a nil client in a wrapper": embedding{(*redis.Client)(nil)},
		"a nil wrapper with Unwrap": (*telling)(nil),
	} {
		r := New()
		err := r.Connect(client, Opts{App: "shop"})
		if err == nil || !strings.Contains(err.Error(), "is nil") || client == nil && !strings.Contains(err.Error(), "redis.NewClient") {
			t.Errorf("%s: Connect returns %v", name, err)
		}
		_ = r.Close(t.Context())
	}
}

// A wrapper may be one of itself.
func TestConnect_LooksThroughWrappersForABoundedTimeOnly(t *testing.T) {
	r, own := New(), new(circular)
	own.opaque = redis.NewClient(&redis.Options{Addr: "127.0.0.1:1", ContextTimeoutEnabled: true})
	defer func() { _ = own.Close() }()
	if err := r.Connect(own, Opts{App: "shop", ReadOnly: true, OnError: func(error) {}}); err != nil {
		t.Fatal(err)
	}
	_ = r.Close(t.Context())
}

type circular struct{ opaque }

func (c *circular) Unwrap() redis.UniversalClient { return c }

// Each harmful setting is named with what to set, once, and no harmless one is.
func TestConnect_WarnsOfSettingsThatHarm(t *testing.T) {
	single := func(o redis.Options) redis.UniversalClient {
		o.Addr, o.MaxRetries, o.DialerRetries = "127.0.0.1:1", -1, 1
		return redis.NewClient(&o)
	}
	cluster := func(o redis.ClusterOptions) redis.UniversalClient {
		o.Addrs, o.DialerRetries = []string{"127.0.0.1:1"}, 1
		return redis.NewClusterClient(&o)
	}
	for name, test := range map[string]struct {
		client redis.UniversalClient
		want   []string // a word of each warning
	}{
		"single, as it comes":  {single(redis.Options{}), []string{"ContextTimeoutEnabled"}},
		"Cluster, as it comes": {cluster(redis.ClusterOptions{}), []string{"ContextTimeoutEnabled"}},
		"good":                 {single(redis.Options{ContextTimeoutEnabled: true}), nil},
		"RESP2, another database, no retries": {
			single(redis.Options{ContextTimeoutEnabled: true, Protocol: 2, DB: 3}), nil,
		},
		"no timeouts, but those of contexts": {
			single(redis.Options{ContextTimeoutEnabled: true, ReadTimeout: -1, WriteTimeout: -1}), nil,
		},
		"not even those of contexts": {
			single(redis.Options{ContextTimeoutEnabled: true, ReadTimeout: -2, WriteTimeout: -2}),
			[]string{"ReadTimeout is off", "WriteTimeout is off"},
		},
		"no timeouts": {
			single(redis.Options{ReadTimeout: -1, WriteTimeout: -1}),
			[]string{"ContextTimeoutEnabled", "ReadTimeout is off", "WriteTimeout is off"},
		},
		"no timeouts in a Cluster": {
			cluster(redis.ClusterOptions{ReadTimeout: -2, WriteTimeout: -1}),
			[]string{"ContextTimeoutEnabled", "ReadTimeout is off", "WriteTimeout is off"},
		},
		"long timeouts": {
			single(redis.Options{ReadTimeout: time.Minute, WriteTimeout: time.Second}),
			[]string{"ContextTimeoutEnabled", "ReadTimeout is 1m0s"},
		},
		"long timeouts, and those of contexts": {
			single(redis.Options{ReadTimeout: time.Minute, ContextTimeoutEnabled: true}), nil,
		},
		"one connection, but for pipelines": {
			single(redis.Options{ContextTimeoutEnabled: true, PoolSize: 1}), nil,
		},
		"one connection": {
			single(redis.Options{ContextTimeoutEnabled: true, PoolSize: 1, PipelinePoolSize: -1}),
			[]string{"allow 1 connections in all"},
		},
		"reads from replicas": {
			cluster(redis.ClusterOptions{ContextTimeoutEnabled: true, RouteByLatency: true}), []string{"replicas"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			defer func() { _ = test.client.Close() }()
			var heard troubles
			r := New()
			if err := r.Connect(test.client, Opts{App: "shop", ReadOnly: true, OnError: heard.add}); err != nil {
				t.Fatal(err)
			}
			defer func() { _ = r.Close(t.Context()) }()
			if n := len(heard.all()); n != len(test.want) {
				t.Errorf("%d warnings: %v", n, heard.all())
			}
			for _, word := range test.want {
				if heard.count(word) != 1 {
					t.Errorf("no warning of %q: %v", word, heard.all())
				}
			}
		})
	}
}

// Every setting that matters, for each kind of server.
func TestOpen_ItsClientsHaveTheRightSettings(t *testing.T) {
	for url, want := range map[string]struct {
		dial, read time.Duration
		pool       int
	}{
		"redis://h:1/3":             {2 * time.Second, 3 * time.Second, 4},
		"rediss://h:1":              {2 * time.Second, 3 * time.Second, 4},
		"redis://h:1?master_name=m": {2 * time.Second, 3 * time.Second, 4},
		"redis://h:1?addr=h:2":      {2 * time.Second, 3 * time.Second, 4},
		"redis://h:1?read_timeout=7s&pool_size=9&dial_timeout=1s":             {time.Second, 7 * time.Second, 9},
		"redis://h:1?addr=h:2&read_timeout=7s&pool_size=9&dial_timeout=1s":    {time.Second, 7 * time.Second, 9},
		"redis://h:1?master_name=m&read_timeout=7s&pool_size=9&max_retries=5": {2 * time.Second, 7 * time.Second, 9},
	} {
		client, err := newClient(url, "shop")
		if err != nil {
			t.Fatal(err)
		}
		var o redis.Options
		switch c := wire.Innermost(client).(type) {
		case *redis.Client:
			o = *c.Options()
			if o.MaxRetries != 0 { // as go-redis writes "none"
				t.Errorf("%s: %d retries", url, o.MaxRetries)
			}
		case *redis.ClusterClient:
			co := c.Options()
			o = redis.Options{
				ContextTimeoutEnabled: co.ContextTimeoutEnabled, DialerRetries: co.DialerRetries, DialTimeout: co.DialTimeout,
				ReadTimeout: co.ReadTimeout, PoolSize: co.PoolSize, PipelinePoolSize: co.PipelinePoolSize,
				MaintNotificationsConfig: co.MaintNotificationsConfig, OnConnect: co.OnConnect,
			}
			if co.ClusterStateReloadInterval != time.Second || co.MaxRedirects != 3 || co.ReadOnly {
				t.Errorf("%s: reload after %v, %d redirections, read only %v",
					url, co.ClusterStateReloadInterval, co.MaxRedirects, co.ReadOnly)
			}
		}
		if !o.ContextTimeoutEnabled || o.DialerRetries != 1 || o.PipelinePoolSize != -1 || o.OnConnect == nil ||
			o.MaintNotificationsConfig == nil || o.MaintNotificationsConfig.Mode != "disabled" {
			t.Errorf("%s: contexts %v, %d dials, pipelines' pool %d, named %v, notifications %v", url,
				o.ContextTimeoutEnabled, o.DialerRetries, o.PipelinePoolSize, o.OnConnect != nil, o.MaintNotificationsConfig)
		}
		if o.DialTimeout != want.dial || o.ReadTimeout != want.read || o.PoolSize != want.pool {
			t.Errorf("%s: dial %v, read %v, %d connections", url, o.DialTimeout, o.ReadTimeout, o.PoolSize)
		}
		for _, warning := range clientWarnings(client) {
			t.Errorf("%s: Open warns of its own client: %v", url, warning)
		}
		if err := client.Close(); err != nil {
			t.Error(err)
		}
	}
	named, err := newClient("redis://h:1?client_name=mine", "shop")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = named.Close() }()
	if o := named.(*redis.Client).Options(); o.ClientName != "mine" || o.OnConnect != nil {
		t.Error("the URL's client_name is not kept")
	}
}

// A connection that could not be had reports so by its first use.
func TestOpen_AFailedDialIsReportedByWhoUsesIt(t *testing.T) {
	client, err := newClient("redis://127.0.0.1:1", "shop")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = client.Close() }()
	for range 10 { // also beyond the size of the pool
		err := client.Ping(t.Context()).Err()
		if err == nil || !strings.Contains(err.Error(), "dial tcp 127.0.0.1:1") {
			t.Errorf("the error is %v, want one that names the address", err)
		}
	}
}
