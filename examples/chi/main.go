// SPDX-License-Identifier: Apache-2.0

// Command chi is a small shop on chi, measured by one line.
//
//	go run ./examples/chi
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

	"github.com/go-chi/chi/v5"
	shoal "github.com/shoal-metrics/shoal/core"
	"github.com/shoal-metrics/shoal/examples/internal/anyredis"
	shoalchi "github.com/shoal-metrics/shoal/middleware/chi"
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

	router := chi.NewRouter()
	shoalchi.Install(router, reg, shoalchi.Opts{}) // the one line, before the routes
	router.Post("/carts", openCart)
	router.Post("/orders/{currency}", placeOrder)

	log.Printf("serving on http://%s, metrics in %s", addr, anyredis.Shown(redis))
	return shoalchi.Run(ctx, router, addr, reg)
}

func openCart(w http.ResponseWriter, _ *http.Request) {
	carts.Inc()
	w.WriteHeader(http.StatusCreated)
}

func placeOrder(w http.ResponseWriter, r *http.Request) {
	currency := chi.URLParam(r, "currency")
	amount, err := strconv.ParseFloat(r.FormValue("amount"), 64)
	if err != nil || amount <= 0 || !slices.Contains(currencies, currency) {
		http.Error(w, "an amount in EUR, GBP or USD, please", http.StatusBadRequest)
		return
	}
	orders.WithLabelValues(currency).Inc()
	amounts.WithLabelValues(currency).Observe(amount)
	carts.Dec()
	w.WriteHeader(http.StatusCreated)
}
