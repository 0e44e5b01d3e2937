// SPDX-License-Identifier: Apache-2.0

package shoaltest_test

import (
	"testing"

	shoal "github.com/shoal-metrics/shoal/core"
	"github.com/shoal-metrics/shoal/core/shoaltest"
)

// shop is an application under test.
type shop struct {
	orders *shoal.CounterVec
}

func newShop(reg *shoal.Registry) *shop {
	return &shop{reg.NewCounterVec(shoal.CounterOpts{Name: "orders_total"}, []string{"currency"})}
}

func (s *shop) order(currency string) { s.orders.WithLabelValues(currency).Inc() }

func ExampleValue() {
	testOrder := func(t *testing.T) {
		reg := shoaltest.New(t)
		newShop(reg).order("EUR")
		if got := shoaltest.Value(t, reg, "orders_total", "currency", "EUR"); got != 1 {
			t.Errorf("orders_total is %v, want 1", got)
		}
	}
	_ = testOrder
	// Output:
}

func ExampleServer() {
	testTwoProcesses := func(t *testing.T) {
		server := shoaltest.NewServer()
		one, two := server.New(t, shoal.Opts{}), server.New(t, shoal.Opts{})
		newShop(one).order("EUR")
		newShop(two).order("EUR")
		if err := one.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := shoaltest.Value(t, two, "orders_total", "currency", "EUR"); got != 2 {
			t.Errorf("orders_total is %v, want 2", got)
		}
	}
	_ = testTwoProcesses
	// Output:
}
