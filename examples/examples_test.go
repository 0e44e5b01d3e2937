// SPDX-License-Identifier: Apache-2.0

//go:build unix

package examples

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestShops_CountTheirBusinessAndTheirRequests(t *testing.T) {
	for name, route := range map[string]string{
		"nethttp": "/orders/{currency}",
		"chi":     "/orders/{currency}",
		"gin":     "/orders/:currency",
		"echo":    "/orders/:currency",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			addr := freeAddr(t)
			start(t, name, "-addr", addr)
			until(t, "the shop is open", func() error { _, err := scrape(addr); return err })

			for _, request := range []struct {
				path string
				want int
			}{
				{"/carts", http.StatusCreated},
				{"/carts", http.StatusCreated},
				{"/carts", http.StatusCreated},
				{"/orders/EUR?amount=12.5", http.StatusCreated},
				{"/orders/USD?amount=7", http.StatusCreated},
				{"/orders/XYZ?amount=7", http.StatusBadRequest},
				{"/nowhere", http.StatusNotFound},
			} {
				status, body, err := do(fresh, http.MethodPost, "http://"+addr+request.path)
				if err != nil || status != request.want {
					t.Errorf("POST %s: %d %q, %v", request.path, status, body, err)
				}
			}
			for _, want := range []func() error{
				says(addr, 1, "shop_orders_total", "currency=EUR"),
				says(addr, 2, "shop_orders_total"),
				says(addr, 2, "shop_order_amount"),
				says(addr, 1, "shop_carts_open"),
				says(addr, 2, "http_requests_total", "method=POST", "route="+route, "code=201"),
				says(addr, 1, "http_requests_total", "method=POST", "route="+route, "code=400"),
				says(addr, 1, "http_requests_total", "route=unmatched", "code=404"),
				says(addr, 7, "http_request_duration_seconds"),
				says(addr, 0, "http_requests_in_flight"),
			} {
				until(t, "the page", want)
			}
		})
	}
}

// A cart is opened in one process and ordered from in another. When the first
// closes, the carts that are open are still the same.
func TestShops_CartsAddUpOverProcessesOfWhichOneCloses(t *testing.T) {
	for _, name := range []string{"nethttp", "chi", "gin", "echo"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			redis, first, second := redisURL(t), freeAddr(t), freeAddr(t)
			closes := start(t, name, "-addr", first, "-redis", redis)
			start(t, name, "-addr", second, "-redis", redis)
			post := func(addr, path string, times int) {
				until(t, "the shop is open", func() error { _, err := scrape(addr); return err })
				for range times {
					if status, body, err := do(fresh, http.MethodPost, "http://"+addr+path); err != nil || status != http.StatusCreated {
						t.Errorf("POST %s: %d %q, %v", path, status, body, err)
					}
				}
			}
			post(first, "/carts", 10)
			post(second, "/orders/EUR?amount=5", 3)
			until(t, "seven carts", says(second, 7, "shop_carts_open"))
			closes.terminate()
			for range 3 {
				if err := says(second, 7, "shop_carts_open")(); err != nil {
					t.Error(err)
				}
			}
			post(second, "/orders/EUR?amount=5", 7)
			until(t, "no carts", says(second, 0, "shop_carts_open"))
		})
	}
}

func TestInstances_OnePageOnTwoPorts(t *testing.T) {
	t.Parallel()
	addrs := []string{freeAddr(t), freeAddr(t)}
	start(t, "instances", "-addrs", strings.Join(addrs, ","))
	for _, addr := range addrs {
		until(t, "the instance is up", func() error { _, err := scrape(addr); return err })
		for range 10 {
			if status, _, err := do(fresh, http.MethodGet, "http://"+addr+"/"); err != nil || status != http.StatusOK {
				t.Errorf("%s answers %d, %v", addr, status, err)
			}
		}
	}
	for _, addr := range addrs {
		until(t, "the requests of both", says(addr, 20, "http_requests_total", "route=/{$}", "code=200"))
		until(t, "both instances", says(addr, 2, "shoal_instance_info", "version=1.0"))
	}
}

func TestBatch_WhatItCountedStays(t *testing.T) {
	t.Parallel()
	redis := redisURL(t)
	begin := time.Now()
	for range 3 {
		p := startWith(t, redis, "batch", "-invoices", "200")
		p.wait()
		if !strings.Contains(p.out.String(), "billing_invoices_total{") {
			t.Errorf("it printed %q", p.out.String())
		}
	}
	addr := freeAddr(t)
	start(t, "exporter", "-redis", redis, "-app", "billing", "-addr", addr)
	until(t, "the invoices of all runs", says(addr, 600, "billing_invoices_total"))
	until(t, "the runs", says(addr, 3, "billing_run_duration_seconds"))
	p, err := scrape(addr)
	if err != nil {
		t.Fatal(err)
	}
	last := p.value("billing_last_success_timestamp_seconds")
	if last < float64(begin.Unix()) || last > float64(time.Now().Unix()+1) {
		t.Errorf("the last success was at %v", last)
	}
	if n := len(p["shoal_instance_info"].GetMetric()); n != 0 {
		t.Errorf("%d instances are shown; the jobs are gone and the exporter is none", n)
	}
}

