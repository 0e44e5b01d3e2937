// SPDX-License-Identifier: Apache-2.0

package tests

import (
	"io"
	"net/http"
	"runtime"
	"strings"
	"testing"

	"github.com/shoal-metrics/shoal/core/httpmetrics"
)

func text(body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, body) }
}

// TestRequestIsRecordedOnceAs is the table of what one request leaves behind.
func TestRequestIsRecordedOnceAs(t *testing.T) {
	tests := []struct {
		promise       string
		routeMethod   string // GET if empty
		handler       http.HandlerFunc
		method, path  string // "GET" and "/users/7" if empty
		wantMethod    string // method if empty
		wantRoute     string // in net/http's spelling; /users/{id} if empty
		wantCode      string
		wantOnTheWire int // 0 if the connection breaks
	}{
		{promise: "route is the pattern, not the path",
			handler: text("ok"), wantCode: "200", wantOnTheWire: 200},
		{promise: "query is no part of the route",
			handler: text("ok"), path: "/users/7?page=9", wantCode: "200", wantOnTheWire: 200},
		{promise: "not found is unmatched",
			handler: text("ok"), path: "/nothing/here", wantRoute: "unmatched", wantCode: "404", wantOnTheWire: 404},
		{promise: "method not allowed is unmatched",
			handler: text("ok"), method: "DELETE", wantRoute: "unmatched", wantCode: "405", wantOnTheWire: 405},
		{promise: "method of a client's invention is other",
			handler: text("ok"), method: "BREW", path: "/pot", wantMethod: "other", wantRoute: "unmatched", wantCode: "404", wantOnTheWire: 404},
		{promise: "nothing written is 200",
			handler: func(http.ResponseWriter, *http.Request) {}, wantCode: "200", wantOnTheWire: 200},
		{promise: "status of the handler is kept",
			handler: func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusTeapot) }, wantCode: "418", wantOnTheWire: 418},
		{promise: "status without a body is kept",
			handler: func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }, wantCode: "204", wantOnTheWire: 204},
		{promise: "first status counts, not a second",
			handler: func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(http.StatusCreated)
				_, _ = io.WriteString(w, "made")
				w.WriteHeader(http.StatusInternalServerError)
			}, wantCode: "201", wantOnTheWire: 201},
		{promise: "early hints are no answer",
			handler: func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(http.StatusEarlyHints)
				_, _ = io.WriteString(w, "answer")
			}, wantCode: "200", wantOnTheWire: 200},
		{promise: "panic is 500",
			handler: func(http.ResponseWriter, *http.Request) { panic("boom") }, wantCode: "500"},
		{promise: "panic after a status is that status",
			handler: func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(http.StatusAccepted)
				_, _ = io.WriteString(w, "so far")
				panic("boom")
			}, wantCode: "202"},
		{promise: "abort is 500",
			handler: func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, wantCode: "500"},
		{promise: "ended goroutine is 500",
			handler: func(http.ResponseWriter, *http.Request) { runtime.Goexit() }, wantCode: "500"},
		{promise: "HEAD is HEAD", routeMethod: "HEAD", method: "HEAD",
			handler: text("ok"), wantCode: "200", wantOnTheWire: 200},
		{promise: "redirect of the handler is its status",
			handler: func(w http.ResponseWriter, r *http.Request) {
				http.Redirect(w, r, "/elsewhere", http.StatusSeeOther)
			}, wantCode: "303", wantOnTheWire: 303},
	}
	for _, tt := range tests {
		t.Run(strings.ReplaceAll(tt.promise, " ", "_"), func(t *testing.T) {
			forEach(t, func(t *testing.T, f framework) {
				or := func(s, standard string) string {
					if s == "" {
						return standard
					}
					return s
				}
				tt := tt // one framework's exception is not the next one's
				if f.name == "chi" && tt.method == "BREW" {
					// chi answers 405 to what it does not take for a method.
					tt.wantCode, tt.wantOnTheWire = "405", 405
				}
				s := newSite(t, f, httpmetrics.Opts{}, route{or(tt.routeMethod, "GET"), "/users/{id}", tt.handler})
				method := or(tt.method, "GET")
				status, body := s.do(method, or(tt.path, "/users/7"), nil)
				s.finish()
				if tt.wantOnTheWire != 0 && status != tt.wantOnTheWire {
					t.Errorf("the client got %d (%s), want %d", status, body, tt.wantOnTheWire)
				}
				s.wantOnly(or(tt.wantMethod, method), f.pattern(or(tt.wantRoute, "/users/{id}")), tt.wantCode)
			})
		})
	}
}

func TestHandlersPanicReachesTheServerWithItsOwnStack(t *testing.T) {
	forEach(t, func(t *testing.T, f framework) {
		s := newSite(t, f, httpmetrics.Opts{}, route{"GET", "/", func(http.ResponseWriter, *http.Request) { panicHere() }})
		var logged strings.Builder
		s.server.Config.ErrorLog.SetOutput(&logged)
		s.do("GET", "/", nil)
		s.finish()
		if !strings.Contains(logged.String(), "panicHere") {
			t.Errorf("the server's log does not show where the panic came from:\n%s", logged.String())
		}
	})
}

//go:noinline
func panicHere() { panic("here") }

func TestPageIsServedAndNotRecorded(t *testing.T) {
	forEach(t, func(t *testing.T, f framework) {
		s := newSite(t, f, httpmetrics.Opts{}, route{"GET", "/users/{id}", text("ok")})
		s.do("GET", "/users/7", nil)
		status, page := s.do("GET", "/metrics", nil)
		if status != 200 || !strings.Contains(page, "http_requests_total{") {
			t.Errorf("the page is %d:\n%s", status, page)
		}
		if !strings.Contains(page, `http_requests_in_flight{gauge_index="0"} 0`) {
			t.Errorf("the page counts itself as in flight:\n%s", page)
		}
		if status, body := s.do("HEAD", "/metrics", nil); status != 200 || body != "" {
			t.Errorf("HEAD of the page is %d %q", status, body)
		}
		s.finish()
		s.wantOnly("GET", f.pattern("/users/{id}"), "200")
	})
}

func TestPageIsWhereMetricsPathSays(t *testing.T) {
	forEach(t, func(t *testing.T, f framework) {
		s := newSite(t, f, httpmetrics.Opts{MetricsPath: "/-/metrics"}, route{"GET", "/", text("ok")})
		if status, page := s.do("GET", "/-/metrics", nil); status != 200 || !strings.Contains(page, "# TYPE") {
			t.Errorf("the page is %d:\n%s", status, page)
		}
		s.finish()
		if n, series := s.total(); n != 0 {
			t.Errorf("recorded %v: %v", n, series)
		}
	})
}

func TestLabelFromTheRequest(t *testing.T) {
	forEach(t, func(t *testing.T, f framework) {
		opts := httpmetrics.Opts{Labels: []httpmetrics.Label{{Name: "version", Value: func(r *http.Request) string {
			return r.URL.Query().Get("v")
		}}}}
		s := newSite(t, f, opts, route{"GET", "/", text("ok")})
		s.do("GET", "/?v=2", nil)
		s.do("GET", "/?v=\xff", nil) // not UTF-8: repaired by the core
		s.finish()
		_, series := s.total()
		all := strings.Join(series, "\n")
		if len(series) != 2 || !strings.Contains(all, "version=2") || !strings.Contains(all, "version=\uFFFD") {
			t.Errorf("the series are\n%s", all)
		}
	})
}
