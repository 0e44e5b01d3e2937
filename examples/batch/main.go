// SPDX-License-Identifier: Apache-2.0

// Command batch is a job that ends before Prometheus could scrape it. What it counted
// stays in Redis and adds up over its runs, without a Pushgateway. The time of its last
// success is a Latest gauge, which belongs to no process and so outlives this one.
//
//	go run ./examples/batch
//	REDIS_URL=redis://127.0.0.1:6379/0 go run ./examples/batch
//
// At its end it prints its part of the page. With a Redis that outlives it, the numbers
// grow from run to run; the exporter example serves them by -app billing.
package main

import (
	"context"
	"flag"
	"log"
	"math/rand/v2"
	"os"
	"strings"
	"time"

	"github.com/prometheus/common/expfmt"
	shoal "github.com/shoal-metrics/shoal/core"
	"github.com/shoal-metrics/shoal/examples/internal/anyredis"
)

var (
	invoices = shoal.NewCounterVec(shoal.CounterOpts{
		Name: "billing_invoices_total", Help: "Invoices handled, by result.",
	}, []string{"result"})
	duration = shoal.NewSummary(shoal.SummaryOpts{
		Name: "billing_run_duration_seconds", Help: "How long the runs took.",
	})
	lastSuccess = shoal.NewGauge(shoal.GaugeOpts{
		Name: "billing_last_success_timestamp_seconds", Help: "When a run succeeded last.", Mode: shoal.Latest,
	})
)

func main() {
	redis := anyredis.Flag()
	count := flag.Int("invoices", 100, "`number` of invoices to send")
	flag.Parse()
	if err := run(context.Background(), *redis, *count); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, redis string, count int) error {
	redis, stopRedis, err := anyredis.Open(redis)
	if err != nil {
		return err
	}
	defer stopRedis()
	reg := shoal.Default()
	if err := reg.Open(redis, shoal.Opts{App: "billing"}); err != nil {
		return err
	}

	timer := shoal.NewTimer(duration)
	for range count {
		if rand.N(20) == 0 {
			invoices.WithLabelValues("bounced").Inc()
		} else {
			invoices.WithLabelValues("sent").Inc()
		}
	}
	timer.ObserveDuration()
	lastSuccess.SetToCurrentTime()

	// Close sends what was not sent yet, here all of it. If it fails, Redis lacks
	// something, and so the job fails.
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	if err := reg.Close(ctx); err != nil {
		return err
	}
	return show(ctx, redis)
}

// show prints what Redis has now, by a registry that only reads.
func show(ctx context.Context, redis string) error {
	reg := shoal.New()
	if err := reg.Open(redis, shoal.Opts{App: "billing", ReadOnly: true}); err != nil {
		return err
	}
	defer func() { _ = reg.Close(ctx) }() // it has nothing to deliver
	families, err := reg.Gather()
	if err != nil {
		return err
	}
	for _, family := range families {
		if strings.HasPrefix(family.GetName(), "billing_") {
			if _, err := expfmt.MetricFamilyToText(os.Stdout, family); err != nil {
				return err
			}
		}
	}
	return nil
}
