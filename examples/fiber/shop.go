// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"slices"
	"strconv"

	"github.com/gofiber/fiber/v3"
	shoal "github.com/shoal-metrics/shoal/core"
	shoalfiber "github.com/shoal-metrics/shoal/middleware/fiber"
)

// What the shop itself counts. Metrics may be package variables: what they count before
// newApp opens the registry is kept, and sent then.
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

func newApp(redis string) (*fiber.App, error) {
	reg := shoal.Default()
	if err := reg.Open(redis, shoal.Opts{App: "shop"}); err != nil {
		return nil, err
	}
	app := fiber.New()
	shoalfiber.Install(app, reg, shoalfiber.Opts{}) // the one line, before other middleware
	app.Get("/", sayWho)
	app.Post("/carts", openCart)
	app.Post("/orders/:currency", placeOrder)
	return app, nil
}

func sayWho(c fiber.Ctx) error {
	return c.SendString(fmt.Sprintf("process %d\n", os.Getpid()))
}

func openCart(c fiber.Ctx) error {
	carts.Inc()
	return c.SendStatus(fiber.StatusCreated)
}

func placeOrder(c fiber.Ctx) error {
	currency := c.Params("currency") // fiber uses its memory again; shoal keeps a copy
	amount, err := strconv.ParseFloat(c.Query("amount"), 64)
	if err != nil || amount <= 0 || !slices.Contains(currencies, currency) {
		return fiber.NewError(fiber.StatusBadRequest, "an amount in EUR, GBP or USD, please")
	}
	orders.WithLabelValues(currency).Inc()
	amounts.WithLabelValues(currency).Observe(amount)
	carts.Dec()
	return c.SendStatus(fiber.StatusCreated)
}
