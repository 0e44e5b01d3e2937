// SPDX-License-Identifier: Apache-2.0

package prometheus_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// program is an application as it was before it knew of shoal. What it counts depends only on how
// many orders each of its workers took, so that a second one can do the same work again.
// Its numbers are sums of powers of two, which add up to the same in any order.
type program struct {
	orders *prometheus.CounterVec
	worth  *prometheus.CounterVec
	took   *prometheus.HistogramVec
	items  prometheus.Summary
	open   prometheus.Gauge
	peak   prometheus.Gauge
	kitchen
	db *sql.DB
}

func newProgram(reg prometheus.Registerer) *program {
	auto := promauto.With(reg)
	p := &program{
		orders: auto.NewCounterVec(prometheus.CounterOpts{Name: "orders_total", Help: "Orders taken."}, []string{"worker"}),
		worth:  auto.NewCounterVec(prometheus.CounterOpts{Name: "worth_total", Help: "What was ordered."}, []string{"currency"}),
		took: auto.NewHistogramVec(prometheus.HistogramOpts{
			Name: "took_seconds", Help: "Time that an order took.", Buckets: []float64{.25, .5, 1, 1.5},
		}, []string{"currency"}),
		items: auto.NewSummary(prometheus.SummaryOpts{Name: "items", Help: "Items of an order."}),
		open:  auto.NewGauge(prometheus.GaugeOpts{Name: "orders_open", Help: "Orders that are not ready."}),
		peak:  auto.NewGauge(prometheus.GaugeOpts{Name: "worth_peak", Help: "The most that was ordered at once."}),
		db:    sql.OpenDB(noDriver{}),
	}
	p.db.SetMaxIdleConns(-1) // so that each connection is closed, which is counted
	reg.MustRegister(&p.kitchen, collectors.NewDBStatsCollector(p.db, "shop"))
	return p
}

var currencies = []string{"EUR", "USD", "GBP"}

// order takes a worker's n-th order. The number of the worker begins at 0, that of the order at 1.
func (p *program) order(worker string, n int) {
	currency, worth := currencies[n%len(currencies)], float64(n%16)/4
	p.orders.WithLabelValues(worker).Inc()
	p.worth.WithLabelValues(currency).Add(worth)
	p.took.WithLabelValues(currency).Observe(float64(n%16) / 8)
	p.items.Observe(float64(n % 5))
	p.open.Inc()
	if n%4 != 0 {
		p.open.Dec()
	}
	p.peak.Set(3.75) // what a fleet and one process see alike
	p.cooked.Add(1)
	if n%8 == 0 {
		conn, err := p.db.Conn(context.Background())
		if err == nil {
			err = conn.Close()
		}
		if err != nil {
			panic(err)
		}
	}
}

// kitchen is a collector that the application has written itself.
type kitchen struct{ cooked atomic.Int64 }

var (
	cookedDesc = prometheus.NewDesc("cooked_total", "Meals.", nil, nil)
	heatDesc   = prometheus.NewDesc("heat", "Of the stove, as a histogram of its minutes.", nil, nil)
)

func (k *kitchen) Describe(ch chan<- *prometheus.Desc) { ch <- cookedDesc; ch <- heatDesc }

func (k *kitchen) Collect(ch chan<- prometheus.Metric) {
	n := k.cooked.Load()
	ch <- prometheus.MustNewConstMetric(cookedDesc, prometheus.CounterValue, float64(n))
	count := uint64(n)
	ch <- prometheus.MustNewConstHistogram(heatDesc, count, float64(n)*2, map[float64]uint64{1: 0, 2: count})
}

// noDriver is a driver whose connections do nothing.
type noDriver struct{}

func (noDriver) Connect(context.Context) (driver.Conn, error) { return noConn{}, nil }
func (noDriver) Driver() driver.Driver                        { return nil }

type noConn struct{}

func (noConn) Prepare(string) (driver.Stmt, error) { return nil, errors.ErrUnsupported }
func (noConn) Close() error                        { return nil }
func (noConn) Begin() (driver.Tx, error)           { return nil, errors.ErrUnsupported }
