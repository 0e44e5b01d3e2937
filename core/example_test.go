// SPDX-License-Identifier: Apache-2.0

package shoal_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	shoal "github.com/shoal-metrics/shoal/core"
	"github.com/shoal-metrics/shoal/core/shoaltest"
	"google.golang.org/protobuf/proto"
)

// connected returns a registry on a store in memory. An application connects
// its registry to Redis: see [shoal.Registry.Connect].
func connected(server *shoaltest.Server) *shoal.Registry {
	reg := shoal.New()
	if err := server.Connect(reg, shoal.Opts{App: "shop"}); err != nil {
		log.Fatal(err)
	}
	return reg
}

// show flushes, and prints the page's lines that begin with one of the names.
func show(reg *shoal.Registry, names ...string) {
	if err := reg.Flush(context.Background()); err != nil {
		log.Fatal(err)
	}
	w := httptest.NewRecorder()
	reg.Handler(shoal.HandlerOpts{}).ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	for line := range strings.Lines(w.Body.String()) {
		for _, name := range names {
			if strings.HasPrefix(line, name) {
				fmt.Print(line)
			}
		}
	}
}

func Example() {
	server := shoaltest.NewServer() // stands for Redis
	one, two := connected(server), connected(server)
	defer one.Close(context.Background())
	defer two.Close(context.Background())

	for i, reg := range []*shoal.Registry{one, two} { // two processes of one application
		orders := reg.NewCounterVec(shoal.CounterOpts{
			Name: "orders_total", Help: "Orders placed.",
		}, []string{"currency"})
		orders.WithLabelValues("EUR").Add(float64(i + 1))
	}
	if err := one.Flush(context.Background()); err != nil {
		log.Fatal(err)
	}
	show(two, "orders_total") // and whichever answers, the page is the same
	// Output:
	// orders_total{currency="EUR"} 3
}

func ExampleRegistry_Connect() {
	reg := shoal.New()
	fmt.Println(reg.Connect(nil, shoal.Opts{App: "shop"}))
	// Output:
	// shoal: Connect: the Redis client is nil: make one with redis.NewClient, or use Open
}

func ExampleRegistry_Open() {
	reg := shoal.New()
	defer reg.Close(context.Background())
	// Nothing is sent before the registry's goroutine runs, so this succeeds
	// while Redis is down. A read-only registry never writes at all.
	err := reg.Open("redis://localhost:6379/0", shoal.Opts{App: "shop", ReadOnly: true})
	fmt.Println(err)
	// Output:
	// <nil>
}

// Sentinel's user and password stand before the @, those of Redis are parameters.
// All are escaped, since a password may have any characters.
func ExampleRegistry_Open_sentinel() {
	toRedis := url.Values{
		"master_name": {"shop"},
		"addr":        {"sentinel-2:26379", "sentinel-3:26379"},
		"username":    {"shop"},
		"password":    {"pass/word of Redis"},
	}
	u := url.URL{
		Scheme:   "redis",
		User:     url.UserPassword("watcher", "p@ss of Sentinel"),
		Host:     "sentinel-1:26379",
		Path:     "/0",
		RawQuery: toRedis.Encode(),
	}
	reg := shoal.New()
	defer reg.Close(context.Background())
	err := reg.Open(u.String(), shoal.Opts{App: "shop", ReadOnly: true})
	fmt.Println(err)
	// Output:
	// <nil>
}

func ExampleDefault() {
	// Usually package variables, declared before Redis is known.
	jobs := shoal.NewCounter(shoal.CounterOpts{Name: "jobs_total"})
	jobs.Inc()

	reg := shoal.Default()
	if err := shoaltest.Connect(reg); err != nil { // in an application reg.Connect
		log.Fatal(err)
	}
	defer reg.Close(context.Background())
	show(reg, "jobs_total")
	// Output:
	// jobs_total 1
}

func ExampleRegistry_Flush() {
	reg := connected(shoaltest.NewServer())
	defer reg.Close(context.Background())
	rows := reg.NewCounter(shoal.CounterOpts{Name: "imported_rows_total"})

	rows.Add(250)
	// A serverless handler flushes before it returns, since its process may be
	// frozen then. A job, which ends, calls Close.
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	fmt.Println(reg.Flush(ctx))
	// Output:
	// <nil>
}

func ExampleRegistry_Close() {
	reg := connected(shoaltest.NewServer())
	reg.NewCounter(shoal.CounterOpts{Name: "orders_total"}).Inc()

	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	err := reg.Close(ctx) // at the end of a server or a job
	var left *shoal.UndeliveredError
	if errors.As(err, &left) {
		fmt.Println("lost with this process:", left)
	}
	fmt.Println(err, reg.Close(ctx))
	// Output:
	// <nil> <nil>
}

func ExampleRegistry_Handler() {
	reg := connected(shoaltest.NewServer())
	defer reg.Close(context.Background())
	reg.NewCounter(shoal.CounterOpts{Name: "visits_total", Help: "Visits."}).Add(3)

	mux := http.NewServeMux()
	mux.Handle("GET /metrics", reg.Handler(shoal.HandlerOpts{EnableOpenMetrics: true}))

	w := httptest.NewRecorder()
	mux.ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	for line := range strings.Lines(w.Body.String()) {
		if strings.Contains(line, "visits_total") {
			fmt.Print(line)
		}
	}
	// Output:
	// # HELP visits_total Visits.
	// # TYPE visits_total counter
	// visits_total 3
}

