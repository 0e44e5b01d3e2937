// SPDX-License-Identifier: Apache-2.0

package tests

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"unsafe"

	"github.com/shoal-metrics/shoal/core/httpmetrics"
	"github.com/shoal-metrics/shoal/core/shoaltest"
	shoalfasthttp "github.com/shoal-metrics/shoal/middleware/fasthttp"
	"github.com/valyala/fasthttp"
)

// unsafeString is what fiber gives: a string in the request's buffer, which the server fills
// with the next request.
func unsafeString(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// Many requests on one connection use the same buffers. Whatever the metrics keep of the
// first must not change with the next ones.
func TestFast_NothingIsKeptOfBuffersThatTheServerUsesAgain(t *testing.T) {
	header := func(name string) func(*fasthttp.RequestCtx) string {
		return func(ctx *fasthttp.RequestCtx) string { return unsafeString(ctx.Request.Header.Peek(name)) }
	}
	for promise, opts := range map[string]shoalfasthttp.Opts{
		"label":                 {Labels: []shoalfasthttp.Label{{Name: "tenant", Value: header("X-Tenant")}}},
		"label set from inside": {Labels: []shoalfasthttp.Label{{Name: "tenant"}}},
		"label of what is in flight": {InFlightLabel: shoalfasthttp.Label{Name: "tenant", Value: header("X-Tenant")},
			Labels: []shoalfasthttp.Label{{Name: "tenant", Value: header("X-Tenant")}}},
		"Route": {Route: func(ctx *fasthttp.RequestCtx) string { return unsafeString(ctx.Path()) },
			Labels: []shoalfasthttp.Label{{Name: "tenant", Value: header("X-Tenant")}}},
		"method": {Methods: []string{"PURGE"}, Labels: []shoalfasthttp.Label{{Name: "tenant", Value: func(ctx *fasthttp.RequestCtx) string {
			return unsafeString(ctx.Method()) + unsafeString(ctx.Request.Header.Peek("X-Tenant"))[1:]
		}}}},
	} {
		t.Run(strings.ReplaceAll(promise, " ", "_"), func(t *testing.T) {
			forEachFast(t, func(t *testing.T, f fast) {
				s := newFastSite(t, f, opts, fastRoute{"GET", "/users/:id", func(ctx *fasthttp.RequestCtx) {
					f.setLabel(ctx, "tenant", unsafeString(ctx.Request.Header.Peek("X-Tenant")))
				}})
				s.client.Transport = &http.Transport{MaxConnsPerHost: 1}
				defer s.client.CloseIdleConnections()
				const tenants, each = 20, 3
				var want []string
				for i := range tenants {
					tenant := fmt.Sprintf("%c%c%c", 'a'+i, 'a'+i, 'a'+i)
					for range each {
						req, _ := http.NewRequestWithContext(t.Context(), "GET", s.server.URL+"/users/"+tenant, nil)
						req.Header.Set("X-Tenant", tenant)
						res, err := s.client.Do(req)
						if err != nil {
							t.Fatal(err)
						}
						_ = res.Body.Close()
					}
					label, route := tenant, f.pattern("/users/:id")
					switch promise {
					case "method":
						label = "GET" + tenant[1:]
					case "Route":
						route = "/users/" + tenant
					}
					want = append(want, "code=200 method=GET route="+route+" tenant="+label)
				}
				s.client.CloseIdleConnections()
				s.stop()
				total, series := s.total()
				slices.Sort(series)
				slices.Sort(want)
				if total != tenants*each || !slices.Equal(series, want) {
					t.Errorf("%v requests in\n%s\nwant\n%s", total, strings.Join(series, "\n"), strings.Join(want, "\n"))
				}
			})
		})
	}
}

func TestFast_LabelFromInsideReachesTheRequest(t *testing.T) {
	for promise, set := range map[string]func(f fast, ctx *fasthttp.RequestCtx){
		"by the adapter's SetLabel": func(f fast, ctx *fasthttp.RequestCtx) { f.setLabel(ctx, "tenant", "acme") },
		"by the RequestCtx":         func(_ fast, ctx *fasthttp.RequestCtx) { httpmetrics.SetLabel(ctx, "tenant", "acme") },
		"from a buffer that changes": func(f fast, ctx *fasthttp.RequestCtx) {
			buffer := []byte("acme")
			f.setLabel(ctx, "tenant", unsafeString(buffer))
			copy(buffer, "****")
		},
		"the last counts": func(f fast, ctx *fasthttp.RequestCtx) {
			f.setLabel(ctx, "tenant", "other")
			f.setLabel(ctx, "tenant", "acme")
			f.setLabel(ctx, "no such", "x")
		},
	} {
		t.Run(strings.ReplaceAll(promise, " ", "_"), func(t *testing.T) {
			forEachFast(t, func(t *testing.T, f fast) {
				opts := shoalfasthttp.Opts{Labels: []shoalfasthttp.Label{{Name: "tenant"}}}
				s := newFastSite(t, f, opts, fastRoute{"GET", "/", func(ctx *fasthttp.RequestCtx) { set(f, ctx) }})
				s.do("GET", "/", nil)
				s.finish()
				if _, series := s.total(); len(series) != 1 || !strings.HasSuffix(series[0], "tenant=acme") {
					t.Errorf("the series are %q", series)
				}
			})
		})
	}
}

func TestFast_OptionsHoldAsForNetHTTP(t *testing.T) {
	panics := func(*fasthttp.RequestCtx) string { panic("boom") }
	for promise, tt := range map[string]struct {
		opts shoalfasthttp.Opts
		want string // the one series, empty for none
	}{
		"StatusClasses":       {shoalfasthttp.Opts{StatusClasses: true}, "code=2xx method=GET route=/users/:id"},
		"SkipRoutes":          {shoalfasthttp.Opts{SkipRoutes: []string{"/users/:id", "/users/{id}"}}, ""},
		"Skip":                {shoalfasthttp.Opts{Skip: func(*fasthttp.RequestCtx) bool { return true }}, ""},
		"Skip of others":      {shoalfasthttp.Opts{Skip: func(ctx *fasthttp.RequestCtx) bool { return string(ctx.Path()) == "/x" }}, "code=200 method=GET route=/users/:id"},
		"Skip that panics":    {shoalfasthttp.Opts{Skip: func(*fasthttp.RequestCtx) bool { panic("boom") }}, "code=200 method=GET route=/users/:id"},
		"Route":               {shoalfasthttp.Opts{Route: func(*fasthttp.RequestCtx) string { return "mine" }}, "code=200 method=GET route=mine"},
		"Label that panics":   {shoalfasthttp.Opts{Labels: []shoalfasthttp.Label{{Name: "l", Value: panics}}}, "code=200 l=panic method=GET route=/users/:id"},
		"Label, never set":    {shoalfasthttp.Opts{Labels: []shoalfasthttp.Label{{Name: "l"}}}, "code=200 method=GET route=/users/:id"},
		"Label from the path": {shoalfasthttp.Opts{Labels: []shoalfasthttp.Label{{Name: "l", Value: func(ctx *fasthttp.RequestCtx) string { return unsafeString(ctx.Path()) }}}}, "code=200 l=/users/7 method=GET route=/users/:id"},
	} {
		t.Run(strings.ReplaceAll(promise, " ", "_"), func(t *testing.T) {
			forEachFast(t, func(t *testing.T, f fast) {
				s := newFastSite(t, f, tt.opts, fastRoute{"GET", "/users/:id", says("ok")})
				if status, _ := s.do("GET", "/users/7", nil); status != 200 {
					t.Errorf("the client got %d", status)
				}
				s.finish()
				want := f.pattern(tt.want)
				if _, series := s.total(); strings.Join(series, "\n") != want {
					t.Errorf("the series are %q, want %q", series, want)
				}
				if tt.want == "" && promise == "Skip" && shoaltest.Exists(t, s.reg, "http_requests_in_flight", "gauge_index", "0") {
					t.Error("a request that was skipped was in flight")
				}
			})
		})
	}
}

func TestFast_InFlightIsCountedByTheChosenLabel(t *testing.T) {
	forEachFast(t, func(t *testing.T, f fast) {
		entered, release := make(chan struct{}), make(chan struct{})
		opts := shoalfasthttp.Opts{InFlightLabel: shoalfasthttp.Label{Name: "kind", Value: func(ctx *fasthttp.RequestCtx) string {
			return unsafeString(ctx.QueryArgs().Peek("kind"))
		}}}
		s := newFastSite(t, f, opts, fastRoute{"GET", "/", func(*fasthttp.RequestCtx) { close(entered); <-release }})
		done := make(chan struct{})
		go func() { defer close(done); s.do("GET", "/?kind=slow", nil) }()
		<-entered
		labels := []string{"gauge_index", "0", "kind", "slow"}
		if got := shoaltest.Value(t, s.reg, "http_requests_in_flight", labels...); got != 1 {
			t.Errorf("%v in flight, want 1", got)
		}
		close(release)
		<-done
		s.stop()
		if got := shoaltest.Value(t, s.reg, "http_requests_in_flight", labels...); got != 0 {
			t.Errorf("%v in flight, want 0", got)
		}
	})
}
