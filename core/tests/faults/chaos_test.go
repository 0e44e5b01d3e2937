// SPDX-License-Identifier: Apache-2.0

package faults_test

import (
	"errors"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/shoal-metrics/shoal/core/tests/redistest"
	"github.com/shoal-metrics/shoal/core/tests/testkit"
)

// TestChaos makes one fault after another for the time of -chaos, on a server,
// a Sentinel set and a Cluster at the same time. -seed decides which faults come
// and how long each lasts; when they come depends on the machine. None of them
// empties Redis, so no count may be lost and no counter may fall.
func TestChaos(t *testing.T) {
	t.Parallel()
	for i, system := range []struct {
		name  string
		start func(t *testing.T) (url string, steps func(*app) []step)
	}{
		{"server", chaosOnServer},
		{"sentinel", chaosOnSentinel},
		{"cluster", chaosOnCluster},
	} {
		t.Run(system.name, func(t *testing.T) {
			t.Parallel()
			url, steps := system.start(t)
			a := startApp(t, url, asDefault)
			c := &chaos{app: a, rng: rand.New(rand.NewPCG(*chaosAs, uint64(i)))}
			c.run(t, steps(a))
		})
	}
}

// step is a fault and its end.
type step struct {
	name string
	do   func(t *testing.T, c *chaos)
}

type chaos struct {
	app  *app
	rng  *rand.Rand
	done map[string]int
}

// run takes steps until the time is over, and then wants exact totals.
func (c *chaos) run(t *testing.T, steps []step) {
	c.done = map[string]int{}
	begin := time.Now()
	for time.Since(begin) < *chaosFor {
		s := steps[c.rng.IntN(len(steps))]
		at := time.Since(begin)
		s.do(t, c)
		c.done[s.name]++
		t.Logf("%6.1fs %s, for %.1fs", at.Seconds(), s.name, (time.Since(begin) - at).Seconds())
		if c.rng.IntN(2) == 0 { // else the next step follows at once
			c.app.more(t, 10)
		}
	}
	c.app.more(t, 10)
	c.app.exact(t, tally{})
	c.app.watch.eventually(t, c.app.watch.mark(), idle)
	c.app.unnoticed(t)
	c.app.watch.neverFell(t)
	c.app.watch.end()
	for _, name := range slices.Sorted(maps.Keys(c.done)) {
		t.Logf("%3d × %s", c.done[name], name)
	}
	t.Logf("seed %d, %v; the slowest request took %v", *chaosAs, time.Since(begin).Round(time.Second), c.app.worst())
	c.app.close(t)
}

// aWhile waits for a random time up to d.
func (c *chaos) aWhile(d time.Duration) {
	<-time.After(time.Duration(c.rng.Int64N(int64(d)))) // how long the fault lasts
}

// chaosOnServer has all faults of the tables that lose nothing.
func chaosOnServer(t *testing.T) (string, func(*app) []step) {
	r := &fixture{server: redistest.Start(t, append([]string{"--user", "shop", "on", ">secret", "~*", "+@all"}, aof...)...)}
	r.admin = r.server.Client(t)
	r.network = startNetwork(t, r.server.Addr)
	return "redis://shop:secret@" + r.network.addr(), func(a *app) (steps []step) {
		r.app = a
		for _, f := range slices.Concat(serverFaults, networkFaults) {
			if f.wiped || f.once {
				continue
			}
			steps = append(steps, step{f.name, func(t *testing.T, c *chaos) {
				f.begin(t, r)
				c.aWhile(3 * time.Second)
				if f.end != nil {
					f.end(t, r)
				}
			}})
		}
		return steps
	}
}

