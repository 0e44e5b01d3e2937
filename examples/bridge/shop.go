// SPDX-License-Identifier: Apache-2.0

package main

import (
	"database/sql"
	"net/http"
	"slices"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// A shop as it was before shoal: client_golang's default registry has its metrics.
var (
	orders = promauto.NewCounterVec(prometheus.CounterOpts{
		Name: "shop_orders_total", Help: "Orders placed.",
	}, []string{"currency"})
	amounts = promauto.NewHistogramVec(prometheus.HistogramOpts{
		Name: "shop_order_amount", Help: "Worth of an order, in its currency.",
		Buckets: []float64{1, 5, 10, 50, 100, 500, 1000},
	}, []string{"currency"})
)

// currencies are the values of the label: never let clients choose a label's values.
var currencies = []string{"EUR", "GBP", "USD"}

type shop struct{ db *sql.DB }

func newShop(db *sql.DB) http.Handler {
	prometheus.MustRegister(collectors.NewDBStatsCollector(db, "orders"), newWaitingCollector(db))
	s := shop{db}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /orders/{currency}", s.placeOrder)
	mux.HandleFunc("POST /shipments", s.ship)
	return mux
}

func (s shop) placeOrder(w http.ResponseWriter, r *http.Request) {
	currency := r.PathValue("currency")
	amount, err := strconv.ParseFloat(r.FormValue("amount"), 64)
	if err != nil || amount <= 0 || !slices.Contains(currencies, currency) {
		http.Error(w, "an amount in EUR, GBP or USD, please", http.StatusBadRequest)
		return
	}
	if _, err := s.db.ExecContext(r.Context(), "INSERT INTO orders (currency) VALUES (?)", currency); err != nil {
		http.Error(w, "the database does not answer", http.StatusServiceUnavailable)
		return
	}
	orders.WithLabelValues(currency).Inc()
	amounts.WithLabelValues(currency).Observe(amount)
	w.WriteHeader(http.StatusCreated)
}

// ship sends the oldest order away, which may have been placed in another process.
func (s shop) ship(w http.ResponseWriter, r *http.Request) {
	if _, err := s.db.ExecContext(r.Context(), "DELETE FROM orders ORDER BY id LIMIT 1"); err != nil {
		http.Error(w, "the database does not answer", http.StatusServiceUnavailable)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// waitingCollector asks the database how many orders wait.
type waitingCollector struct {
	db   *sql.DB
	desc *prometheus.Desc
}

func newWaitingCollector(db *sql.DB) *waitingCollector {
	return &waitingCollector{db, prometheus.NewDesc("shop_orders_waiting", "Orders that are not shipped yet.", nil, nil)}
}

func (c *waitingCollector) Describe(descs chan<- *prometheus.Desc) { descs <- c.desc }

func (c *waitingCollector) Collect(metrics chan<- prometheus.Metric) {
	var waiting float64
	if err := c.db.QueryRow("SELECT count(*) FROM orders").Scan(&waiting); err != nil {
		metrics <- prometheus.NewInvalidMetric(c.desc, err)
		return
	}
	metrics <- prometheus.MustNewConstMetric(c.desc, prometheus.GaugeValue, waiting)
}
