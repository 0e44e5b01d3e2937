// SPDX-License-Identifier: Apache-2.0

package behaviour_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
	shoal "github.com/shoal-metrics/shoal/core"

	"github.com/shoal-metrics/shoal/core/tests/redistest"
	"github.com/shoal-metrics/shoal/core/tests/testkit"
)

// Processes with clients of every kind and setting count exactly, and each sees at once what
// the other one has flushed.
func TestClient_OfAnyKindCounts(t *testing.T) {
	t.Parallel()
	server, cluster := redistest.Shared(t), redistest.SharedCluster(t)
	universal := func(o redis.UniversalOptions) func(testing.TB) redis.UniversalClient {
		return func(t testing.TB) redis.UniversalClient {
			own := o
			own.Addrs = slices.Clip(slices.Clone(o.Addrs)) // each client appends to its own
			client := redis.NewUniversalClient(&own)
			t.Cleanup(func() { _ = client.Close() })
			return client
		}
	}
	single := func(change func(*redis.Options)) func(testing.TB) redis.UniversalClient {
		return func(t testing.TB) redis.UniversalClient { return server.Client(t, change) }
	}
	for name, connect := range map[string]func(testing.TB) redis.UniversalClient{
		"universal, one address":     universal(redis.UniversalOptions{Addrs: []string{server.Addr}}),
		"universal, a Cluster":       universal(redis.UniversalOptions{Addrs: cluster.Addrs()}),
		"universal, Cluster by flag": universal(redis.UniversalOptions{Addrs: cluster.Addrs()[:1], IsClusterMode: true}),
		"RESP2":                      single(func(o *redis.Options) { o.Protocol = 2 }),
		"another database":           single(func(o *redis.Options) { o.DB = 7 }),
		"one pool of two":            single(func(o *redis.Options) { o.PoolSize, o.PipelinePoolSize = 2, -1 }),
		"one connection":             single(func(o *redis.Options) { o.PoolSize, o.PipelinePoolSize, o.MaxActiveConns = 1, -1, 1 }),
		"tiny buffers":               single(func(o *redis.Options) { o.ReadBufferSize, o.WriteBufferSize = 1, 1 }),
		"a name, no identity":        single(func(o *redis.Options) { o.ClientName, o.DisableIdentity = "mine", true }),
		"maintenance notifications": single(func(o *redis.Options) {
			o.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeAuto}
		}),
		// The client's cache would answer with old values, if shoal used it.
		"a cache": single(func(o *redis.Options) {
			o.ClientSideCacheConfig = &redis.ClientSideCacheConfig{}
			o.PipelinePoolSize = -1
		}),
		"a pipelining client": func(t testing.TB) redis.UniversalClient {
			pipelining, err := server.Client(t).AutoPipeline()
			testkit.Must(t, err)
			return pipelining
		},
		"connections that live briefly": single(func(o *redis.Options) {
			o.ConnMaxLifetime, o.ConnMaxIdleTime = time.Millisecond, time.Millisecond
		}),
	} {
		t.Run(name, func(t *testing.T) {
			f := fleetOn(t, server).with(connect)
			regs := f.processes(t, 2)
			for i := range 5 {
				for _, reg := range regs {
					reg.NewCounter(shoal.CounterOpts{Name: "jobs_total"}).Inc()
					reg.NewHistogram(shoal.HistogramOpts{Name: "took_seconds", Buckets: []float64{1}}).Observe(0.5)
				}
				regs[0].NewGauge(shoal.GaugeOpts{Name: "depth", Mode: shoal.Sum}).Set(0.1)
				flush(t, regs...)
				want := fmt.Sprint(2 * (i + 1))
				for _, reg := range regs {
					testkit.Scrape(t, reg).Want(t, "jobs_total", want, "took_seconds_count", want, "depth", "0.1", "shoal_instances", "2")
				}
			}
		})
	}
}

// A client that spreads its reads over replicas, as a Sentinel client does with
// RouteRandomly. The replica lags, and no page shows its values.
func TestClient_ThatWouldReadFromReplicasReadsFromMasters(t *testing.T) {
	t.Parallel()
	master := redistest.Start(t, "--repl-diskless-sync-delay", "0")
	host, port, _ := strings.Cut(master.Addr, ":")
	replica := redistest.Start(t, "--replicaof", host+" "+port)
	replica.InSync(t)
	f := fleetOn(t, master).with(func(t testing.TB) redis.UniversalClient {
		client := redis.NewClusterClient(&redis.ClusterOptions{ // what NewFailoverClusterClient makes
			RouteRandomly: true,
			ClusterSlots: func(context.Context) ([]redis.ClusterSlot, error) {
				nodes := []redis.ClusterNode{{Addr: master.Addr}, {Addr: replica.Addr}}
				return []redis.ClusterSlot{{Start: 0, End: 16383, Nodes: nodes}}, nil
			},
		})
		t.Cleanup(func() { _ = client.Close() })
		return client
	})
	reg, reader := f.process(t), f.reader(t)
	c := reg.NewCounter(shoal.CounterOpts{Name: "jobs_total"})
	for i := range 20 {
		if i == 3 {
			replica.Stall(t)
		}
		c.Inc()
		flush(t, reg)
		testkit.Scrape(t, reader).Want(t, "jobs_total", fmt.Sprint(i+1))
	}
	stats := replica.Client(t).InfoMap(t.Context(), "commandstats").Val()["Commandstats"]
	if calls, asked := stats["cmdstat_hmget"]; asked {
		t.Errorf("the replica was read: %s", calls)
	}
}

