// SPDX-License-Identifier: Apache-2.0

// Command gin is a small shop on gin, measured by one line.
//
//	go run ./examples/gin
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

	"github.com/gin-gonic/gin"
	shoal "github.com/shoal-metrics/shoal/core"
	"github.com/shoal-metrics/shoal/examples/internal/anyredis"
	shoalgin "github.com/shoal-metrics/shoal/middleware/gin"
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

	gin.SetMode(gin.ReleaseMode)
	engine := gin.New()
	engine.Use(gin.Recovery())
	shoalgin.Install(engine, reg, shoalgin.Opts{}) // the one line, before the routes
	engine.POST("/carts", openCart)
	engine.POST("/orders/:currency", placeOrder)

	log.Printf("serving on http://%s, metrics in %s", listener.Addr(), anyredis.Shown(redis))
	return shoalgin.RunListener(ctx, engine, listener, reg)
}

func openCart(c *gin.Context) {
	carts.Inc()
	c.Status(http.StatusCreated)
}

func placeOrder(c *gin.Context) {
	currency := c.Param("currency")
	amount, err := strconv.ParseFloat(c.Query("amount"), 64)
	if err != nil || amount <= 0 || !slices.Contains(currencies, currency) {
		c.String(http.StatusBadRequest, "an amount in EUR, GBP or USD, please")
		return
	}
	orders.WithLabelValues(currency).Inc()
	amounts.WithLabelValues(currency).Observe(amount)
	carts.Dec()
	c.Status(http.StatusCreated)
}
