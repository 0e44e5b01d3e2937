// SPDX-License-Identifier: Apache-2.0

package docs_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	shoal "github.com/shoal-metrics/shoal/core"
	"github.com/shoal-metrics/shoal/core/internal/wire"
	"github.com/shoal-metrics/shoal/core/tests/redistest"
)

const aclPassword = "CHANGE-ME"

// aclUsers makes the users of docs/redis.md on the server, and gives them further rules.
func aclUsers(t *testing.T, admin *redis.Client, further ...string) {
	t.Helper()
	n := 0
	list, _ := blocks(t, "docs/redis.md")
	for _, b := range list {
		if b.language == "acl" {
			n++
			setUser(t, admin, append(strings.Fields(strings.TrimPrefix(b.text, "user ")), further...)...)
		}
	}
	if n != 2 {
		t.Fatalf("docs/redis.md has %d ACL users, want 2", n)
	}
}

// setUser makes or changes a user: its name, then its rules.
func setUser(t *testing.T, admin *redis.Client, words ...string) {
	t.Helper()
	args := []any{"acl", "setuser"}
	for _, word := range words {
		args = append(args, word)
	}
	if err := admin.Do(t.Context(), args...).Err(); err != nil {
		t.Fatal(err)
	}
}

// wantNothingRefused fails the test if the server refused anything for want of rights.
func wantNothingRefused(t *testing.T, admin *redis.Client) {
	t.Helper()
	if entries := admin.ACLLog(t.Context(), 10).Val(); len(entries) != 0 {
		t.Errorf("the ACL refused: %+v", entries)
	}
}

// as makes a client log in as a user.
func as(user string) func(*redis.Options) {
	return func(o *redis.Options) { o.Username, o.Password = user, aclPassword }
}

// connect returns a connected registry, closed with the test.
func connect(t *testing.T, client redis.UniversalClient, opts shoal.Opts) *shoal.Registry {
	t.Helper()
	opts.OnError = quiet
	reg := shoal.New()
	must(t, reg.Connect(client, opts))
	return reg
}

