// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/shoal-metrics/shoal/core/internal/wire"
)

func TestOpen_MakesTheClientThatTheURLNames(t *testing.T) {
	tests := []struct {
		url     string
		cluster bool
		addr    string // of a single server
	}{
		{"redis://localhost:1234/3", false, "localhost:1234"},
		{"rediss://user:secret@example.org", false, "example.org:6379"},
		{"redis://localhost:26379/0?master_name=mymaster", false, "FailoverClient"},
		{"redis://localhost:7001?addr=localhost:7002&addr=localhost:7003", true, ""},
	}
	for _, tt := range tests {
		client, err := newClient(tt.url, "shop")
		if err != nil {
			t.Errorf("%s: %v", tt.url, err)
			continue
		}
		switch c := wire.Innermost(client).(type) {
		case *redis.ClusterClient:
			o := c.Options()
			if !tt.cluster || len(o.Addrs) != 3 || !o.ContextTimeoutEnabled || o.ClusterStateReloadInterval != clientClusterReload {
				t.Errorf("%s gives a Cluster's client of %v", tt.url, o.Addrs)
			}
		case *redis.Client:
			o := c.Options()
			if tt.cluster || o.Addr != tt.addr || !o.ContextTimeoutEnabled || o.MaxRetries != 0 {
				t.Errorf("%s gives a client of %s, %d retries", tt.url, o.Addr, o.MaxRetries)
			}
		}
		if err := client.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestOpen_KeepsThePasswordOutOfItsErrors(t *testing.T) {
	for _, url := range []string{
		"", "http://user:secret@host", "redis://user:secret@host:port", "redis://user:secret@host/notanumber",
		"redis://user:secret@host\x7f", "redis://user:secret@h?master_name=a&db=x",
	} {
		err := New().Open(url, Opts{App: "shop"})
		mentions(t, err, "Open", "redis://user:password@host")
		if strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: the error shows the password: %v", url, err)
		}
	}
}

func TestOpen_ValidatesTheOptions(t *testing.T) {
	r := New()
	mentions(t, r.Open("redis://localhost", Opts{}), "Opts.App")
	if r.conn.Load() != nil {
		t.Error("connected all the same")
	}
}