// byName are the arguments of the examples that serve.
func byName(t *testing.T, addr string) map[string][]string {
	return map[string][]string{
		"nethttp":   {"-addr", addr},
		"chi":       {"-addr", addr},
		"gin":       {"-addr", addr},
		"echo":      {"-addr", addr},
		"prefork":   {"-addr", addr, "-workers", "2"},
		"instances": {"-addrs", addr + "," + freeAddr(t)},
		"exporter":  {"-addr", addr},
	}
}

// A URL with a password belongs in the environment, where the manifest of
// docs/operations.md puts it. From there no list of processes and no log has it.
func TestRedisURL_OfTheEnvironmentIsUsedAndShownToNobody(t *testing.T) {
	for name := range byName(t, "") {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			secret, addr := "secret-of-"+name, freeAddr(t)
			redis, shown := guardedRedis(t, secret)
			p := startWith(t, redis+"?client_name="+secret, name, byName(t, addr)[name]...)
			until(t, "the example is up", func() error { _, err := scrape(addr); return err })
			apps := map[string]string{"prefork": "prefork", "instances": "instances"}
			if name != "exporter" { // whose page would be empty with any Redis
				exporter := freeAddr(t)
				startWith(t, redis, "exporter", "-app", cmp.Or(apps[name], "shop"), "-addr", exporter)
				until(t, "its process is in that Redis", func() error {
					page, err := scrape(exporter)
					if err == nil && len(page["shoal_instance_info"].GetMetric()) == 0 {
						err = errors.New("no instance")
					}
					return err
				})
			} else if !strings.Contains(p.out.String(), shown) {
				t.Errorf("it read another Redis: %q", p.out.String())
			}
			for _, line := range commandLines(t) {
				if strings.Contains(line, secret) {
					t.Errorf("the arguments of a process show the URL: %q", line)
				}
			}
			if strings.Contains(p.out.String(), secret) {
				t.Errorf("the log shows the URL: %q", p.out.String())
			}
		})
	}
}

// What an example says of a URL that is wrong has nothing of what stands in it.
func TestRedisURL_ThatIsWrongIsShownToNobody(t *testing.T) {
	const secret = "5ecret"
	commands := byName(t, "127.0.0.1:0")
	commands["batch"] = nil
	for name, args := range commands {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, redis := range []string{
				"redis://shop:12/" + secret + "@127.0.0.1/0", "redis://shop:12#" + secret + "@127.0.0.1", "redis://shop:" + secret + "/12@127.0.0.1",
			} {
				var out buffer
				cmd := exec.CommandContext(t.Context(), filepath.Join(binaries, name), args...)
				cmd.Env, cmd.Stdout, cmd.Stderr, cmd.WaitDelay = append(os.Environ(), "REDIS_URL="+redis), &out, &out, patience
				if err := cmd.Start(); err != nil {
					t.Fatal(err)
				}
				until(t, "it says what is wrong", func() error {
					if text := out.String(); !strings.Contains(text, "URL is not usable") {
						return errors.New(text)
					}
					return nil
				})
				_ = cmd.Process.Signal(syscall.SIGTERM) // a parent starts its workers again
				_ = cmd.Wait()
				if text := out.String(); strings.Contains(text, secret) || strings.Contains(text, "shop:") {
					t.Errorf("of %s it says %q", redis, text)
				}
			}
		})
	}
}

func TestRedisURL_TheFlagTakesPrecedence(t *testing.T) {
	t.Parallel()
	addr, redis := freeAddr(t), redisURL(t)
	p := startWith(t, "redis://"+freeAddr(t)+"/0", "exporter", "-redis", redis, "-addr", addr)
	until(t, "the page of the flag's Redis", func() error { _, err := scrape(addr); return err })
	if !strings.Contains(p.out.String(), redis) {
		t.Errorf("it says %q", p.out.String())
	}
}

// commandLines are the arguments of all processes of the examples, where the
// system tells them.
func commandLines(t *testing.T) []string {
	t.Helper()
	paths, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, path := range paths {
		exe, err := os.Readlink(path + "/exe")
		line, err2 := os.ReadFile(path + "/cmdline")
		if err == nil && err2 == nil && strings.HasPrefix(exe, binaries) { // else it has ended, or is another's
			lines = append(lines, strings.ReplaceAll(string(line), "\x00", " "))
		}
	}
	return lines
}

func TestBatch_RunsWithoutRedis(t *testing.T) {
	t.Parallel()
	p := start(t, "batch")
	p.wait()
	if !strings.Contains(p.out.String(), "billing_last_success_timestamp_seconds ") {
		t.Errorf("it printed %q", p.out.String())
	}
}

func TestExporter_SaysWhyItCannotRead(t *testing.T) {
	t.Parallel()
	addr := freeAddr(t)
	start(t, "exporter", "-redis", "redis://"+freeAddr(t)+"/0", "-addr", addr)
	until(t, "503 and the reason", func() error {
		status, body, err := do(fresh, http.MethodGet, "http://"+addr+"/metrics")
		if err == nil && (status != http.StatusServiceUnavailable || !strings.Contains(body, "can't be reached")) {
			err = fmt.Errorf("%d: %s", status, body)
		}
		return err
	})
}