// The application uses every connection of the pool for a blocking command. Its requests go
// on counting, the page says why it can't be read, and once a connection is free everything
// arrives, once.
func TestClient_WhosePoolIsTakenByTheApplication(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	var shared *redis.Client
	f := fleetOn(t, server).with(func(t testing.TB) redis.UniversalClient {
		shared = server.Client(t, impatient, func(o *redis.Options) {
			o.PoolSize, o.PipelinePoolSize, o.PoolTimeout = 2, -1, 100*time.Millisecond
		})
		return shared
	})
	reg := f.process(t)
	c := reg.NewCounter(shoal.CounterOpts{Name: "jobs_total"})
	c.Inc()
	flush(t, reg)

	var blocked sync.WaitGroup
	for i := range 2 {
		blocked.Go(func() {
			for shared.BLPop(context.Background(), 0, fmt.Sprint("jobs", i)).Err() != nil {
				continue // block again until the test ends
			}
		})
	}
	testkit.Eventually(t, func() error {
		clients := f.redis.ClientList(t.Context()).Val()
		if n := strings.Count(clients, "cmd=blpop"); n != 2 {
			return fmt.Errorf("%d connections are taken", n)
		}
		return nil
	})
	c.Add(10)
	completes(t, func() { requests(reg, 100) })
	if reason := says503(t, reg); !strings.Contains(reason, "pool") {
		t.Errorf("the page says %q", reason)
	}
	var undelivered *shoal.UndeliveredError
	if err := reg.Flush(testkit.Shortly(t)); !errors.As(err, &undelivered) || undelivered.NeverSent == 0 || !strings.Contains(err.Error(), "pool") {
		t.Errorf("Flush gives %v", err)
	}
	for i := range 2 {
		f.redis.RPush(t.Context(), fmt.Sprint("jobs", i), "done")
	}
	blocked.Wait()
	flush(t, reg)
	p := testkit.Scrape(t, reg)
	p.Want(t, "jobs_total", "411")
	wantNoLoss(t, p)
}

// However many calls there are, shoal takes one connection to write and one to read,
// and leaves the others to the application.
func TestClient_GivesTwoConnectionsAtMost(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	name := strings.ReplaceAll(f.app, "/", ".")
	f = f.with(func(t testing.TB) redis.UniversalClient {
		return redistest.Shared(t).Client(t, func(o *redis.Options) { o.ClientName = name })
	})
	reg := f.process(t)
	c := reg.NewCounter(shoal.CounterOpts{Name: "jobs_total"})
	var group sync.WaitGroup
	for range 20 {
		group.Go(func() {
			for range 20 {
				if _, err := c.IncSync(testkit.Within(t)); err != nil {
					t.Error(err)
				}
			}
		})
		group.Go(func() {
			for range 5 {
				if _, err := testkit.TryScrape(reg); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	if n := strings.Count(f.redis.ClientList(t.Context()).Val(), "name="+name); n > 2 {
		t.Errorf("%d connections, want 2 at most", n)
	}
	testkit.Scrape(t, reg).Want(t, "jobs_total", "400")
}

// The application subscribes, blocks, traces every command and repeats those that
// failed, all with the client that it shares with shoal, while every tenth reply to
// shoal's scripts is lost.
func TestClient_SharedWithABusyApplicationCountsExactly(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	proxy := redistest.StartLossyProxy(t, server.Addr)
	n := 0
	proxy.Lose(func(request []byte) bool {
		if !strings.Contains(string(request), "evalsha") {
			return false
		}
		n++
		return n%10 == 9
	})
	direct := fleetOn(t, server)
	behind := direct.behind(proxy)
	f := direct.with(func(t testing.TB) redis.UniversalClient {
		client := behind.connect(t)
		client.AddHook(around(func(_ context.Context, cmds []redis.Cmder, next func() error) error {
			show(cmds)
			defer show(cmds)
			if err := next(); err == nil {
				return nil
			}
			return next()
		}))
		return client
	})
	reg := f.process(t)
	client := f.connect(t)
	events := client.Subscribe(t.Context(), "events")
	defer func() { _ = events.Close() }()
	ctx, cancel := context.WithCancel(context.Background())
	var app sync.WaitGroup
	for range 3 {
		app.Go(func() {
			for ctx.Err() == nil {
				client.BLPop(ctx, 10*time.Millisecond, "jobs")
				client.Publish(ctx, "events", "x")
			}
		})
	}
	l := startLoad(t, reg)
	page := direct.reader(t)
	for range 5 {
		more(t, page, 100)
	}
	total := l.End()
	cancel()
	app.Wait()
	proxy.Lose(nil)
	flush(t, reg)
	testkit.Check(t, testkit.Scrape(t, page).ShowsLoad(total))
	if proxy.Lost.Load() == 0 {
		t.Error("no answer was lost: the test tests nothing")
	}
}
