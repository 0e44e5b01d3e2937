// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/shoal-metrics/shoal/core/tests/redistest"
	"github.com/shoal-metrics/shoal/core/tests/testkit"
)

// shops are the shops on net/http.
var shops = []string{"nethttp", "chi", "gin", "echo"}

func TestShops_CountTheirBusinessAndTheirRequests(t *testing.T) {
	t.Parallel()
	for name, route := range map[string]string{
		"nethttp": "/orders/{currency}", "chi": "/orders/{currency}", "gin": "/orders/:currency", "echo": "/orders/:currency", "fiber": "/orders/:currency",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			addr := redistest.FreeAddr(t)
			start(t, name, "-addr", addr)
			isUp(t, addr)
			request(t, 3, "POST", addr, "/carts", http.StatusCreated)
			request(t, 1, "POST", addr, "/orders/EUR?amount=12.5", http.StatusCreated)
			request(t, 1, "POST", addr, "/orders/USD?amount=7", http.StatusCreated)
			request(t, 1, "POST", addr, "/orders/XYZ?amount=7", http.StatusBadRequest)
			request(t, 1, "POST", addr, "/nowhere", http.StatusNotFound)
			says(t, addr, 1, "shop_orders_total", "currency=EUR")
			says(t, addr, 2, "shop_orders_total")
			says(t, addr, 2, "shop_order_amount")
			says(t, addr, 1, "shop_carts_open")
			says(t, addr, 2, "http_requests_total", "method=POST", "route="+route, "code=201")
			says(t, addr, 1, "http_requests_total", "method=POST", "route="+route, "code=400")
			says(t, addr, 1, "http_requests_total", "route=unmatched", "code=404")
			says(t, addr, 7, "http_request_duration_seconds")
			says(t, addr, 0, "http_requests_in_flight")
		})
	}
}

// A cart is opened in one process and ordered in another. When the first process closes, the
// number of open carts stays the same.
func TestShops_CartsAddUpOverProcessesOfWhichOneCloses(t *testing.T) {
	t.Parallel()
	for _, name := range append([]string{"fiber"}, shops...) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			redis, first, second := redistest.Start(t).URL(), redistest.FreeAddr(t), redistest.FreeAddr(t)
			closes := start(t, name, "-addr", first, "-redis", redis)
			start(t, name, "-addr", second, "-redis", redis)
			isUp(t, first)
			isUp(t, second)
			request(t, 10, "POST", first, "/carts", http.StatusCreated)
			request(t, 3, "POST", second, "/orders/EUR?amount=5", http.StatusCreated)
			says(t, second, 7, "shop_carts_open")
			closes.terminate()
			for range 3 {
				testkit.Check(t, sum(t, second, 7, "shop_carts_open"))
			}
			request(t, 7, "POST", second, "/orders/EUR?amount=5", http.StatusCreated)
			says(t, second, 0, "shop_carts_open")
		})
	}
}

func TestInstances_OnePageOnTwoPorts(t *testing.T) {
	t.Parallel()
	addrs := []string{redistest.FreeAddr(t), redistest.FreeAddr(t)}
	start(t, "instances", "-addrs", strings.Join(addrs, ","))
	for _, addr := range addrs {
		isUp(t, addr)
		request(t, 10, "GET", addr, "/", http.StatusOK)
	}
	for _, addr := range addrs {
		says(t, addr, 20, "http_requests_total", "route=/{$}", "code=200")
		says(t, addr, 2, "shoal_instance_info", "version=1.0")
		says(t, addr, 2, "go_info")
	}
}

func TestService_HasItsPageOnAPortOfItsOwn(t *testing.T) {
	t.Parallel()
	addr, pages := redistest.FreeAddr(t), redistest.FreeAddr(t)
	start(t, "service", "-addr", addr, "-pages", pages)
	isUp(t, pages)
	request(t, 5, "GET", addr, "/healthz", http.StatusOK)
	request(t, 3, "POST", addr, "/orders", http.StatusCreated)
	request(t, 1, "GET", addr, "/metrics", http.StatusNotFound)
	says(t, pages, 3, "shop_orders_total")
	says(t, pages, 4, "http_requests_total")
	says(t, pages, 1, "go_info")
	testkit.Eventually(t, func() error {
		page, err := testkit.Fetch(t.Context(), "http://"+pages+"/metrics/each")
		if err == nil && (page.Sum("shop_orders_total", "instance=shop") != 3 || page.Sum("go_info") != 1) {
			err = fmt.Errorf("the page of this process: %s", page.Users())
		}
		return err
	})
}

func TestBatch_WhatItCountedStays(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t).URL()
	begin := time.Now()
	for range 3 {
		p := startWith(t, redis, "batch", "-invoices", "200")
		p.wait()
		if len(p.out.Of("billing_invoices_total{")) == 0 {
			t.Errorf("it printed %q", &p.out)
		}
	}
	addr := redistest.FreeAddr(t)
	start(t, "exporter", "-redis", redis, "-app", "billing", "-addr", addr)
	says(t, addr, 600, "billing_invoices_total")
	says(t, addr, 3, "billing_run_duration_seconds")
	p, err := scrape(t, addr)
	testkit.Must(t, err)
	last := p.Sum("billing_last_success_timestamp_seconds")
	if last < float64(begin.Unix()) || last > float64(time.Now().Unix()+1) {
		t.Errorf("the last success was at %v", last)
	}
	p.WantNone(t, "shoal_instance_info") // the jobs have closed, and an exporter has no lease
}

func TestBatch_RunsWithoutRedis(t *testing.T) {
	t.Parallel()
	p := start(t, "batch")
	p.wait()
	if len(p.out.Of("billing_last_success_timestamp_seconds ")) == 0 {
		t.Errorf("it printed %q", &p.out)
	}
}

func TestExporter_SaysWhyItCannotRead(t *testing.T) {
	t.Parallel()
	addr := redistest.FreeAddr(t)
	start(t, "exporter", "-redis", "redis://"+redistest.FreeAddr(t)+"/0", "-addr", addr)
	testkit.Eventually(t, func() error {
		status, body, err := testkit.Do(t.Context(), "GET", "http://"+addr+"/metrics")
		if err == nil && (status != http.StatusServiceUnavailable || !strings.Contains(body, "can't be reached")) {
			err = fmt.Errorf("%d: %s", status, body)
		}
		return err
	})
}
