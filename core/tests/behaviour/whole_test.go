// SPDX-License-Identifier: Apache-2.0

package behaviour_test

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	shoal "github.com/shoal-metrics/shoal/core"

	"github.com/shoal-metrics/shoal/core/tests/redistest"
)

// The promise that the scrape is whole: every process answers with all that
// every process has, what it never declared itself included.
func TestTheScrapeIsWhole_ItReadsTheSameWhicheverProcessAnswers(t *testing.T) {
	f := newFleet(t)
	one, two, idle := f.process(t), f.process(t), f.process(t)
	one.NewCounterVec(shoal.CounterOpts{Name: "orders_total", Help: "Orders."}, []string{"currency"}).
		WithLabelValues("EUR").Add(2)
	one.NewGauge(shoal.GaugeOpts{Name: "depth", Help: "Depth."}).Set(1)
	two.NewHistogramVec(shoal.HistogramOpts{Name: "wait_seconds"}, []string{"queue"}).WithLabelValues("q").Observe(0.2)
	two.NewSummary(shoal.SummaryOpts{Name: "size_bytes"}).Observe(3)
	c := f.spawn(t)
	c.tell("inc 5")
	c.tell("observe 3")
	c.tell("set 7")
	c.tell("flush")
	flush(t, one, two, idle)
	reader := f.reader(t)
	want := scrape(t, reader).users()
	for _, line := range []string{
		`orders_total{currency="EUR"} 2`, `wait_seconds_count{queue="q"} 1`, "size_bytes_sum 3", "jobs_total 5", "took_seconds_sum 3",
	} {
		if !strings.Contains(want, line+"\n") {
			t.Errorf("the page lacks %s", line)
		}
	}
	if n := len(scrape(t, reader).of("depth")); n != 2 {
		t.Errorf("%d processes show their gauge, want 2", n)
	}
	for name, reg := range map[string]*shoal.Registry{"one": one, "two": two, "idle": idle, "late": f.process(t)} {
		if got := scrape(t, reg).users(); got != want {
			t.Errorf("the page of %s is\n%swant\n%s", name, got, want)
		}
	}
}

// The promise that the scrape is consistent: the load always observes 3, so
// buckets, count and sum of each histogram tell whether they belong together.
func TestTheScrapeIsConsistent_HistogramsBelongTogetherUnderLoad(t *testing.T) {
	f := newFleet(t)
	startLoad(t, f.process(t))
	one := f.process(t)
	startLoad(t, one)
	f.spawn(t).tell("load")
	last := 0.0
	for _, reg := range []*shoal.Registry{f.reader(t), one} {
		for range 100 {
			p := scrape(t, reg)
			count, _ := p.value("took_seconds_count")
			sum, _ := p.value("took_seconds_sum")
			inside, _ := p.value(`took_seconds_bucket{le="20"}`)
			below, _ := p.value(`took_seconds_bucket{le="1"}`)
			if sum != 3*count || inside != count || below != 0 {
				t.Fatalf("count %v, sum %v, le=20 %v, le=1 %v", count, sum, inside, below)
			}
			if count < last {
				t.Fatalf("the count fell from %v to %v", last, count)
			}
			last = count
		}
	}
	eventuallyPage(t, one, func(p page) error {
		if v, _ := p.value("took_seconds_count"); v < 500 {
			return fmt.Errorf("hardly any load: %v", v)
		}
		return nil
	})
}

// readCommands are the only ones that a scrape may cause. Scripts are counted
// together with the commands in them.
var readCommands = []string{
	"evalsha", "eval", "time", "zrange", "hgetall", "hlen", "hmget", "hget", "hscan", // the page
	"hello", "client|setinfo", "client|maint_notifications", "client|setname", "ping", // the client
	"info", "config|resetstat", "keys", "type", // this test
}

// commands lists what a server was asked to do since the statistics began.
func commands(t *testing.T, client redis.UniversalClient) (names []string, calls map[string]int) {
	t.Helper()
	info, err := client.Info(t.Context(), "commandstats").Result()
	if err != nil {
		t.Fatal(err)
	}
	calls = map[string]int{}
	for line := range strings.Lines(info) {
		rest, ok := strings.CutPrefix(line, "cmdstat_")
		if !ok {
			continue
		}
		name, stats, _ := strings.Cut(rest, ":")
		var n int
		if _, err := fmt.Sscanf(stats, "calls=%d", &n); err != nil {
			t.Fatal(err)
		}
		names = append(names, name)
		calls[name] = n
	}
	return names, calls
}

// abandonedApp leaves an app with every type of metric, the gauges of a dead
// process and of one that is gone in all but name.
func abandonedApp(t *testing.T, f *fleet) {
	t.Helper()
	brief := func(o *shoal.Opts) { o.LeaseDuration = 300 * time.Millisecond }
	reg, die := f.mortal(t, brief)
	dead, dieToo := f.mortal(t, brief)
	requests(reg, 100)
	requests(dead, 100)
	flush(t, reg, dead)
	die()
	dieToo()
	eventuallyPage(t, f.reader(t), func(p page) error { return p.has("shoal_instances", "0") })
}

func TestAScrapeOnlyReads(t *testing.T) {
	server := redistest.Start(t)
	f := fleetOn(t, server)
	abandonedApp(t, f)
	reader := f.reader(t)
	before := dump(t, f.redis)
	if err := f.redis.ConfigResetStat(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	const scrapes = 5
	for range scrapes {
		scrape(t, reader)
	}
	names, calls := commands(t, f.redis)
	sameDump(t, before, dump(t, f.redis))
	for _, name := range names {
		if !slices.Contains(readCommands, name) {
			t.Errorf("a scrape calls %s", name)
		}
	}
	if calls["keys"]+calls["scan"] > 0 {
		t.Errorf("a scrape searches the whole server: %v", calls)
	}
	// Few round trips, however many series: at most a call for each key. There
	// are some twenty families of two keys, and hundreds of series.
	total := 0
	for _, n := range calls {
		total += n
	}
	if total -= calls["evalsha"]; total > scrapes*100 { // what a script calls is counted by itself
		t.Errorf("%d calls for %d scrapes: %v", total, scrapes, calls)
	}
}

// A replica refuses every write, so a page of one proves that none is needed.
func TestAScrapeOnlyReads_SoAReplicaCanAnswer(t *testing.T) {
	t.Parallel()
	master := redistest.Start(t, "--repl-diskless-sync-delay", "0")
	f := fleetOn(t, master)
	reg := f.process(t)
	requests(reg, 100)
	flush(t, reg)
	host, port := "127.0.0.1", master.Addr[len("127.0.0.1:"):]
	replica := redistest.Start(t, "--replicaof", host, port)
	eventually(t, func() error { return linkUp(t, replica.Client(t)) })
	// A master names its data anew when its first replica comes: pages wait.
	var page string
	reader := f.reader(t)
	eventually(t, func() error {
		rec, _ := get(reader, "5")
		if rec.Code != http.StatusOK {
			return errors.New(rec.Body.String())
		}
		return nil
	})
	page = scrape(t, reader).users()
	r := f.on(t, replica).reader(t)
	eventually(t, func() error {
		if got := scrape(t, r).users(); got != page {
			return fmt.Errorf("the replica's page is\n%swant\n%s", got, page)
		}
		return nil
	})
}
