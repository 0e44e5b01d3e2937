// SPDX-License-Identifier: Apache-2.0

package httpmetrics

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	shoal "github.com/shoal-metrics/shoal/core"
	"github.com/shoal-metrics/shoal/core/shoaltest"
)

// onLoopback returns a server on a free port, and a channel that gets its address.
func onLoopback(h http.Handler) (*http.Server, <-chan string) {
	addr := make(chan string, 1)
	s := NewServer("127.0.0.1:0", h)
	s.BaseContext = func(l net.Listener) context.Context {
		addr <- l.Addr().String()
		return context.Background()
	}
	return s, addr
}

// get fetches a page on a connection of its own, so that none stays behind.
func get(t *testing.T, addr, path string) string {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Get("http://" + addr + path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

func TestServe_DrainsAllServersBeforeTheRegistryCloses(t *testing.T) {
	store := shoaltest.NewServer()
	watcher := store.New(t, shoal.Opts{})
	reg := shoal.New()
	if err := store.Connect(reg, shoal.Opts{}); err != nil {
		t.Fatal(err)
	}
	rec := NewRecorder(reg, Opts{})
	entered, release := make(chan struct{}), make(chan struct{})
	app, addr := onLoopback(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, x := rec.Wrap(w, r, nil)
		defer x.End()
		close(entered)
		<-release
		x.Returned()
	}))
	admin, adminAddr := onLoopback(PageServer("", reg).Handler)

	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- Serve(ctx, reg, app, admin) }()
	if page := get(t, <-adminAddr, "/metrics"); !strings.Contains(page, "shoal_") {
		t.Errorf("the page on the other address shows nothing: %q", page)
	}
	answered := make(chan string, 1)
	go func() { answered <- get(t, <-addr, "/") }()
	<-entered
	shutdown := make(chan struct{})
	app.RegisterOnShutdown(func() { close(shutdown) })
	cancel()
	<-shutdown // the shutdown has begun, and the request is still running
	select {
	case err := <-served:
		t.Fatalf("Serve returned with a request under way: %v", err)
	default:
	}
	close(release)
	<-answered
	if err := <-served; err != nil {
		t.Errorf("Serve: %v", err)
	}
	if got := shoaltest.Value(t, watcher, "http_requests_total", "method", "GET", "route", "unmatched", "code", "200"); got != 1 {
		t.Errorf("the request that was drained is counted %v times, want once", got)
	}
	if shoaltest.Exists(t, watcher, "http_requests_in_flight", "gauge_index", "1") {
		t.Error("the registry is not closed: its gauge is still there")
	}
}

func TestServe_CutsOffWhatOutlastsTheDrain(t *testing.T) {
	reg := shoaltest.New(t)
	entered := make(chan struct{})
	app, addr := onLoopback(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(entered)
		<-r.Context().Done()
	}))
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- Graceful{DrainTimeout: time.Millisecond}.Serve(ctx, reg, app) }()
	failed := make(chan error, 1)
	go func() {
		client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
		res, err := client.Get("http://" + <-addr)
		if err == nil {
			_ = res.Body.Close()
		}
		failed <- err
	}()
	<-entered
	cancel()
	if err := <-served; !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Serve says %v, want that the drain took too long", err)
	}
	if err := <-failed; err == nil {
		t.Error("the request that outlasted the drain was not cut off")
	}
}

func TestServe_AddressInUseIsAnErrorAndNothingStaysOpen(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	freeAddr := free.Addr().String()
	_ = free.Close()

	reg := shoaltest.New(t)
	err = Serve(t.Context(), reg, NewServer(freeAddr, nil), NewServer(taken.Addr().String(), nil))
	if err == nil || !strings.Contains(err.Error(), taken.Addr().String()) {
		t.Fatalf("got %v, want an error that names the address", err)
	}
	again, err := net.Listen("tcp", freeAddr)
	if err != nil {
		t.Fatalf("the other server's address is not free: %v", err)
	}
	_ = again.Close()
	if err := reg.Flush(t.Context()); !errors.Is(err, shoal.ErrClosed) {
		t.Errorf("Flush after it says %v, want that the registry is closed", err)
	}
}

func TestServe_OneServerEndingEndsAll(t *testing.T) {
	reg := shoaltest.New(t)
	first, firstAddr := onLoopback(nil)
	second, secondAddr := onLoopback(nil)
	served := make(chan error, 1)
	go func() { served <- Serve(t.Context(), reg, first, second) }()
	<-firstAddr
	<-secondAddr
	if err := first.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-served; err != nil {
		t.Errorf("Serve: %v", err)
	}
}

func TestServe_EndedContextStillCloses(t *testing.T) {
	reg := shoaltest.New(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	s, _ := onLoopback(nil)
	if err := Serve(ctx, reg, s); err != nil {
		t.Errorf("Serve: %v", err)
	}
	if err := reg.Flush(t.Context()); !errors.Is(err, shoal.ErrClosed) {
		t.Errorf("Flush after it says %v, want that the registry is closed", err)
	}
}