func ExampleRegistry_Gather() {
	reg := connected(shoaltest.NewServer())
	defer reg.Close(context.Background())
	reg.NewCounter(shoal.CounterOpts{Name: "visits_total"}).Add(3)

	families, err := reg.Gather() // what promhttp and testutil of client_golang call
	if err != nil {
		log.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() == "visits_total" {
			fmt.Println(family.GetType(), family.Metric[0].Counter.GetValue())
		}
	}
	// Output:
	// COUNTER 3
}

func ExampleRegistry_Instances() {
	server := shoaltest.NewServer()
	reg := shoal.New()
	if err := server.Connect(reg, shoal.Opts{App: "shop", Host: "web-1", Version: "1.4.2"}); err != nil {
		log.Fatal(err)
	}
	defer reg.Close(context.Background())
	if err := reg.Flush(context.Background()); err != nil {
		log.Fatal(err)
	}
	list, err := reg.Instances(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	for _, i := range list {
		fmt.Println(i.Index, i.Host, i.Version)
	}
	// Output:
	// 0 web-1 1.4.2
}

func ExampleRegistry_NewGaugeFunc() {
	queue := make(chan string, 10)
	queue <- "a letter"
	reg := shoal.New()
	reg.NewGaugeFunc(shoal.GaugeOpts{
		Name: "queue_length", Help: "Letters that wait, in all processes.", Mode: shoal.Sum,
	}, func() float64 { return float64(len(queue)) })
	fmt.Println("it is asked every five seconds once the registry is connected")
	// Output:
	// it is asked every five seconds once the registry is connected
}

func ExampleRegistry_NewCounterFunc() {
	var received atomic.Int64 // a library counts it, from 0 in each process
	reg := connected(shoaltest.NewServer())
	defer reg.Close(context.Background())
	reg.NewCounterFunc(shoal.CounterOpts{
		Name: "received_bytes_total", Help: "Bytes received by all processes.",
	}, func() float64 { return float64(received.Load()) })
	received.Add(1500)
	show(reg, "received_bytes_total")
	// Output:
	// received_bytes_total 1500
}

func ExampleRegistry_Import() {
	reg := connected(shoaltest.NewServer())
	defer reg.Close(context.Background())
	// What a script has counted, in the text format.
	report := "# TYPE rows_copied_total counter\nrows_copied_total{table=\"orders\"} 120\n"
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(report))
	if err != nil {
		log.Fatal(err)
	}
	for range 2 { // the script runs twice, and counts from 0 each time
		if err := reg.Import(slices.Collect(maps.Values(families))); err != nil {
			log.Fatal(err)
		}
	}
	show(reg, "rows_copied_total")
	// Output:
	// rows_copied_total{table="orders"} 240
}

// sidecar is a program beside this one. It counts its letters since it began.
type sidecar struct{ letters float64 }

// Collect implements [shoal.Source].
func (s *sidecar) Collect(context.Context) ([]*dto.MetricFamily, error) {
	return []*dto.MetricFamily{{
		Name: proto.String("letters_total"), Help: proto.String("Letters sent."), Type: dto.MetricType_COUNTER.Enum(),
		Metric: []*dto.Metric{{Counter: &dto.Counter{Value: &s.letters}}},
	}}, nil
}

func ExampleRegistry_AddSource() {
	reg := connected(shoaltest.NewServer())
	defer reg.Close(context.Background())
	s := &sidecar{letters: 7}
	if _, err := reg.AddSource(s, shoal.SourceOpts{Name: "sidecar", Cumulative: true}); err != nil {
		log.Fatal(err)
	}
	show(reg, "letters_total")
	s.letters = 9
	show(reg, "letters_total")
	s.letters = 1 // it has restarted
	show(reg, "letters_total")
	// Output:
	// letters_total 7
	// letters_total 9
	// letters_total 10
}

func ExampleOpts_index() {
	ordinal := 3 // of a pod of a StatefulSet
	reg := shoal.New()
	if err := shoaltest.NewServer().Connect(reg, shoal.Opts{App: "shop", Index: &ordinal}); err != nil {
		log.Fatal(err)
	}
	defer reg.Close(context.Background())
	reg.NewGauge(shoal.GaugeOpts{Name: "connections"}).Set(12)
	show(reg, "connections")
	// Output:
	// connections{gauge_index="3"} 12
}

func ExampleDefinitionError() {
	reg := shoal.New()
	reg.NewCounter(shoal.CounterOpts{Name: "orders_total", Help: "Orders placed."})
	_, err := reg.RegisterCounter(shoal.CounterOpts{Name: "orders_total", Help: "Orders."})
	var clash *shoal.DefinitionError
	if errors.As(err, &clash) {
		fmt.Println(clash.Existing)
		fmt.Println(clash.Requested)
	}
	// Output:
	// counter orders_total (help "Orders placed.")
	// counter orders_total (help "Orders.")
}

func ExampleTypeClashError() {
	server := shoaltest.NewServer()
	old, renewed := connected(server), connected(server)
	defer old.Close(context.Background())
	defer renewed.Close(context.Background())
	old.NewCounter(shoal.CounterOpts{Name: "load"})
	if err := old.Flush(context.Background()); err != nil {
		log.Fatal(err)
	}

	renewed.NewGauge(shoal.GaugeOpts{Name: "load"}).Set(1)
	var clash *shoal.TypeClashError
	if errors.As(renewed.Flush(context.Background()), &clash) {
		fmt.Println(clash.Name, "is a", clash.Existing, "and not a", clash.Requested)
	}
	// Output:
	// load is a counter and not a gauge
}