// counts lets a process count, show its page and end.
func counts(t *testing.T, reg *shoal.Registry) {
	t.Helper()
	_, err := reg.NewCounter(shoal.CounterOpts{Name: "c_total"}).IncSync(t.Context())
	must(t, err)
	scrape(t, reg)
	must(t, reg.Close(t.Context()))
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestDocs_TheACLIsEnough(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	server := redistest.Start(t)
	admin := server.Client(t)
	aclUsers(t, admin)
	client := server.Client(t, as("shop"))

	reg := connect(t, client, shoal.Opts{App: "shop"})
	orders := reg.NewCounterVec(shoal.CounterOpts{Name: "orders_total"}, []string{"currency"})
	took := reg.NewHistogram(shoal.HistogramOpts{Name: "took_seconds"})
	gauges := reg.NewGaugeVec(shoal.GaugeOpts{Name: "depth"}, []string{"queue"})
	last := reg.NewGauge(shoal.GaugeOpts{Name: "last_success", Mode: shoal.Latest})
	for _, c := range []string{"EUR", "CHF", "USD"} {
		orders.WithLabelValues(c).Inc()
		gauges.WithLabelValues(c).Set(1)
	}
	took.Observe(.1)
	last.SetToCurrentTime()
	must(t, reg.Flush(ctx))
	_, err := orders.WithLabelValues("EUR").IncSync(ctx)
	must(t, err)
	scrape(t, reg)
	orders.DeleteLabelValues("EUR")
	orders.DeletePartialMatch(shoal.Labels{"currency": "CHF"})
	gauges.DeleteLabelValues("CHF")
	must(t, reg.Flush(ctx))
	orders.Reset()
	must(t, reg.Flush(ctx))

	// Housekeeping would be due only after minutes, so the test calls it. It has a family to
	// forget, a lease to remove and a sequence number to prune.
	must(t, admin.HSet(ctx, "shoal:1:{shop}:leases", "i:9", "x 1 - - - 1").Err())
	must(t, admin.HSet(ctx, "shoal:1:{shop/orders_total}:ctl", "w:x", "1 1").Err())
	must(t, admin.HSet(ctx, "shoal:1:{shop/old_total}:ctl", "gen", "x", "type", "counter", "touched", 1).Err())
	must(t, admin.ZAdd(ctx, "shoal:1:{shop}:families", redis.Z{Score: 1, Member: "old_total"}).Err())
	store := wire.NewRedis(client, "shop")
	generation := admin.HGet(ctx, "shoal:1:{shop/orders_total}:ctl", "gen").Val()
	if reply := store.Mark(ctx, []wire.Mark{{Family: "orders_total", Generation: generation, Fields: []string{"x"}}})[0]; reply.Err != nil || reply.Unknown {
		t.Errorf("a mark was answered %+v", reply)
	}
	_, err = store.ReadStarts(ctx, []wire.StartsQuery{{Family: "orders_total", Generation: generation, Fields: []string{"x"}}})
	must(t, err)
	_, err = wire.RemoveExpired(ctx, store, "last_success")
	must(t, err)
	_, err = store.Housekeep(ctx, time.Hour, 0)
	must(t, err)
	if n := admin.Exists(ctx, "shoal:1:{shop/old_total}:ctl").Val(); n != 0 {
		t.Error("the old family is still there")
	}

	exporter := shoal.New()
	must(t, exporter.Open("redis://shop-exporter:"+aclPassword+"@"+server.Addr, // names its connection
		shoal.Opts{OnError: quiet, App: "shop", ReadOnly: true}))
	scrape(t, exporter)
	scrape(t, exporter) // the second scrape reads known series, by other commands
	must(t, exporter.Close(ctx))
	must(t, reg.Close(ctx))
	wantNothingRefused(t, admin)
}

func TestDocs_TheACLIsEnoughForACluster(t *testing.T) {
	cluster := redistest.StartCluster(t)
	more := regexp.MustCompile("A Cluster needs `([^`]*)`").FindStringSubmatch(read(t, "docs/redis.md"))
	if more == nil {
		t.Fatal("docs/redis.md does not say what a Cluster needs")
	}
	admin := cluster.Client(t)
	must(t, admin.ForEachMaster(t.Context(), func(_ context.Context, node *redis.Client) error {
		aclUsers(t, node)
		setUser(t, node, append([]string{"shop"}, strings.Fields(more[1])...)...)
		return nil
	}))
	client := cluster.Client(t, func(o *redis.ClusterOptions) { o.Username, o.Password = "shop", aclPassword })
	opened := shoal.New()
	url := strings.Replace(cluster.URL(), "redis://", "redis://shop:"+aclPassword+"@", 1)
	must(t, opened.Open(url, shoal.Opts{OnError: quiet, App: "shop"}))
	counts(t, connect(t, client, shoal.Opts{App: "shop"}))
	counts(t, opened)
	must(t, admin.ForEachMaster(t.Context(), func(_ context.Context, node *redis.Client) error {
		wantNothingRefused(t, node)
		return nil
	}))
}

// A database other than 0 needs the right to SELECT.
func TestDocs_TheACLIsEnoughForAnotherDatabaseWithSelect(t *testing.T) {
	server := redistest.Start(t)
	admin := server.Client(t)
	aclUsers(t, admin, "+select")
	reg := shoal.New()
	must(t, reg.Open("redis://shop:"+aclPassword+"@"+server.Addr+"/3", shoal.Opts{OnError: quiet, App: "shop"}))
	counts(t, reg)
	wantNothingRefused(t, admin)
}

// quiet ignores expected troubles.
func quiet(error) {}

// shortly calls f with a short deadline.
func shortly(f func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
	defer cancel()
	return f(ctx)
}

func scrape(t *testing.T, reg *shoal.Registry) string {
	t.Helper()
	w := httptest.NewRecorder()
	reg.Handler(shoal.HandlerOpts{}).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	if w.Code != http.StatusOK {
		t.Fatalf("%d: %s", w.Code, w.Body)
	}
	return w.Body.String()
}
