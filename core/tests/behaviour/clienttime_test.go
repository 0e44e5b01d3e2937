// SPDX-License-Identifier: Apache-2.0

package behaviour_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	shoal "github.com/shoal-metrics/shoal/core"

	"github.com/shoal-metrics/shoal/core/tests/redistest"
	"github.com/shoal-metrics/shoal/core/tests/testkit"
)

// A client that ignores the deadlines of contexts, which is go-redis's default. Its calls
// outlive their contexts, but Flush, Close, AddSync and pages return in time.
func TestClient_ThatIgnoresDeadlinesMakesNobodyWait(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	reg := fleetOn(t, server).with(func(t testing.TB) redis.UniversalClient {
		return server.Client(t) // ContextTimeoutEnabled is false, timeouts are 5 s
	}).loose(t)
	c := reg.NewCounter(shoal.CounterOpts{Name: "jobs_total"})
	flush(t, reg)
	testkit.Scrape(t, reg)
	server.Freeze(t)
	c.Inc()
	const given = 200 * time.Millisecond
	inTime := func(call func(context.Context) error) error {
		t.Helper()
		ctx, cancel := context.WithTimeout(context.Background(), given)
		defer cancel()
		begin := time.Now()
		err := call(ctx)
		if took := time.Since(begin); took > given+time.Second {
			t.Errorf("it took %v, it was given %v", took, given)
		}
		return err
	}
	for name, call := range map[string]func(context.Context) error{
		"Flush":     reg.Flush,
		"IncSync":   func(ctx context.Context) error { _, err := c.IncSync(ctx); return err },
		"Instances": func(ctx context.Context) error { _, err := reg.Instances(ctx); return err },
	} {
		if err := inTime(call); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s gives %v", name, err)
		}
	}
	says503(t, reg)
	says503(t, reg) // while a call of the page before is still under way
	var undelivered *shoal.UndeliveredError
	if err := inTime(reg.Close); !errors.As(err, &undelivered) || undelivered.NeverSent+undelivered.InDoubt == 0 {
		t.Errorf("Close gives %v", err)
	}
	server.Thaw(t)
}

// The application closes the client before it closes the registry.
func TestClient_ClosedUnderneathIsAnErrorAndNoPanic(t *testing.T) {
	t.Parallel()
	client := redistest.Shared(t).Client(t)
	f := newFleet(t)
	reg := f.with(func(testing.TB) redis.UniversalClient { return client }).loose(t)
	c := reg.NewCounter(shoal.CounterOpts{Name: "jobs_total"})
	c.Inc()
	flush(t, reg)
	_ = client.Close()
	c.Inc()
	if err := reg.Flush(testkit.Shortly(t)); !errors.Is(err, redis.ErrClosed) {
		t.Errorf("Flush gives %v", err)
	}
	says503(t, reg)
	err := reg.Close(testkit.Shortly(t))
	var undelivered *shoal.UndeliveredError
	if !errors.As(err, &undelivered) || !errors.Is(err, redis.ErrClosed) || undelivered.NeverSent+undelivered.InDoubt == 0 {
		t.Errorf("Close gives %v", err)
	}
	testkit.Scrape(t, f.reader(t)).Want(t, "jobs_total", "1", "shoal_instances", "1") // until its lease ends
}

// The connections of Open have names in CLIENT LIST even if the user has no right to
// CLIENT, and ACL LOG stays empty.
func TestOpen_NamesItsConnectionsWithoutAnyRight(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	f := fleetOn(t, server)
	setUser(t, f.redis, "nameless", "on", ">pass", "~shoal:1:*", "+@all", "-client")
	for _, end := range []string{"", "?protocol=2"} {
		for _, user := range []string{"", "nameless:pass@"} {
			f.url = "redis://" + user + server.Addr + end
			reg := f.opened(t)
			_, err := reg.NewCounter(shoal.CounterOpts{Name: "jobs_total"}).IncSync(testkit.Within(t))
			testkit.Check(t, err)
			clients := f.redis.ClientList(t.Context()).Val()
			if !strings.Contains(clients, "name=shoal:"+f.app) {
				t.Errorf("user %q%s has no name:\n%s", user, end, clients)
			}
			closeAll(t, reg)
		}
	}
	if entries := f.redis.ACLLog(t.Context(), 10).Val(); len(entries) != 0 {
		t.Errorf("the ACL refused: %+v", entries)
	}
}

// Servers count the errors that they reply. Nothing that Open's clients send on a new
// connection causes one, as CLIENT SETINFO would: Redis 7.0 does not know it, and Redis
// 7.2 makes an entry in ACL LOG if the user may not use it.
func TestOpen_SaysNothingThatServersRefuse(t *testing.T) {
	t.Parallel()
	server, cluster, set := redistest.Start(t), redistest.StartCluster(t), redistest.StartSentinel(t)
	for url, servers := range map[string][]*redistest.Server{
		server.URL():  {server},
		cluster.URL(): cluster.Nodes,
		set.URL():     {set.Master, set.Replicas[0], set.Replicas[1]},
	} {
		clients := make([]*redis.Client, len(servers))
		for i, s := range servers {
			clients[i] = s.Client(t, func(o *redis.Options) { o.PoolSize, o.PipelinePoolSize = 1, -1 })
			testkit.Must(t, clients[i].ConfigResetStat(t.Context()).Err())
		}
		reg := fleetAt(t, url).opened(t)
		requests(reg, 10)
		flush(t, reg)
		testkit.Scrape(t, reg)
		closeAll(t, reg)
		for i, client := range clients {
			for line := range strings.Lines(client.Info(t.Context(), "errorstats").Val()) {
				if strings.HasPrefix(line, "errorstat_") && !strings.HasPrefix(line, "errorstat_NOSCRIPT") && !strings.HasPrefix(line, "errorstat_MOVED") {
					t.Errorf("%s: %s counts %s", url, servers[i].Addr, line)
				}
			}
		}
	}
}

// While Redis is away go-redis would fill the log. With the clients of Open only shoal's own
// report is logged, and they find Redis as soon as it is back.
func TestOpen_ItsClientsLogNothingWhileRedisIsAway(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	f := fleetOn(t, server)
	heard := new(testkit.Heard)
	reg := f.opened(t, hearing(heard))
	c := reg.NewCounter(shoal.CounterOpts{Name: "jobs_total"})
	flush(t, reg)
	server.Kill()
	c.Inc()
	for range 5 {
		says503(t, reg)
	}
	testkit.Eventually(t, func() error { // many failed attempts
		if reason := says503(t, reg); !strings.Contains(reason, "Redis can't be reached") {
			return fmt.Errorf("the page says %q", reason)
		}
		return nil
	})
	if lines := clientLog.Of(server.Addr); len(lines) > 0 {
		t.Errorf("go-redis logs %q", lines)
	}
	if told := heard.Of(); len(told) == 0 || !strings.Contains(told[0], "Redis does not answer") && !strings.Contains(told[0], "lease") {
		t.Errorf("shoal reports %q", told)
	}
	server.Restart(t)
	flush(t, reg)
	testkit.EventuallyHas(t, f.reader(t), "jobs_total", "1")
	closeAll(t, reg)
}
