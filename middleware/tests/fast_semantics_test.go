// SPDX-License-Identifier: Apache-2.0

package tests

import (
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/shoal-metrics/shoal/core/shoaltest"
	shoalfasthttp "github.com/shoal-metrics/shoal/middleware/fasthttp"
	"github.com/valyala/fasthttp"
)

func says(body string) fasthttp.RequestHandler {
	return func(ctx *fasthttp.RequestCtx) { ctx.SetBodyString(body) }
}

// TestFast_RequestIsRecordedOnceAs is the table of TestRequestIsRecordedOnceAs for
// frameworks on fasthttp.
func TestFast_RequestIsRecordedOnceAs(t *testing.T) {
	tests := []struct {
		promise       string
		handler       fasthttp.RequestHandler
		method, path  string // "GET" and "/users/7" if empty
		wantRoute     string // /users/:id if empty
		wantCode      string
		wantOnTheWire int
	}{
		{promise: "route is the pattern, not the path",
			handler: says("ok"), wantCode: "200", wantOnTheWire: 200},
		{promise: "query is no part of the route",
			handler: says("ok"), path: "/users/7?page=9", wantCode: "200", wantOnTheWire: 200},
		{promise: "not found is unmatched",
			handler: says("ok"), path: "/nothing/here", wantRoute: "unmatched", wantCode: "404", wantOnTheWire: 404},
		{promise: "method not allowed is unmatched",
			handler: says("ok"), method: "DELETE", wantRoute: "unmatched", wantCode: "405", wantOnTheWire: 405},
		{promise: "nothing written is 200",
			handler: func(*fasthttp.RequestCtx) {}, wantCode: "200", wantOnTheWire: 200},
		{promise: "status of the handler is kept",
			handler: func(ctx *fasthttp.RequestCtx) { ctx.Error("no", 418) }, wantCode: "418", wantOnTheWire: 418},
		{promise: "status without a body is kept",
			handler: func(ctx *fasthttp.RequestCtx) { ctx.SetStatusCode(204) }, wantCode: "204", wantOnTheWire: 204},
		{promise: "last status counts, since none is sent before the handler returns",
			handler: func(ctx *fasthttp.RequestCtx) {
				ctx.SetStatusCode(201)
				ctx.SetBodyString("made")
				ctx.SetStatusCode(503)
			}, wantCode: "503", wantOnTheWire: 503},
		{promise: "early hints are no answer",
			handler: func(ctx *fasthttp.RequestCtx) {
				ctx.Response.Header.Set("Link", "</a.css>; rel=preload")
				_ = ctx.EarlyHints()
				ctx.SetBodyString("answer")
			}, wantCode: "200", wantOnTheWire: 200},
		{promise: "panic is 500",
			handler: func(*fasthttp.RequestCtx) { panic("boom") }, wantCode: "500", wantOnTheWire: 500},
		{promise: "panic after a status is 500, since none was sent",
			handler: func(ctx *fasthttp.RequestCtx) {
				ctx.SetStatusCode(202)
				ctx.SetBodyString("so far")
				panic("boom")
			}, wantCode: "500", wantOnTheWire: 500},
		{promise: "redirect of the handler is its status",
			handler: func(ctx *fasthttp.RequestCtx) { ctx.Redirect("/elsewhere", 303) }, wantCode: "303", wantOnTheWire: 303},
		{promise: "answer of a time-out is what was sent",
			handler: func(ctx *fasthttp.RequestCtx) {
				ctx.TimeoutErrorWithCode("too late", 504)
				ctx.Response.SetStatusCode(202) // the server ignores it
			}, wantCode: "504", wantOnTheWire: 504},
	}
	for _, tt := range tests {
		for _, where := range []recovery{recoveredOutside, recoveredInside} {
			t.Run(strings.ReplaceAll(tt.promise, " ", "_")+"/recovery_"+string(where), func(t *testing.T) {
				forEachFast(t, func(t *testing.T, f fast) {
					or := func(s, standard string) string {
						if s == "" {
							return standard
						}
						return s
					}
					reg := shoaltest.New(t)
					s := fastSiteOf(t, reg, f.build(reg, shoalfasthttp.Opts{}, where, []fastRoute{{"GET", "/users/:id", tt.handler}}))
					method := or(tt.method, "GET")
					status, body := s.do(method, or(tt.path, "/users/7"), nil)
					s.finish()
					if status != tt.wantOnTheWire {
						t.Errorf("the client got %d (%s), want %d", status, body, tt.wantOnTheWire)
					}
					s.wantOnly(method, f.pattern(or(tt.wantRoute, "/users/:id")), tt.wantCode)
				})
			})
		}
	}
}

func TestFast_PanicGoesOn(t *testing.T) {
	forEachFast(t, func(t *testing.T, f fast) {
		reg := shoaltest.New(t)
		app := f.build(reg, shoalfasthttp.Opts{}, recoveredOutside, []fastRoute{{"GET", "/", func(*fasthttp.RequestCtx) { panicHere() }}})
		s := fastSiteOf(t, reg, app)
		if status, body := s.do("GET", "/", nil); status != 500 {
			t.Errorf("what recovers outside answered %d %q", status, body)
		}
	})
}

