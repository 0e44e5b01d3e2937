// SPDX-License-Identifier: Apache-2.0

package redisclient

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/shoal-metrics/shoal/core/internal/wire"
)

func TestNew_MakesTheClientThatTheURLNames(t *testing.T) {
	for url, want := range map[string]string{
		"redis://localhost:1234/3":                                       "localhost:1234",
		"rediss://user:secret@example.org":                               "example.org:6379",
		"redis://localhost:26379/0?master_name=mymaster":                 wire.FailoverAddr,
		"redis://localhost:7001?addr=localhost:7002&addr=localhost:7003": "localhost:7001 localhost:7002 localhost:7003",
	} {
		client, err := New(url, "shop")
		if err != nil {
			t.Errorf("%s: %v", url, err)
			continue
		}
		var got string
		switch c := wire.Innermost(client).(type) {
		case *redis.ClusterClient:
			got = strings.Join(slices.Sorted(slices.Values(c.Options().Addrs)), " ")
		case *redis.Client:
			got = c.Options().Addr
		}
		if got != want {
			t.Errorf("%s gives a client of %s, want one of %s", url, got, want)
		}
		if err := client.Close(); err != nil {
			t.Error(err)
		}
	}
}

// For each kind of server.
func TestNew_ItsClientsHaveTheSettingsThatShoalNeeds(t *testing.T) {
	for url, want := range map[string]struct {
		dial, read time.Duration
		pool       int
	}{
		"redis://h:1/3":                     {2 * time.Second, 3 * time.Second, 4},
		"rediss://h:1":                      {2 * time.Second, 3 * time.Second, 4},
		"redis://h:1?master_name=m":         {2 * time.Second, 3 * time.Second, 4},
		"redis://h:1?addr=h:2":              {2 * time.Second, 3 * time.Second, 4},
		"redis://h:1?conn_max_idle_time=5m": {2 * time.Second, 3 * time.Second, 4},
		"redis://h:1?read_timeout=7s&pool_size=9&dial_timeout=1s":             {time.Second, 7 * time.Second, 9},
		"redis://h:1?addr=h:2&read_timeout=7s&pool_size=9&dial_timeout=1s":    {time.Second, 7 * time.Second, 9},
		"redis://h:1?master_name=m&read_timeout=7s&pool_size=9&max_retries=5": {2 * time.Second, 7 * time.Second, 9},
	} {
		client, err := New(url, "shop")
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
				MaintNotificationsConfig: co.MaintNotificationsConfig, OnConnect: co.OnConnect, DisableIdentity: co.DisableIdentity,
				ConnMaxIdleTime: co.ConnMaxIdleTime,
			}
			if co.ClusterStateReloadInterval != time.Second || co.MaxRedirects != 3 || co.ReadOnly {
				t.Errorf("%s: reload after %v, %d redirections, read only %v",
					url, co.ClusterStateReloadInterval, co.MaxRedirects, co.ReadOnly)
			}
		}
		if !o.ContextTimeoutEnabled || o.DialerRetries != 1 || o.PipelinePoolSize != -1 || o.OnConnect == nil || !o.DisableIdentity ||
			o.MaintNotificationsConfig == nil || o.MaintNotificationsConfig.Mode != "disabled" {
			t.Errorf("%s: contexts %v, %d dials, pipelines' pool %d, named %v, no identity %v, notifications %v", url,
				o.ContextTimeoutEnabled, o.DialerRetries, o.PipelinePoolSize, o.OnConnect != nil, o.DisableIdentity, o.MaintNotificationsConfig)
		}
		idle := time.Minute
		if strings.Contains(url, "conn_max_idle_time=5m") {
			idle = 5 * time.Minute
		}
		if o.ConnMaxIdleTime != idle {
			t.Errorf("%s: connections may be idle for %v", url, o.ConnMaxIdleTime)
		}
		if o.DialTimeout != want.dial || o.ReadTimeout != want.read || o.PoolSize != want.pool {
			t.Errorf("%s: dial %v, read %v, %d connections", url, o.DialTimeout, o.ReadTimeout, o.PoolSize)
		}
		for _, warning := range Warnings(client) {
			t.Errorf("%s: Open warns of its own client: %v", url, warning)
		}
		if err := client.Close(); err != nil {
			t.Error(err)
		}
	}
	named, err := New("redis://h:1?client_name=mine", "shop")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = named.Close() }()
	if o := named.(*redis.Client).Options(); o.ClientName != "mine" || o.OnConnect != nil {
		t.Error("the URL's client_name is not kept")
	}
}

// A dial that failed is the error of the connection's first use.
func TestNew_AFailedDialIsReportedByWhoUsesIt(t *testing.T) {
	client, err := New("redis://127.0.0.1:1", "shop")
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
