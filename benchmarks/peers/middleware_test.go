// SPDX-License-Identifier: Apache-2.0

package peers

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	shoal "github.com/shoal-metrics/shoal/core"
	"github.com/shoal-metrics/shoal/core/tests/redistest"
)

// side is a router of twenty routes with a middleware, or without.
type side struct {
	router, name string
	build        func(tb testing.TB) (app, prometheus.Gatherer)
}

// app is what a side serves with.
type app interface {
	// caller returns what serves request n. A router writes to its request, so each
	// goroutine has a caller of its own.
	caller() func(n int)
	// answer serves request n, and returns what a client gets.
	answer(n int) (status int, body string)
}

// httpApp serves as net/http does.
type httpApp struct{ http.Handler }

func (a httpApp) caller() func(n int) {
	w, list := discarding{http.Header{}}, requests()
	return func(n int) { a.ServeHTTP(w, list[n%sections]) }
}

func (a httpApp) answer(n int) (status int, body string) {
	w := httptest.NewRecorder()
	a.ServeHTTP(w, requests()[n%sections])
	return w.Code, w.Body.String()
}

const sections = 20

// patterns returns the routes, with a parameter as net/http and chi write it, or as gin and echo.
func patterns(parameter string) []string {
	list := make([]string, sections)
	for i := range list {
		list[i] = fmt.Sprintf("/shops/"+parameter+"/section%d/"+parameter, "shop", i, "item")
	}
	return list
}

var (
	braces = patterns("{%s}")
	colons = patterns(":%s")
	body   = []byte("ok")
)

func target(n int) string { return fmt.Sprintf("/shops/12/section%d/%d", n, 1000+n) }

func requests() []*http.Request {
	list := make([]*http.Request, sections)
	for i := range list {
		list[i] = httptest.NewRequest(http.MethodGet, target(i), nil)
	}
	return list
}

// discarding is a response writer that does nothing, so that only router and middleware are
// measured. It has all optional methods of net/http's own writer, since a middleware may have to
// keep them.
type discarding struct{ header http.Header }

func (d discarding) Header() http.Header                 { return d.header }
func (d discarding) WriteHeader(int)                     {}
func (d discarding) Write(b []byte) (int, error)         { return len(b), nil }
func (d discarding) WriteString(s string) (int, error)   { return len(s), nil }
func (d discarding) ReadFrom(r io.Reader) (int64, error) { return io.Copy(io.Discard, r) }
func (d discarding) Flush()                              {}
func (d discarding) FlushError() error                   { return nil }
func (d discarding) CloseNotify() <-chan bool            { return nil }
func (d discarding) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return nil, nil, http.ErrNotSupported
}

// apps numbers the apps, so that each has counts of its own.
var apps atomic.Int64

// connectedAsUsual returns a registry that flushes once a second, as in an application.
func connectedAsUsual(tb testing.TB) *shoal.Registry {
	tb.Helper()
	reg := shoal.New()
	if err := reg.Open(redistest.Shared(tb).URL(), shoal.Opts{App: fmt.Sprint("middleware-", apps.Add(1))}); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := reg.Close(context.Background()); err != nil {
			tb.Error(err)
		}
	})
	return reg
}

var routers = [][]side{netHTTP, chiRouter, ginEngine, echoRouter, echoV5Router, fiberV3, fiberV2}

// The bare router runs first, then its middlewares one after the other: the cost of a middleware
// is the difference.
func BenchmarkMiddleware(b *testing.B) {
	for _, router := range routers {
		b.Run("router="+router[0].router, func(b *testing.B) {
			apps := make([]app, len(router))
			for i, s := range router {
				apps[i], _ = s.build(b)
			}
			for i, s := range router {
				b.Run("mode=serial/side="+s.name, func(b *testing.B) {
					call := apps[i].caller()
					b.ReportAllocs()
					b.ResetTimer()
					for n := range b.N {
						call(n)
					}
				})
			}
			for i, s := range router {
				b.Run("mode=parallel/side="+s.name, func(b *testing.B) {
					b.ReportAllocs()
					b.RunParallel(func(pb *testing.PB) {
						call := apps[i].caller()
						for n := 0; pb.Next(); n++ {
							call(n)
						}
					})
				})
			}
		})
	}
}

// Each measured middleware must do the work: record two requests to each route by the route's
// pattern.
func TestMiddleware_EachSideRecordsItsRoutes(t *testing.T) {
	for _, s := range slices.Concat(routers...) {
		t.Run(s.router+"/"+s.name, func(t *testing.T) {
			served, page := s.build(t)
			before := counted(t, page)
			for n := range 2 * sections {
				if status, got := served.answer(n); status != http.StatusOK || got != string(body) {
					t.Fatalf("%s: %d %q", target(n%sections), status, got)
				}
			}
			if page == nil {
				return
			}
			found, routes := counted(t, page), colons
			if s.router == "nethttp" || s.router == "chi" {
				routes = braces
			}
			for _, route := range routes {
				n := found[route] + found["GET "+route] - before[route] - before["GET "+route]
				if n != 2 {
					t.Errorf("%s is recorded %d times", route, n)
				}
			}
		})
	}
}

// counted returns how many requests a page shows for each value of a label, in a counter or in
// a histogram's count.
func counted(t *testing.T, page prometheus.Gatherer) map[string]uint64 {
	t.Helper()
	if page == nil {
		return nil
	}
	families, err := page.Gather()
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]uint64{}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			for _, label := range m.GetLabel() {
				n := uint64(m.GetCounter().GetValue()) + m.GetHistogram().GetSampleCount()
				found[label.GetValue()] = max(found[label.GetValue()], n)
			}
		}
	}
	return found
}
