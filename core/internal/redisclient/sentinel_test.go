// SPDX-License-Identifier: Apache-2.0

package redisclient

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/shoal-metrics/shoal/core/internal/wire"
)

// What the URL of a Sentinel set says of Redis reaches the client of the master,
// and what it says of Sentinel those of the Sentinels.
func TestSentinel_EachSideHasItsOwnPartOfTheURL(t *testing.T) {
	client, err := New("rediss://watcher:p%40s@one:26379/3?master_name=shop&addr=two:26379&username=shop&password=s%2Fp&"+
		"protocol=2&read_timeout=7s&min_retry_backoff=1s&conn_max_lifetime=1m&skip_verify=true&use_disconnected_replicas=true", "shop")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = client.Close() }()
	master := wire.Innermost(client).(*redis.Client).Options()
	if master.Username != "shop" || master.Password != "s/p" || master.DB != 3 || master.Protocol != 2 || master.TLSConfig == nil ||
		!master.TLSConfig.InsecureSkipVerify || master.ConnMaxLifetime == 0 || master.ReadTimeout.Seconds() != 7 {
		t.Errorf("the master is asked as %+v", master)
	}
	sentinels := client.(*sentinelClient).sentinels
	if sentinels.set != "shop" || len(sentinels.clients) != 2 {
		t.Fatalf("%d Sentinels of %q", len(sentinels.clients), sentinels.set)
	}
	for i, addr := range []string{"one:26379", "two:26379"} {
		o := sentinels.clients[i].Options()
		if o.Addr != addr || o.Username != "watcher" || o.Password != "p@s" || o.DB != 0 || o.Protocol != 2 || o.TLSConfig == nil ||
			!o.TLSConfig.InsecureSkipVerify || o.ReadTimeout.Seconds() != 7 || o.PoolSize != 4 {
			t.Errorf("the Sentinel %s is asked as %+v", addr, o)
		}
	}
	if _, err := New("redis://localhost?master_name=m&replica_only=true", "shop"); err == nil || !strings.Contains(err.Error(), "replica_only") {
		t.Errorf("a URL that asks for replicas gives %v", err)
	}
}

func TestSentinel_ItsAnswerIsAHostAndAPort(t *testing.T) {
	for _, good := range [][]string{{"10.0.0.1", "6379"}, {"::1", "1"}, {"redis-1.example", "65535"}} {
		if !isAddress(good) {
			t.Errorf("%q is an address", good)
		}
	}
	for _, bad := range [][]string{{}, {"h"}, {"", "1"}, {"h", ""}, {"h", "0"}, {"h", "65536"}, {"h\n", "1"}, {"h x", "1"}, {"\xff", "1"}, {"h", "1", "2"}} {
		if isAddress(bad) {
			t.Errorf("%q is no address", bad)
		}
	}
}

func TestSentinel_TheMastersURLHasNothingOfSentinels(t *testing.T) {
	u, err := url.Parse("redis://watcher:secret@one/2?master_name=m&addr=two:1&password=p&pool_size=9")
	if err != nil {
		t.Fatal(err)
	}
	if got := masterURL(u); got != "redis://:p@one/2?pool_size=9" {
		t.Errorf("it is %s", got)
	}
}

// The Sentinel that answered last may have been on the master's host, and hang. The
// others then name the new master to the first who asks.
func TestSentinel_OneThatHangsKeepsNobodyFromAskingTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &sentinels{set: "shop"}
		s.ctx, s.cancel = context.WithCancel(t.Context())
		for i := range 3 {
			s.clients = append(s.clients, redis.NewClient(&redis.Options{
				Addr: fmt.Sprint("sentinel-", i), MaxRetries: -1, DialerRetries: 1, ContextTimeoutEnabled: true,
				ReadTimeout: -1, DisableIdentity: true, PipelinePoolSize: -1,
				Dialer: func(context.Context, string, string) (net.Conn, error) {
					ours, theirs := net.Pipe()
					go sentinelAnswers(theirs, i == 0)
					return ours, nil
				},
			}))
		}
		defer func() { _ = s.close() }()
		s.last.Store(0)
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		if addr, err := s.find(ctx); addr != "redis-2:6379" || err != nil {
			t.Errorf("the master is %q: %v", addr, err)
		}
		if last := s.last.Load(); last == 0 {
			t.Error("the one that hangs is asked first again")
		}
	})
}

// sentinelAnswers until the connection is closed.
func sentinelAnswers(conn net.Conn, hangs bool) {
	request := make([]byte, 4096)
	for {
		n, err := conn.Read(request)
		if err != nil {
			return
		}
		answer := "-ERR unknown command\r\n"
		if bytes.Contains(request[:n], []byte("sentinel")) {
			answer = "*2\r\n+redis-2\r\n+6379\r\n"
			if hangs {
				continue
			}
		}
		if _, err := conn.Write([]byte(answer)); err != nil {
			return
		}
	}
}
