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
	"net"
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

// What the shop itself counts. Metrics may be package variables: what they count before
// run opens the registry is kept, and sent then.
var (
	orders = shoal.NewCounterVec(shoal.CounterOpts{
		Name: "shop_orders_total", Help: "Orders placed.",
	}, []string{"currency"})
	amounts = shoal.NewHistogramVec(shoal.HistogramOpts{
		Name: "shop_order_amount", Help: "Worth of an order, in its currency.",
		Buckets: []float64{1, 5, 10, 50, 100, 500, 1000},
	}, []string{"currency"})
	// A cart may be opened in one process and ordered in another, so the mode is Total,
	// which adds up what all processes count, up and down, those that have ended included.
	// Sum would forget the carts of a process that ends.
	carts = shoal.NewGauge(shoal.GaugeOpts{
		Name: "shop_carts_open", Help: "Carts being filled, over all processes.", Mode: shoal.Total,
	})
)

// currencies are the values of the label: never let clients choose a label's values.
var currencies = []string{"EUR", "GBP", "USD"}

func main() {
	addr := flag.String("addr", "127.0.0.1:8080", "`address` to serve on")
	redis := anyredis.Flag()
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
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	reg := shoal.Default()
	if err := reg.Open(redis, shoal.Opts{App: "shop"}); err != nil {
		return err
	}

	e := echo.New()
	shoalecho.Install(e, reg, shoalecho.Opts{}) // the one line, before other middleware
	e.POST("/carts", openCart)
	e.POST("/orders/:currency", placeOrder)

	log.Printf("serving on http://%s, metrics in %s", listener.Addr(), anyredis.Shown(redis))
	return shoalecho.RunListener(ctx, e, listener, reg)
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
