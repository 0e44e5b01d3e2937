// SPDX-License-Identifier: Apache-2.0

package behaviour_test

import (
	"errors"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/redis/go-redis/v9"
	shoal "github.com/shoal-metrics/shoal/core"

	"github.com/shoal-metrics/shoal/core/tests/redistest"
)

// adding is how an op that adds looks on the line.
const adding = "$1\r\n+\r\n"

// behind makes the app's processes connect through a proxy.
func (f *fleet) behind(c *lossyProxy) *fleet {
	return &fleet{app: f.app, redis: f.redis, connect: func(t testing.TB) redis.UniversalClient { return c.client(t) }}
}

// The promise that each increment reaches Redis once, for each cumulative type
// and for the awaited form: the reply to the first commit is lost.
func TestExactlyOnce_ALostReplyIsNotAppliedTwice(t *testing.T) {
	f := newFleet(t)
	proxy := newLossyProxy(t, redistest.Shared(t).Addr)
	reg := f.behind(proxy).process(t)
	c := reg.NewCounter(shoal.CounterOpts{Name: "jobs_total"})
	h := reg.NewHistogram(shoal.HistogramOpts{Name: "took_seconds", Buckets: []float64{1}})
	s := reg.NewSummary(shoal.SummaryOpts{Name: "size_bytes"})
	flush(t, reg)
	family := func(name string) string { return "{" + f.app + "/" + name + "}:v" }

	proxy.lose(mentioning(1, family("jobs_total"), adding))
	if total, err := c.AddSync(within(t), 5); err != nil || total != 5 {
		t.Errorf("AddSync gives %v, %v; want 5", total, err)
	}
	proxy.lose(mentioning(2, family("took_seconds"), adding)) // the retry's too
	if err := h.ObserveSync(within(t), 0.5); err != nil {
		t.Error(err)
	}
	proxy.lose(mentioning(1, family("size_bytes"), adding))
	if err := s.ObserveSync(within(t), 2.5); err != nil {
		t.Error(err)
	}
	if n := proxy.lost.Load(); n != 4 {
		t.Errorf("%d replies were lost, want 4", n)
	}
	scrape(t, f.reader(t)).want(t, "jobs_total", "5", `took_seconds_bucket{le="1"}`, "1",
		"took_seconds_sum", "0.5", "took_seconds_count", "1", "size_bytes_sum", "2.5", "size_bytes_count", "1")
}

// Any reply may be lost: those to registrations, leases and gauges too.
func TestExactlyOnce_WhileEveryTwentiethReplyIsLost(t *testing.T) {
	f := newFleet(t)
	proxy := newLossyProxy(t, redistest.Shared(t).Addr)
	var n atomic.Int64
	proxy.lose(func([]byte) bool { return n.Add(1)%20 == 0 })
	var loads []*load
	for range 2 {
		loads = append(loads, startLoad(t, f.behind(proxy).process(t)))
	}
	eventually(t, func() error {
		if lost := proxy.lost.Load(); lost < 12 {
			return fmt.Errorf("only %d replies were lost", lost)
		}
		return nil
	})
	total := loads[0].end() + loads[1].end()
	eventuallyPage(t, f.reader(t), func(p page) error { return p.shows(total) })
}

func TestExactlyOnce_WhileConnectionsAreKilledAndScriptsForgotten(t *testing.T) {
	server := redistest.Start(t)
	f := fleetOn(t, server)
	one, two := startLoad(t, f.process(t)), startLoad(t, f.process(t))
	reader := f.reader(t)
	killed := int64(0)
	for range 15 {
		n, err := f.redis.Do(t.Context(), "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes").Int64()
		if err := errors.Join(err, f.redis.ScriptFlush(t.Context()).Err()); err != nil {
			t.Fatal(err)
		}
		killed += n
		more(t, reader, 10)
	}
	if killed < 30 {
		t.Errorf("only %d connections were killed", killed)
	}
	total := one.end() + two.end()
	eventuallyPage(t, reader, func(p page) error { return p.shows(total) })
}

// A replica that lags takes over: the writers resend what it lacks, though its
// former master had acknowledged that.
func TestExactlyOnce_AfterAFailoverToAReplicaThatLags(t *testing.T) {
	t.Parallel()
	master := redistest.Start(t, "--repl-diskless-sync-delay", "0")
	replica := redistest.Start(t)
	f := fleetOn(t, master)
	proxy := newLossyProxy(t, master.Addr)
	g := f.behind(proxy)
	one, two := g.process(t), g.process(t)
	before := []*load{startLoad(t, one), startLoad(t, two)}
	flush(t, one, two)

	host, port := "127.0.0.1", master.Addr[len("127.0.0.1:"):]
	eyes := replica.Client(t)
	if err := eyes.Do(t.Context(), "REPLICAOF", host, port).Err(); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() error { return linkUp(t, eyes) })
	flush(t, one, two)
	// From here on the replica hears of nothing, and the master acknowledges.
	if err := eyes.Do(t.Context(), "REPLICAOF", "NO", "ONE").Err(); err != nil {
		t.Fatal(err)
	}
	for range 20 {
		flush(t, one, two)
	}
	total := before[0].end() // one of the two is idle by then
	flush(t, one, two)
	master.Kill()
	proxy.moveTo(replica.Addr)
	total += before[1].end()
	reader := f.on(t, replica).reader(t)
	eventuallyPage(t, reader, func(p page) error { return p.shows(total) })
	scrape(t, reader).want(t, "shoal_instances", "2")
}

func linkUp(t testing.TB, replica *redis.Client) error {
	info, err := replica.InfoMap(t.Context(), "replication").Result()
	if err != nil {
		return err
	}
	if status := info["Replication"]["master_link_status"]; status != "up" {
		return fmt.Errorf("the replica's link is %q", status)
	}
	return nil
}

// The outage is shorter than a day, so that what is in doubt is kept.
func TestExactlyOnce_OverARestartThatKeepsTheData(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, "--appendonly", "yes", "--appendfsync", "always")
	f := fleetOn(t, server)
	one, two := startLoad(t, f.process(t)), startLoad(t, f.process(t))
	reader := f.reader(t)
	for range 3 {
		seen, _ := scrape(t, reader).value("jobs_total")
		server.Kill() // in the middle of whatever it does
		server.Restart(t)
		eventuallyPage(t, reader, func(p page) error {
			if v, _ := p.value("jobs_total"); v < seen+20 {
				return fmt.Errorf("jobs_total is %v after %v", v, seen)
			}
			return nil
		})
	}
	total := one.end() + two.end()
	eventuallyPage(t, reader, func(p page) error { return p.shows(total) })
}