func TestFast_SizesAreThoseOfWhatWasSent(t *testing.T) {
	const large = 100_000
	for promise, tt := range map[string]struct {
		handler fasthttp.RequestHandler
		method  string
		code    string
		want    float64 // -1 for none observed
	}{
		"body":                    {says("12345"), "GET", "200", 5},
		"body that is not copied": {func(ctx *fasthttp.RequestCtx) { ctx.Response.SetBodyRaw([]byte("12345")) }, "GET", "200", 5},
		"stream of known length": {func(ctx *fasthttp.RequestCtx) {
			ctx.SetBodyStream(strings.NewReader(strings.Repeat("x", large)), large)
		}, "GET", "200", large},
		"stream of unknown length": {func(ctx *fasthttp.RequestCtx) {
			ctx.SetBodyStream(strings.NewReader(strings.Repeat("x", large)), -1)
		}, "GET", "200", -1},
		"file":                     {func(ctx *fasthttp.RequestCtx) { ctx.SendFile("doc.go") }, "GET", "200", fileSize},
		"nothing is 0, not -1":     {func(*fasthttp.RequestCtx) {}, "GET", "200", 0},
		"HEAD has no body":         {says("12345"), "HEAD", "200", 0},
		"HEAD of a stream":         {func(ctx *fasthttp.RequestCtx) { ctx.SetBodyStream(strings.NewReader("123"), 3) }, "HEAD", "200", 0},
		"HEAD of a file":           {func(ctx *fasthttp.RequestCtx) { ctx.SendFile("doc.go") }, "HEAD", "200", 0},
		"no content has no body":   {func(ctx *fasthttp.RequestCtx) { ctx.SetStatusCode(204); ctx.SetBodyString("ignored") }, "GET", "204", 0},
		"not modified has neither": {func(ctx *fasthttp.RequestCtx) { ctx.SetBodyString("ignored"); ctx.SetStatusCode(304) }, "GET", "304", 0},
		"compressed":               {fasthttp.CompressHandlerLevel(says(strings.Repeat("x", large)), fasthttp.CompressBestSpeed), "GET", "200", gzipped},
	} {
		t.Run(strings.ReplaceAll(promise, " ", "_"), func(t *testing.T) {
			forEachFast(t, func(t *testing.T, f fast) {
				var routes []fastRoute
				for _, method := range []string{"GET", "HEAD"} {
					routes = append(routes, fastRoute{method, "/body", tt.handler})
				}
				s := newFastSite(t, f, shoalfasthttp.Opts{ResponseSize: true}, routes...)
				s.client.Transport = &http.Transport{DisableKeepAlives: true, DisableCompression: tt.want != gzipped}
				status, body := s.do(tt.method, "/body", nil)
				s.finish()
				s.wantOnly(tt.method, "/body", tt.code)
				labels := []string{"method", tt.method, "route", "/body", "code", tt.code}
				count := shoaltest.Value(t, s.reg, "http_response_size_bytes", labels...)
				sum := shoaltest.Sum(t, s.reg, "http_response_size_bytes", labels...)
				switch want := tt.want; {
				case want == -1 && count != 0:
					t.Errorf("%v sizes of %v bytes, want none", count, sum)
				case want == gzipped && (count != 1 || sum == 0 || sum >= large):
					t.Errorf("%v sizes of %v bytes, want 1 of what was compressed", count, sum)
				case want >= 0 && (count != 1 || sum != want):
					t.Errorf("%v sizes of %v bytes, want 1 of %v; the client got %d and %d bytes", count, sum, want, status, len(body))
				}
			})
		})
	}
}

// gzipped stands for a size that depends on the compression.
const gzipped = -2

// fileSize is the size of doc.go.
var fileSize = func() float64 {
	info, err := os.Stat("doc.go")
	if err != nil {
		panic(err)
	}
	return float64(info.Size())
}()

func TestFast_RequestSizeOfUnknownLengthIsNotObserved(t *testing.T) {
	forEachFast(t, func(t *testing.T, f fast) {
		s := newFastSite(t, f, shoalfasthttp.Opts{RequestSize: true}, fastRoute{"POST", "/body", says("ok")}, fastRoute{"GET", "/body", says("ok")})
		s.do("POST", "/body", strings.NewReader("123"))
		s.do("POST", "/body", struct{ io.Reader }{strings.NewReader("123456")}) // sent in chunks
		s.do("GET", "/body", nil)
		s.finish()
		for method, want := range map[string][2]float64{"POST": {1, 3}, "GET": {1, 0}} {
			labels := []string{"method", method, "route", "/body", "code", "200"}
			count := shoaltest.Value(t, s.reg, "http_request_size_bytes", labels...)
			if sum := shoaltest.Sum(t, s.reg, "http_request_size_bytes", labels...); count != want[0] || sum != want[1] {
				t.Errorf("%s: %v sizes of %v bytes, want %v", method, count, sum, want)
			}
		}
	})
}

func TestFast_DurationAndInFlightAreThoseOfTheHandler(t *testing.T) {
	forEachFast(t, func(t *testing.T, f fast) {
		entered, release := make(chan struct{}), make(chan struct{})
		s := newFastSite(t, f, shoalfasthttp.Opts{}, fastRoute{"GET", "/slow", func(*fasthttp.RequestCtx) {
			close(entered)
			<-release
		}})
		done := make(chan struct{})
		begin := time.Now()
		go func() {
			defer close(done)
			s.do("GET", "/slow", nil)
		}()
		<-entered
		held := time.Now()
		if got := s.inFlight(); got != 1 {
			t.Errorf("%v in flight, want 1", got)
		}
		atLeast := time.Since(held)
		close(release)
		<-done
		s.finish()
		s.wantOnly("GET", "/slow", "200")
		sum := shoaltest.Sum(t, s.reg, "http_request_duration_seconds", "method", "GET", "route", "/slow", "code", "200")
		if most := time.Since(begin).Seconds(); sum < atLeast.Seconds() || sum > most {
			t.Errorf("it took %v s, want %v to %v", sum, atLeast, most)
		}
	})
}
