// SPDX-License-Identifier: Apache-2.0

package behaviour_test

import (
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/shoal-metrics/shoal/core/tests/redistest"
	"github.com/shoal-metrics/shoal/core/tests/testkit"
)

// What applications put around a client.
type (
	embedding struct{ redis.UniversalClient }
	// concealing embeds a client by a name that is not exported.
	concealing struct{ concealed }
	concealed  redis.UniversalClient
	// telling conceals a client, and has a method that gives it.
	telling struct{ concealed }
)

func (t telling) Unwrap() redis.UniversalClient { return t.concealed }

// wrapping makes a fleet's clients be wrapped.
func (f *fleet) wrapping(wrap func(redis.UniversalClient) redis.UniversalClient) *fleet {
	return f.with(func(t testing.TB) redis.UniversalClient { return wrap(f.connect(t)) })
}

// However a client is wrapped, processes count and show the same page at once,
// and where that hides a Cluster, OnError hears what to do, once.
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

// A user who may load scripts, and not send them each time, is enough for a
// wrapped client of one server, as for a bare one.
func TestWrapped_ClientsOfOneServerNeedNoFurtherRight(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	admin := server.Client(t)
	setUser(t, admin, "shop", "on", ">x", "~*", "+@all", "-eval")
	base := fleetOn(t, server).with(func(t testing.TB) redis.UniversalClient {
		return server.Client(t, impatient, asUser("shop", "x"))
	})
	for name, wrap := range map[string]func(redis.UniversalClient) redis.UniversalClient{
		"embedded":  func(c redis.UniversalClient) redis.UniversalClient { return embedding{c} },
		"concealed": func(c redis.UniversalClient) redis.UniversalClient { return concealing{c} },
	} {
		f := base.wrapping(wrap)
		f.app = appOf(t)
		testkit.Must(t, admin.ScriptFlush(t.Context()).Err())
		testkit.Must(t, admin.ACLLogReset(t.Context()).Err())
		reg := f.process(t)
		requests(reg, 10)
		flush(t, reg)
		testkit.Scrape(t, reg).Want(t, "jobs_total", "40")
		if entries := admin.ACLLog(t.Context(), 10).Val(); name == "embedded" && len(entries) != 0 {
			t.Errorf("the ACL refused: %+v", entries)
		}
	}
}

// After a failover a wrapped client's processes find the new master as soon as
// those of a bare one.
func TestWrapped_ClusterFindsTheNewMasterWithinSeconds(t *testing.T) {
	t.Parallel()
	findsTheNewMaster(t, func(c redis.UniversalClient) redis.UniversalClient { return &embedding{telling{c}} }, 15*time.Second)
}
