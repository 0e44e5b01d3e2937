// SPDX-License-Identifier: Apache-2.0

package shoalotel_test

import (
	"bufio"
	"context"
	"fmt"
	"net/http/httptest"
	"strings"
	"time"

	shoalotel "github.com/shoal-metrics/shoal/bridge/otel"
	shoal "github.com/shoal-metrics/shoal/core"
	"github.com/shoal-metrics/shoal/core/shoaltest"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
)

func ExampleNewReader() {
	reg := shoal.New()
	_ = shoaltest.Connect(reg) // in an application: reg.Open("redis://localhost:6379/0", shoal.Opts{App: "shop"})
	defer func() { _ = reg.Close(context.Background()) }()

	reader, err := shoalotel.NewReader(reg, shoalotel.Opts{})
	if err != nil {
		fmt.Println(err)
		return
	}
	provider := sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader))
	defer func() { _ = provider.Shutdown(context.Background()) }()

	orders, _ := provider.Meter("shop").Int64Counter("shop.orders", metric.WithUnit("{order}"))
	orders.Add(context.Background(), 2, metric.WithAttributes(attribute.String("order.currency", "EUR")))

	show(reg, "shop_orders_total")
	// Output: shop_orders_total{order_currency="EUR",otel_scope_name="shop"} 2
}

// A provider that keeps its PeriodicReader.
func ExampleNewExporter() {
	reg := shoal.New()
	_ = shoaltest.Connect(reg) // in an application: reg.Open, as above
	defer func() { _ = reg.Close(context.Background()) }()

	exporter, err := shoalotel.NewExporter(reg, shoalotel.Opts{WithoutScopeInfo: true})
	if err != nil {
		fmt.Println(err)
		return
	}
	provider := sdkmetric.NewMeterProvider(sdkmetric.WithReader(
		sdkmetric.NewPeriodicReader(exporter, sdkmetric.WithInterval(5*time.Second))))

	bytes, _ := provider.Meter("shop").Float64Histogram("shop.upload.size",
		metric.WithUnit("By"), metric.WithExplicitBucketBoundaries(1024, 1048576))
	bytes.Record(context.Background(), 3000)
	_ = provider.Shutdown(context.Background()) // exports what is left, and delivers it

	show(reg, "shop_upload_size_bytes")
	// Output:
	// shop_upload_size_bytes_bucket{le="1024"} 0
	// shop_upload_size_bytes_bucket{le="1.048576e+06"} 1
	// shop_upload_size_bytes_bucket{le="+Inf"} 1
	// shop_upload_size_bytes_sum 3000
	// shop_upload_size_bytes_count 1
}

// A gauge that every process reads from one database, one of which the page shows the sum, and one
// of which it shows the maximum.
func ExampleOpts_modes() {
	reg := shoal.New()
	_ = shoaltest.Connect(reg) // in an application: reg.Open, as above
	defer func() { _ = reg.Close(context.Background()) }()

	reader, err := shoalotel.NewReader(reg, shoalotel.Opts{WithoutScopeInfo: true, Modes: map[string]shoal.Mode{
		"db.*":         shoal.Latest, // what the database says, asked by every process
		"pool.size":    shoal.Sum,
		"pool.max.age": shoal.Max,
	}})
	if err != nil {
		fmt.Println(err)
		return
	}
	provider := sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader))
	defer func() { _ = provider.Shutdown(context.Background()) }()

	for name, value := range map[string]float64{"db.rows": 1e6, "pool.size": 8, "pool.max.age": 30} {
		g, _ := provider.Meter("shop").Float64Gauge(name)
		g.Record(context.Background(), value)
	}
	show(reg, "db_", "pool_") // without gauge_index: one series for all processes
	// Output:
	// db_rows 1e+06
	// pool_max_age 30
	// pool_size 8
}

// show prints the series of the page whose names begin with one of the prefixes.
func show(reg *shoal.Registry, prefixes ...string) {
	rec := httptest.NewRecorder()
	reg.Handler(shoal.HandlerOpts{}).ServeHTTP(rec, httptest.NewRequest("GET", "/metrics", nil))
	for page := bufio.NewScanner(rec.Body); page.Scan(); {
		for _, prefix := range prefixes {
			if strings.HasPrefix(page.Text(), prefix) {
				fmt.Println(page.Text())
			}
		}
	}
}
