// SPDX-License-Identifier: Apache-2.0

package behaviour_test

import (
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	shoal "github.com/shoal-metrics/shoal/core"

	"github.com/shoal-metrics/shoal/core/tests/redistest"
	"github.com/shoal-metrics/shoal/core/tests/testkit"
)

// What applications put around a client.
type (
	embedding struct{ redis.UniversalClient }
	// concealing embeds a client in an unexported field.
	concealing struct{ concealed }
	concealed  redis.UniversalClient
	// telling embeds a client in an unexported field, and has a method that returns it.
	telling struct{ concealed }
)

func (t telling) Unwrap() redis.UniversalClient { return t.concealed }

// wrapping wraps the clients of a fleet.
func (f *fleet) wrapping(wrap func(redis.UniversalClient) redis.UniversalClient) *fleet {
	return f.with(func(t testing.TB) redis.UniversalClient { return wrap(f.connect(t)) })
}

// However a client is wrapped, processes count and show the same page at once.
// If the wrapping hides a Cluster, OnError gets one error that says what to do.
func TestWrapped_ClientsCountAndOneThatHidesAClusterIsTold(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		wrap  func(redis.UniversalClient) redis.UniversalClient
		hides bool
	}{
		"bare":               {func(c redis.UniversalClient) redis.UniversalClient { return c }, false},
		"embedded":           {func(c redis.UniversalClient) redis.UniversalClient { return embedding{c} }, false},
		"embedded, pointer":  {func(c redis.UniversalClient) redis.UniversalClient { return &embedding{c} }, false},
		"embedded twice":     {func(c redis.UniversalClient) redis.UniversalClient { return &embedding{embedding{c}} }, false},
		"with Unwrap":        {func(c redis.UniversalClient) redis.UniversalClient { return telling{c} }, false},
		"Unwrap, embedded":   {func(c redis.UniversalClient) redis.UniversalClient { return &embedding{&telling{embedding{c}}} }, false},
		"concealed":          {func(c redis.UniversalClient) redis.UniversalClient { return concealing{c} }, true},
		"concealed, pointer": {func(c redis.UniversalClient) redis.UniversalClient { return &concealing{embedding{c}} }, true},
		"pipelining": {func(c redis.UniversalClient) redis.UniversalClient {
			p, err := c.AutoPipeline()
			testkit.Must(t, err)
			return p
		}, true},
	} {
		for kind, f := range map[string]*fleet{
			"server":  fleetOn(t, redistest.Shared(t)),
			"Cluster": fleetOnCluster(t, redistest.SharedCluster(t)),
		} {
			f.app = appOf(t)
			t.Run(kind+"/"+name, func(t *testing.T) {
				heard := new(testkit.Heard)
				f := f.wrapping(tt.wrap)
				reg, reader := f.process(t, hearing(heard)), f.reader(t)
				for range 5 {
					requests(reg, 10)
					flush(t, reg)
					testkit.Scrape(t, reg)
				}
				testkit.Scrape(t, reader).Want(t, "jobs_total", "200", "shoal_instances", "1")
				told := 0
				if tt.hides && kind == "Cluster" {
					told = 1
				}
				if len(heard.Of("Unwrap() redis.UniversalClient")) != told || len(heard.Of()) != told {
					t.Errorf("OnError hears %q", heard)
				}
			})
		}
	}
}

// As without wrapping, a wrapped client of one server needs only the right to load scripts, not
// that to EVAL.
func TestWrapped_ClientsOfOneServerNeedNoFurtherRight(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	admin := server.Client(t)
	setUser(t, admin, "shop", "on", ">x", "~*", "+@all", "-eval")
	base := fleetOn(t, server).with(func(t testing.TB) redis.UniversalClient {
		return server.Client(t, impatient, asUser("shop", "x"))
	})
	for _, wrapped := range []struct {
		name string
		wrap func(redis.UniversalClient) redis.UniversalClient
	}{
		{"embedded", func(c redis.UniversalClient) redis.UniversalClient { return embedding{c} }},
		{"concealed", func(c redis.UniversalClient) redis.UniversalClient { return concealing{c} }}, // the last, since it tries EVAL
	} {
		f := base.wrapping(wrapped.wrap)
		f.app = appOf(t)
		testkit.Must(t, admin.ScriptFlush(t.Context()).Err())
		testkit.Must(t, admin.ACLLogReset(t.Context()).Err())
		reg := f.process(t)
		requests(reg, 10)
		flush(t, reg)
		testkit.Scrape(t, reg).Want(t, "jobs_total", "40")
		if entries := admin.ACLLog(t.Context(), 10).Val(); wrapped.name == "embedded" && len(entries) != 0 {
			t.Errorf("the ACL refused: %+v", *entries[0])
		}
	}
}

// A Cluster client with go-redis's defaults reads the slots once a minute. After a failover
// processes with wrapped clients find the new master within seconds, also an idle process and
// one that only reads, and nothing is lost.
func TestWrapped_ClusterFindsTheNewMasterWithinSeconds(t *testing.T) {
	t.Parallel()
	cluster := redistest.StartClusterWithReplicas(t)
	client := cluster.Client(t)
	f := fleetOnCluster(t, cluster).with(func(t testing.TB) redis.UniversalClient {
		client := redis.NewClusterClient(&redis.ClusterOptions{Addrs: cluster.Addrs()})
		t.Cleanup(func() { _ = client.Close() })
		return &embedding{telling{client}}
	})
	reg, reader := f.process(t), f.reader(t)
	idle := f.process(t, lease(2*time.Second))
	c := reg.NewCounter(shoal.CounterOpts{Name: "jobs_total"})
	c.Inc()
	flush(t, reg, idle)
	testkit.Scrape(t, reader).Want(t, "jobs_total", "1", "shoal_instances", "2")

	key := f.family("jobs_total", "v")
	master := cluster.NodeOf(t, client, key)
	replica := replicaOf(t, cluster, master)
	replica.InSync(t)
	master.Kill()
	c.Inc()
	testkit.Must(t, replica.Client(t).Do(t.Context(), "CLUSTER", "FAILOVER", "TAKEOVER").Err())
	begin := time.Now()
	flush(t, reg)
	testkit.EventuallyHas(t, reader, "jobs_total", "2")
	testkit.EventuallyHas(t, idle, "jobs_total", "2", "shoal_instances", "2")
	if took := time.Since(begin); took > 15*time.Second {
		t.Errorf("it took %v", took)
	}
}

// replicaOf finds the replica of a master.
func replicaOf(t *testing.T, c *redistest.Cluster, master *redistest.Server) *redistest.Server {
	t.Helper()
	_, port, _ := strings.Cut(master.Addr, ":")
	for _, r := range c.Replicas {
		if r.Client(t).InfoMap(t.Context(), "replication").Val()["Replication"]["master_port"] == port {
			return r
		}
	}
	t.Fatal("the master has no replica")
	return nil
}
