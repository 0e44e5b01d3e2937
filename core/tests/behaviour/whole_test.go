// SPDX-License-Identifier: Apache-2.0

package behaviour_test

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	shoal "github.com/shoal-metrics/shoal/core"

	"github.com/shoal-metrics/shoal/core/tests/redistest"
	"github.com/shoal-metrics/shoal/core/tests/testkit"
)

// Every process answers a scrape with the metrics of all processes, also those that it never
// declared itself.
func TestTheScrapeIsWhole_ItReadsTheSameWhicheverProcessAnswers(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	one, two, idle := f.process(t), f.process(t), f.process(t)
	one.NewCounterVec(shoal.CounterOpts{Name: "orders_total", Help: "Orders."}, []string{"currency"}).
		WithLabelValues("EUR").Add(2)
	one.NewGauge(shoal.GaugeOpts{Name: "depth", Help: "Depth."}).Set(1)
	two.NewHistogramVec(shoal.HistogramOpts{Name: "wait_seconds"}, []string{"queue"}).WithLabelValues("q").Observe(0.2)
	two.NewSummary(shoal.SummaryOpts{Name: "size_bytes"}).Observe(3)
	c := f.spawn(t)
	c.Tell("inc 5")
	c.Tell("observe 3")
	c.Tell("set 7")
	c.Tell("flush")
	flush(t, one, two, idle)
	reader := f.reader(t)
	want := testkit.Scrape(t, reader).Users()
	for _, line := range []string{
		`orders_total{currency="EUR"} 2`, `wait_seconds_count{queue="q"} 1`, "size_bytes_sum 3", "jobs_total 5", "took_seconds_sum 3",
	} {
		if !strings.Contains(want, line+"\n") {
			t.Errorf("the page lacks %s", line)
		}
	}
	testkit.Scrape(t, reader).WantSamples(t, "depth", 2)
	for name, reg := range map[string]*shoal.Registry{"one": one, "two": two, "idle": idle, "late": f.process(t)} {
		if got := testkit.Scrape(t, reg).Users(); got != want {
			t.Errorf("the page of %s is\n%swant\n%s", name, got, want)
		}
	}
}

// A page's buckets, count and sum of a histogram belong together. The load always observes 3, so
// they show it.
func TestTheScrapeIsConsistent_HistogramsBelongTogetherUnderLoad(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	startLoad(t, f.process(t))
	one := f.process(t)
	startLoad(t, one)
	f.spawn(t).Tell("load")
	last := 0.0
	for _, reg := range []*shoal.Registry{f.reader(t), one} {
		for range 100 {
			p := testkit.Scrape(t, reg)
			count, _ := p.Value("took_seconds_count")
			sum, _ := p.Value("took_seconds_sum")
			inside, _ := p.Value(`took_seconds_bucket{le="20"}`)
			below, _ := p.Value(`took_seconds_bucket{le="1"}`)
			if sum != 3*count || inside != count || below != 0 {
				t.Fatalf("count %v, sum %v, le=20 %v, le=1 %v", count, sum, inside, below)
			}
			if count < last {
				t.Fatalf("the count fell from %v to %v", last, count)
			}
			last = count
		}
	}
	testkit.EventuallyPage(t, one, func(p testkit.Page) error {
		if v, _ := p.Value("took_seconds_count"); v < 500 {
			return fmt.Errorf("hardly any load: %v", v)
		}
		return nil
	})
}

// readCommands are the only commands that a scrape may cause. Redis counts scripts, and
// the commands in them too.
var readCommands = []string{
	"evalsha", "eval", "time", "zrange", "hgetall", "hlen", "hmget", "hget", "hscan", // the page
	"hello", "client|setinfo", "client|maint_notifications", "client|setname", "ping", // the client
	"info", "config|resetstat", "keys", "type", // this test
}

// calls returns how often each command was called since the statistics were reset.
func calls(t *testing.T, client redis.UniversalClient) map[string]int {
	t.Helper()
	stats := client.InfoMap(t.Context(), "commandstats").Val()["Commandstats"]
	calls := map[string]int{}
	for name, text := range stats {
		n, err := strconv.Atoi(strings.TrimPrefix(strings.Split(text, ",")[0], "calls="))
		testkit.Must(t, err)
		calls[strings.TrimPrefix(name, "cmdstat_")] = n
	}
	return calls
}

