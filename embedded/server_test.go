// SPDX-License-Identifier: Apache-2.0

package embedded_test

import (
	"context"
	"math"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/shoal-metrics/shoal/embedded"
)

func start(t *testing.T) *embedded.Server {
	t.Helper()
	server, err := embedded.Start("")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	return server
}

func dial(t *testing.T, server *embedded.Server) *redis.Client {
	t.Helper()
	opts, err := redis.ParseURL(server.URL())
	if err != nil {
		t.Fatal(err)
	}
	client := redis.NewClient(opts)
	t.Cleanup(func() { _ = client.Close() })
	return client
}

// eventually polls until done, for ten seconds at most.
func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	deadline := time.Now().Add(10 * time.Second)
	for !done() {
		if time.Now().After(deadline) {
			t.Fatalf("after 10 s still not: %s", what)
		}
		<-ticker.C
	}
}

func TestStart_TimeRunsTheSameInCommandsAndScripts(t *testing.T) {
	ctx := context.Background()
	client := dial(t, start(t))

	near := func(what string, got time.Time) {
		t.Helper()
		if off := time.Since(got); math.Abs(off.Seconds()) > 5 {
			t.Errorf("%s is %v away from the wall clock", what, off)
		}
	}
	first, err := client.Time(ctx).Result()
	if err != nil {
		t.Fatal(err)
	}
	near("TIME", first)
	seconds, err := client.Eval(ctx, `return tonumber(redis.call('TIME')[1])`, nil).Int64()
	if err != nil {
		t.Fatal(err)
	}
	near("TIME in a script", time.Unix(seconds, 0))
	eventually(t, "TIME moves on", func() bool {
		now, err := client.Time(ctx).Result()
		return err == nil && now.After(first)
	})
}

func TestStart_KeysExpire(t *testing.T) {
	ctx := context.Background()
	client := dial(t, start(t))

	const lifetime = 200 * time.Millisecond
	begin := time.Now()
	if err := client.Eval(ctx, `
		redis.call('HSET', KEYS[1], 'field', 'value')
		return redis.call('PEXPIRE', KEYS[1], ARGV[1])`,
		[]string{"key"}, lifetime.Milliseconds()).Err(); err != nil {
		t.Fatal(err)
	}
	if err := client.HSet(ctx, "lasting", "field", "value").Err(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the key is gone", func() bool {
		n, err := client.Exists(ctx, "key").Result()
		return err == nil && n == 0
	})
	if lived := time.Since(begin); lived < lifetime {
		t.Errorf("the key lived for %v only", lived)
	}
	if n, err := client.Exists(ctx, "lasting").Result(); err != nil || n != 1 {
		t.Errorf("the key without expiry: %v, %v", n, err)
	}
}

func TestStart_ClientsShareIt(t *testing.T) {
	ctx := context.Background()
	server := start(t)
	var group sync.WaitGroup
	for range 4 {
		client := dial(t, server)
		group.Go(func() {
			for range 100 {
				if err := client.Incr(ctx, "shared").Err(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	if n, err := dial(t, server).Get(ctx, "shared").Int(); err != nil || n != 400 {
		t.Errorf("got %v, %v; want 400", n, err)
	}
}

func TestStart_ListensOnLoopbackOnly(t *testing.T) {
	for _, addr := range []string{":0", ":6379", "0.0.0.0:0", "[::]:0", "192.0.2.1:0", "example.com:0"} {
		server, err := embedded.Start(addr)
		if err == nil {
			server.Close()
			t.Errorf("%q: it listens on %s", addr, server.Addr())
		} else if !strings.Contains(err.Error(), "loopback") {
			t.Errorf("%q: the error does not name the rule: %v", addr, err)
		}
	}
	for _, addr := range []string{"127.0.0.1", "nonsense", "127.0.0.1:port"} {
		if server, err := embedded.Start(addr); err == nil {
			server.Close()
			t.Errorf("%q is taken for an address", addr)
		}
	}
	for _, addr := range []string{"", "127.0.0.1:0", "localhost:0", "127.1.2.3:0"} {
		server, err := embedded.Start(addr)
		if err != nil {
			if addr == "127.1.2.3:0" {
				continue // not every system has the whole range
			}
			t.Errorf("%q: %v", addr, err)
			continue
		}
		host, _, err := net.SplitHostPort(server.Addr())
		if ip := net.ParseIP(host); err != nil || ip == nil || !ip.IsLoopback() {
			t.Errorf("%q: listens on %s", addr, server.Addr())
		}
		server.Close()
	}
}

func TestStart_SaysThatThePortIsTaken(t *testing.T) {
	server := start(t)
	if second, err := embedded.Start(server.Addr()); err == nil {
		second.Close()
		t.Error("two servers on one port")
	}
}

func TestClose_LeavesNothingBehind(t *testing.T) {
	ctx := context.Background()
	server, err := embedded.Start("")
	if err != nil {
		t.Fatal(err)
	}
	client := dial(t, server)
	if err := client.Ping(ctx).Err(); err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	for range 3 { // also at the same time, and with a client connected
		group.Go(server.Close)
	}
	group.Wait()
	server.Close()

	if err := client.Ping(ctx).Err(); err == nil {
		t.Error("it still answers")
	}
	buf := make([]byte, 1<<20)
	if stacks := string(buf[:runtime.Stack(buf, true)]); strings.Contains(stacks, "miniredis") {
		t.Errorf("goroutines are left:\n%s", stacks)
	}
	again, err := embedded.Start(server.Addr())
	if err != nil {
		t.Fatalf("the port is not free: %v", err)
	}
	again.Close()
}
