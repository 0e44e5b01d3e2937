// SPDX-License-Identifier: Apache-2.0

// Command echo is a small shop on echo, measured by one line.
//
//	go run ./examples/echo
//	curl -X POST localhost:8080/carts
//	curl -X POST 'localhost:8080/orders/EUR?amount=12.5'
//	curl localhost:8080/metrics
package main

import (
	"context"
	"flag"
	"log"
	"net/http"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"syscall"

	"github.com/labstack/echo/v4"
	shoal "github.com/shoal-metrics/shoal/core"
	"github.com/shoal-metrics/shoal/examples/internal/anyredis"
	shoalecho "github.com/shoal-metrics/shoal/middleware/echo"
)

// What the shop itself counts. Package variables, used at once; they reach
// Redis when main connects the registry.
var (
	orders = shoal.NewCounterVec(shoal.CounterOpts{
		Name: "shop_orders_total", Help: "Orders placed.",
	}, []string{"currency"})
	amounts = shoal.NewHistogramVec(shoal.HistogramOpts{
		Name: "shop_order_amount", Help: "Worth of an order, in its currency.",
		Buckets: []float64{1, 5, 10, 50, 100, 500, 1000},
	}, []string{"currency"})
	// A cart that this process opens may be ordered from in another: Total adds up
	// what all of them count, up and down, and what a process counted stays when it
	// ends. Sum, which goes with the process, would then be off by its carts.
	carts = shoal.NewGauge(shoal.GaugeOpts{
		Name: "shop_carts_open", Help: "Carts being filled, over all processes.", Mode: shoal.Total,
	})
)

// currencies that the shop takes. A label's values are never left to clients.
var currencies = []string{"EUR", "GBP", "USD"}

func main() {
	addr := flag.String("addr", "127.0.0.1:8080", "`address` to serve on")
	redis := flag.String("redis", "", "`URL` of a Redis; defaults to $REDIS_URL, where a password belongs, and without that to an embedded one")
	flag.Parse()
	if err := run(*addr, *redis); err != nil {
		log.Fatal(err)
	}
}

func run(addr, redis string) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends the program at once
	redis, stopRedis, err := anyredis.Open(redis)
	if err != nil {
		return err
	}
	defer stopRedis()
	reg := shoal.Default()
	if err := reg.Open(redis, shoal.Opts{App: "shop"}); err != nil {
		return err
	}

	e := echo.New()
	shoalecho.Install(e, reg, shoalecho.Opts{}) // the one line, before other middleware
	e.POST("/carts", openCart)
	e.POST("/orders/:currency", placeOrder)

	log.Printf("serving on http://%s, metrics in %s", addr, anyredis.Shown(redis))
	return shoalecho.Run(ctx, e, addr, reg)
}

func openCart(c echo.Context) error {
	carts.Inc()
	return c.NoContent(http.StatusCreated)
}

func placeOrder(c echo.Context) error {
	currency := c.Param("currency")
	amount, err := strconv.ParseFloat(c.QueryParam("amount"), 64)
	if err != nil || amount <= 0 || !slices.Contains(currencies, currency) {
		return echo.NewHTTPError(http.StatusBadRequest, "an amount in EUR, GBP or USD, please")
	}
	orders.WithLabelValues(currency).Inc()
	amounts.WithLabelValues(currency).Observe(amount)
	carts.Dec()
	return c.NoContent(http.StatusCreated)
}