// A registry that only reads scrapes an app with every type of metric, and with the leases and
// gauges of two dead processes.
func TestAScrapeOnlyReads(t *testing.T) {
	t.Parallel()
	f := fleetOn(t, redistest.Start(t))
	for range 2 {
		reg, die := f.mortal(t, lease(300*time.Millisecond))
		requests(reg, 100)
		flush(t, reg)
		die()
	}
	reg := f.reader(t)
	testkit.EventuallyHas(t, reg, "shoal_instances", "0")
	before := dump(t, f.redis)
	testkit.Must(t, f.redis.ConfigResetStat(t.Context()).Err())

	c, g := reg.NewCounter(shoal.CounterOpts{Name: "own_total"}), reg.NewGauge(shoal.GaugeOpts{Name: "own_depth"})
	v := reg.NewCounterVec(shoal.CounterOpts{Name: "codes_total"}, []string{"code"})
	c.Inc()
	g.Set(1)
	v.WithLabelValues("1").Inc()
	v.Reset()
	_, added := c.IncSync(testkit.Within(t))
	for _, err := range []error{added, g.SetSync(testkit.Within(t), 1)} {
		if !errors.Is(err, shoal.ErrReadOnly) {
			t.Errorf("a synchronous write returns %v", err)
		}
	}
	const scrapes = 5
	for range scrapes {
		flush(t, reg)
		p := testkit.Scrape(t, reg)
		p.Want(t, "jobs_total", "800")
		p.WantNone(t, "own")
	}
	if list, err := reg.Instances(testkit.Within(t)); err != nil || len(list) != 0 {
		t.Errorf("Instances gives %v, %v", list, err)
	}
	closeAll(t, reg)

	asked := calls(t, f.redis)
	sameDump(t, before, dump(t, f.redis))
	// Few round trips, however many series: at most a call for each key. There
	// are some twenty families of three keys, and hundreds of series.
	total := -asked["evalsha"] // the commands in a script are counted too
	for name, n := range asked {
		total += n
		if !slices.Contains(readCommands, name) {
			t.Errorf("a scrape calls %s", name)
		}
	}
	if total > scrapes*100 || asked["keys"]+asked["scan"] > 0 {
		t.Errorf("%d calls for %d scrapes: %v", total, scrapes, asked)
	}
}

// A scrape works for a Redis user without the right to any writing command.
func TestAScrapeOnlyReads_SoItNeedsNoRightToWrite(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	f := fleetOn(t, server)
	reg := f.process(t)
	requests(reg, 100)
	flush(t, reg)
	setUser(t, f.redis, "viewer", "on", ">pass", "~shoal:1:*",
		"+@read", "+@connection", "+evalsha", "+eval", "+time", "-@write", "-keys", "-scan")
	f.url = "redis://viewer:pass@" + server.Addr
	viewer := f.opened(t, readOnly)
	want := testkit.Scrape(t, reg).Users()
	if got := testkit.Scrape(t, viewer).Users(); got != want || !strings.Contains(got, "jobs_total 400\n") {
		t.Errorf("the page is\n%swant\n%s", got, want)
	}
	closeAll(t, viewer)
}

// A replica refuses every write, so a page of one proves that none is needed.
func TestAScrapeOnlyReads_SoAReplicaCanAnswer(t *testing.T) {
	t.Parallel()
	master := redistest.Start(t, "--repl-diskless-sync-delay", "0")
	host, port, _ := strings.Cut(master.Addr, ":")
	replica := redistest.Start(t, "--replicaof", host+" "+port)
	replica.InSync(t) // before the app starts: when a master gets its first replica, the lineage changes
	f := fleetOn(t, master)
	reg := f.process(t)
	requests(reg, 100)
	flush(t, reg)
	page := testkit.Scrape(t, f.reader(t)).Users()
	testkit.EventuallyPage(t, f.on(t, replica).reader(t), func(p testkit.Page) error {
		if got := p.Users(); got != page {
			return fmt.Errorf("the replica's page is\n%swant\n%s", got, page)
		}
		return nil
	})
}
