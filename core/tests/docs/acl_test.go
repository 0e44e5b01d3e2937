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

// aclUsers makes the users of docs/redis.md on the server.
func aclUsers(t *testing.T, admin *redis.Client) {
	t.Helper()
	n := 0
	list, _ := blocks(t, "docs/redis.md")
	for _, b := range list {
		if b.language != "acl" {
			continue
		}
		n++
		args := []any{"acl", "setuser"}
		for _, word := range strings.Fields(strings.TrimPrefix(b.text, "user ")) {
			args = append(args, word)
		}
		if err := admin.Do(t.Context(), args...).Err(); err != nil {
			t.Fatalf("docs/redis.md:%d: %v", b.line, err)
		}
	}
	if n != 2 {
		t.Fatalf("docs/redis.md has %d ACL users, want 2", n)
	}
}

// as gives a client of a user.
func as(user string) func(*redis.Options) {
	return func(o *redis.Options) { o.Username, o.Password = user, aclPassword }
}

func TestDocs_TheACLIsEnoughAndForOneAppOnly(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	server := redistest.Start(t)
	admin := server.Client(t)
	aclUsers(t, admin)
	client := server.Client(t, as("shop"))

	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	reg := shoal.New()
	must(reg.Connect(client, shoal.Opts{OnError: quiet, App: "shop"}))
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
	must(reg.Flush(ctx))
	_, err := orders.WithLabelValues("EUR").IncSync(ctx)
	must(err)
	scrape(t, reg)
	orders.DeleteLabelValues("EUR")
	orders.DeletePartialMatch(shoal.Labels{"currency": "CHF"})
	gauges.DeleteLabelValues("CHF")
	must(reg.Flush(ctx))
	orders.Reset()
	must(reg.Flush(ctx))

	// Housekeeping is due only after minutes: with a family to forget, a
	// lease to remove and a number to prune.
	must(admin.HSet(ctx, "shoal:1:{shop}:leases", "i:9", "x 1 - - - 1").Err())
	must(admin.HSet(ctx, "shoal:1:{shop/orders_total}:ctl", "w:x", "1 1").Err())
	must(admin.HSet(ctx, "shoal:1:{shop/old_total}:ctl", "gen", "x", "type", "counter", "touched", 1).Err())
	must(admin.ZAdd(ctx, "shoal:1:{shop}:families", redis.Z{Score: 1, Member: "old_total"}).Err())
	must(wire.NewRedis(client, "shop").Housekeep(ctx, time.Hour, 0))
	if n := admin.Exists(ctx, "shoal:1:{shop/old_total}:ctl").Val(); n != 0 {
		t.Error("the old family is still there")
	}

	exporter := shoal.New()
	must(exporter.Open("redis://shop-exporter:"+aclPassword+"@"+server.Addr, // names its connection
		shoal.Opts{OnError: quiet, App: "shop", ReadOnly: true}))
	scrape(t, exporter)
	scrape(t, exporter) // known series are read in another way
	must(exporter.Close(ctx))
	must(reg.Close(ctx))
	if entries := admin.ACLLog(ctx, 10).Val(); len(entries) != 0 {
		t.Errorf("the ACL refused: %+v", entries)
	}

	// Neither may touch another app, nor may the exporter write.
	other := shoal.New()
	must(other.Connect(client, shoal.Opts{OnError: quiet, App: "shop2"}))
	other.NewCounter(shoal.CounterOpts{Name: "c_total"})
	if err := shortly(other.Flush); err == nil {
		t.Error("the user of shop writes to shop2")
	}
	_ = shortly(other.Close)
	writing := shoal.New()
	must(writing.Connect(server.Client(t, as("shop-exporter")), shoal.Opts{OnError: quiet, App: "shop"}))
	writing.NewCounter(shoal.CounterOpts{Name: "c_total"})
	if err := shortly(writing.Flush); err == nil {
		t.Error("the user of the exporter writes")
	}
	_ = shortly(writing.Close)
}

func TestDocs_TheACLIsEnoughForACluster(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	cluster := redistest.StartCluster(t)
	more := regexp.MustCompile("A Cluster needs `([^`]*)`").FindStringSubmatch(read(t, "docs/redis.md"))
	if more == nil {
		t.Fatal("docs/redis.md does not say what a Cluster needs")
	}
	admin := cluster.Client(t)
	if err := admin.ForEachMaster(ctx, func(_ context.Context, node *redis.Client) error {
		aclUsers(t, node)
		args := []any{"acl", "setuser", "shop"}
		for _, rule := range strings.Fields(more[1]) {
			args = append(args, rule)
		}
		return node.Do(ctx, args...).Err()
	}); err != nil {
		t.Fatal(err)
	}
	client := cluster.Client(t, func(o *redis.ClusterOptions) { o.Username, o.Password = "shop", aclPassword })
	connected, opened := shoal.New(), shoal.New()
	if err := connected.Connect(client, shoal.Opts{OnError: quiet, App: "shop"}); err != nil {
		t.Fatal(err)
	}
	url := strings.Replace(cluster.URL(), "redis://", "redis://shop:"+aclPassword+"@", 1)
	if err := opened.Open(url, shoal.Opts{OnError: quiet, App: "shop"}); err != nil {
		t.Fatal(err)
	}
	for _, reg := range []*shoal.Registry{connected, opened} {
		if _, err := reg.NewCounter(shoal.CounterOpts{Name: "c_total"}).IncSync(ctx); err != nil {
			t.Error(err)
		}
		scrape(t, reg)
		if err := reg.Close(ctx); err != nil {
			t.Error(err)
		}
	}
	if err := admin.ForEachMaster(ctx, func(_ context.Context, node *redis.Client) error {
		if entries := node.ACLLog(ctx, 10).Val(); len(entries) != 0 {
			t.Errorf("the ACL refused: %+v", entries)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

// A database other than 0 takes one further right.
func TestDocs_TheACLIsEnoughForAnotherDatabaseWithSelect(t *testing.T) {
	server := redistest.Start(t)
	admin := server.Client(t)
	aclUsers(t, admin)
	if err := admin.Do(t.Context(), "acl", "setuser", "shop", "+select").Err(); err != nil {
		t.Fatal(err)
	}
	reg := shoal.New()
	if err := reg.Open("redis://shop:"+aclPassword+"@"+server.Addr+"/3", shoal.Opts{OnError: quiet, App: "shop"}); err != nil {
		t.Fatal(err)
	}
	if _, err := reg.NewCounter(shoal.CounterOpts{Name: "c_total"}).IncSync(t.Context()); err != nil {
		t.Error(err)
	}
	scrape(t, reg)
	if err := reg.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if entries := admin.ACLLog(t.Context(), 10).Val(); len(entries) != 0 {
		t.Errorf("the ACL refused: %+v", entries)
	}
}

// quiet keeps expected troubles out of the log.
func quiet(error) {}

// shortly calls f with little time.
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
