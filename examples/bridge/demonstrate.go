// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// requests is how many orders or payments each process gets.
const requests = 10

// shown are the beginnings of the lines that demonstrate prints.
var shown = []string{
	"shop_orders_total{", "shop_orders_waiting ", "go_sql_open_connections{", "go_goroutines{",
	"payments_taken_total{", "http_server_request_duration_seconds_count{",
}

// demonstrate sends requests to all processes, waits until one of them has the sums on its page, and
// prints a part of that.
func demonstrate(ctx context.Context, shops, payments []string) {
	limited, cancel := context.WithTimeout(ctx, time.Minute) // it takes 6 s, or longer on a busy machine
	defer cancel()
	at := payments[len(payments)-1] // any of the four
	page, err := countAndWait(limited, shops, payments, at)
	switch {
	case ctx.Err() != nil: // the program ends
	case err != nil:
		log.Print(err)
	default:
		log.Printf(`
http://%s/metrics has, as has each of the others:

%s

Try these, the last one 6 s after the others: the page shows what other processes count up to 6 s later.
Ctrl-C ends all.

curl -X POST 'http://%s/orders/EUR?amount=12.5'
curl -X POST 'http://%s/payments/card?amount=12.5'
curl -s http://%s/metrics | grep -E '^(shop|payments)_'`, at, strings.Join(page, "\n"), shops[0], payments[0], at)
	}
}

// countAndWait sends the requests, and returns the lines to show when they have all of them.
func countAndWait(ctx context.Context, shops, payments []string, at string) (lines []string, err error) {
	for _, addr := range slices.Concat(shops, payments) { // until all serve
		if lines, err = readUntil(ctx, addr, func([]string) bool { return true }); err != nil {
			return nil, err
		}
	}
	// A Redis of your own has the totals of the last time already.
	orders := total(lines, "shop_orders_total{") + float64(requests*len(shops))
	taken := total(lines, "payments_taken_total{") + float64(requests*len(payments))
	for i := range requests {
		for _, addr := range shops {
			if err := post(ctx, addr, "/orders/EUR?amount=12.5"); err != nil {
				return nil, err
			}
			if i%2 == 0 {
				if err := post(ctx, addr, "/shipments"); err != nil {
					return nil, err
				}
			}
		}
		for _, addr := range payments {
			if err := post(ctx, addr, "/payments/card?amount=12.5"); err != nil {
				return nil, err
			}
		}
	}
	return readUntil(ctx, at, func(lines []string) bool {
		return total(lines, "shop_orders_total{") >= orders && total(lines, "payments_taken_total{") >= taken
	})
}

// readUntil reads the page of a process until its lines are as they should be.
func readUntil(ctx context.Context, addr string, ok func(lines []string) bool) (lines []string, err error) {
	for {
		if lines, err = read(ctx, addr); err == nil && ok(lines) {
			return lines, nil
		}
		select {
		case <-time.After(200 * time.Millisecond):
		case <-ctx.Done():
			return nil, fmt.Errorf("%s does not have what was counted: %w", addr, cmp.Or(err, ctx.Err()))
		}
	}
}

// read returns the lines of a page that begin with one of shown.
func read(ctx context.Context, addr string) (lines []string, err error) {
	text, err := do(ctx, http.MethodGet, addr, "/metrics")
	for line := range strings.Lines(text) {
		if slices.ContainsFunc(shown, func(begin string) bool { return strings.HasPrefix(line, begin) }) {
			lines = append(lines, strings.TrimSpace(line))
		}
	}
	return lines, err
}

// total adds up the values of the lines that begin so.
func total(lines []string, begin string) (sum float64) {
	for _, line := range lines {
		if strings.HasPrefix(line, begin) {
			value, _ := strconv.ParseFloat(line[strings.LastIndexByte(line, ' ')+1:], 64)
			sum += value
		}
	}
	return sum
}

func post(ctx context.Context, addr, path string) error {
	_, err := do(ctx, http.MethodPost, addr, path)
	return err
}

func do(ctx context.Context, method, addr, path string) (body string, err error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://"+addr+path, nil)
	if err != nil {
		return "", err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode >= http.StatusBadRequest {
		err = fmt.Errorf("%s %s%s: %s: %s", method, addr, path, res.Status, text)
	}
	return string(text), err
}