func chaosOnSentinel(t *testing.T) (string, func(*app) []step) {
	s := redistest.StartSentinel(t)
	servers := []*redistest.Server{s.Master, s.Replicas[0], s.Replicas[1]}
	// master returns the present master, and the others.
	master := func(t *testing.T) (*redistest.Server, []*redistest.Server) {
		t.Helper()
		at := -1
		testkit.Eventually(t, func() error {
			at = slices.IndexFunc(servers, func(server *redistest.Server) bool { return s.IsMaster(server) })
			if at < 0 {
				return errors.New("the Sentinels name no master")
			}
			return nil
		})
		return servers[at], slices.Concat(servers[:at], servers[at+1:])
	}
	// replace makes the master fail until there is a new one. When it returns, the
	// old one is back as a replica.
	replace := func(t *testing.T, leave, back func(t *testing.T, m *redistest.Server)) {
		m, others := master(t)
		leave(t, m)
		testkit.Eventually(t, func() error {
			if !slices.ContainsFunc(others, s.IsMaster) {
				return errors.New("there is no new master")
			}
			return nil
		})
		back(t, m)
		m.Becomes(t, "slave")
		for _, o := range servers {
			o.Resume(t)
		}
		for _, o := range servers {
			if !s.IsMaster(o) {
				o.InSync(t)
			}
		}
	}
	return s.URL(), func(*app) []step {
		return []step{
			{"the master is killed, and its replicas lag", func(t *testing.T, c *chaos) {
				s.Ready(t) // after the failover before
				_, others := master(t)
				for _, o := range others {
					o.Stall(t)
				}
				c.app.flush(t)
				replace(t, killIt, restarts)
			}},
			{"the master freezes and resumes as a replica", func(t *testing.T, _ *chaos) {
				s.Ready(t)
				replace(t, freeze, thaw)
			}},
			{"the master freezes and resumes", func(t *testing.T, c *chaos) {
				m, _ := master(t)
				m.Freeze(t)
				c.aWhile(700 * time.Millisecond) // not long enough for a failover
				m.Thaw(t)
			}},
			{"clients killed, scripts flushed", func(t *testing.T, _ *chaos) {
				m, _ := master(t)
				hangUpAndForget(t, m)
			}},
		}
	}
}

func chaosOnCluster(t *testing.T) (string, func(*app) []step) {
	cluster := redistest.StartClusterWithReplicas(t)
	// pairs hold a master and its replica, which change places.
	pairs := make([][2]*redistest.Server, len(cluster.Nodes))
	for i := range pairs {
		pairs[i] = [2]*redistest.Server{cluster.Nodes[i], cluster.Replicas[i]}
	}
	replace := func(t *testing.T, p *[2]*redistest.Server, leave, back func(t *testing.T, m *redistest.Server)) {
		leave(t, p[0])
		p[1].Becomes(t, "master")
		back(t, p[0])
		p[1].Resume(t)
		// The Cluster decides which of the two is the master in the end.
		testkit.Eventually(t, func() error {
			first, err := p[0].Role()
			second, err2 := p[1].Role()
			if err := errors.Join(err, err2); err != nil || first == second {
				return errors.Join(err, errors.New("both are a "+first))
			}
			if first == "slave" {
				p[0], p[1] = p[1], p[0]
			}
			return nil
		})
		p[1].InSync(t)
	}
	pick := func(c *chaos) *[2]*redistest.Server { return &pairs[c.rng.IntN(len(pairs))] }
	return cluster.URL(), func(*app) []step {
		return []step{
			{"a master is killed, and its replica lags", func(t *testing.T, c *chaos) {
				p := pick(c)
				p[1].Stall(t)
				c.app.flush(t)
				replace(t, p, killIt, restarts)
			}},
			{"a master freezes and resumes as a replica", func(t *testing.T, c *chaos) { replace(t, pick(c), freeze, thaw) }},
			{"a master freezes and resumes", func(t *testing.T, c *chaos) {
				p := pick(c)
				p[0].Freeze(t)
				c.aWhile(time.Second) // not long enough for a failover
				p[0].Thaw(t)
			}},
			{"master and replica change places in order", func(t *testing.T, c *chaos) {
				p := pick(c)
				replace(t, p, func(t *testing.T, _ *redistest.Server) { p[1].TakeOver(t) }, func(*testing.T, *redistest.Server) {})
			}},
			{"every slot of the application moves", func(t *testing.T, c *chaos) { c.app.reshard(t, cluster) }},
			{"clients killed, scripts flushed", func(t *testing.T, c *chaos) { hangUpAndForget(t, pick(c)[0]) }},
		}
	}
}

// How a master fails and how it comes back.
func freeze(t *testing.T, m *redistest.Server)   { m.Freeze(t) }
func thaw(t *testing.T, m *redistest.Server)     { m.Thaw(t) }
func killIt(_ *testing.T, m *redistest.Server)   { m.Kill() }
func restarts(t *testing.T, m *redistest.Server) { m.Restart(t) }

// hangUpAndForget has a server close its clients' connections and forget its scripts.
func hangUpAndForget(t *testing.T, s *redistest.Server) {
	t.Helper()
	client := s.Client(t, func(o *redis.Options) { o.MaxRetries = -1 })
	testkit.Must(t, client.Do(t.Context(), "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes").Err())
	testkit.Must(t, client.ScriptFlush(t.Context()).Err())
}
