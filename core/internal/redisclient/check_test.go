// SPDX-License-Identifier: Apache-2.0

package redisclient

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// An application may wrap its client in types of its own.
type (
	opaque    redis.UniversalClient
	embedding struct{ redis.UniversalClient }
	telling   struct{ opaque } // hides a client, and has a method that gives it
	circular  struct{ opaque } // wraps itself
)

func (t telling) Unwrap() redis.UniversalClient   { return t.opaque }
func (c *circular) Unwrap() redis.UniversalClient { return c }

func TestCheck_RefusesARing(t *testing.T) {
	ring := redis.NewRing(&redis.RingOptions{Addrs: map[string]string{"a": "127.0.0.1:1"}, HeartbeatFrequency: time.Hour})
	defer func() { _ = ring.Close() }()
	type wrapped struct{ *redis.Ring }
	for name, client := range map[string]redis.UniversalClient{
		"bare": ring, "wrapped": wrapped{ring}, "embedded": embedding{ring}, "pointer": &embedding{&embedding{ring}},
		"with Unwrap": telling{opaque: ring},
	} {
		if err := Check(client); err == nil || !strings.Contains(err.Error(), "redis.Ring") || !strings.Contains(err.Error(), "Cluster") {
			t.Errorf("%s: Check gives %v", name, err)
		}
	}
}

func TestCheck_RefusesANilClient(t *testing.T) {
	for name, client := range map[string]redis.UniversalClient{
		"nil": nil, "a nil client": (*redis.Client)(nil), "a nil Cluster's client": (*redis.ClusterClient)(nil),
		"a nil wrapper": (*embedding)(nil), "an empty wrapper": embedding{}, "an empty one in another": &embedding{embedding{}},
		"a nil client in a wrapper": embedding{(*redis.Client)(nil)},
		"a nil wrapper with Unwrap": (*telling)(nil),
	} {
		if err := Check(client); err == nil || !strings.Contains(err.Error(), "is nil: make one with redis.NewClient") {
			t.Errorf("%s: Check gives %v", name, err)
		}
	}
}

func TestCheck_LooksThroughWrappersForABoundedTimeOnly(t *testing.T) {
	own := new(circular)
	own.opaque = redis.NewClient(&redis.Options{Addr: "127.0.0.1:1"})
	defer func() { _ = own.Close() }()
	if err := Check(own); err != nil {
		t.Error(err)
	}
}

// Each harmful setting has one warning, which says what to set; a harmless one has none.
func TestWarnings_NameEachHarmfulSettingOnce(t *testing.T) {
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
			warnings := Warnings(test.client)
			if len(warnings) != len(test.want) {
				t.Errorf("%d warnings: %v", len(warnings), warnings)
			}
			for _, word := range test.want {
				named := func(err error) bool { return strings.Contains(err.Error(), word) }
				if !slices.ContainsFunc(warnings, named) {
					t.Errorf("no warning of %q: %v", word, warnings)
				}
			}
		})
	}
}
