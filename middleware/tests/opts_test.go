// SPDX-License-Identifier: Apache-2.0

package tests

import (
	"bufio"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/go-chi/chi/v5"
	"github.com/labstack/echo/v4"
	"github.com/shoal-metrics/shoal/core/httpmetrics"
	"github.com/shoal-metrics/shoal/core/shoaltest"
)

// serversWriter takes off what the frameworks themselves put around the
// server's ResponseWriter, and nothing else.
func serversWriter(f framework, w http.ResponseWriter) http.ResponseWriter {
	switch f.name {
	case "gin":
		return w.(interface{ Unwrap() http.ResponseWriter }).Unwrap()
	case "echo":
		return w.(*echo.Response).Writer
	case "echov5":
		return echoV5sWriter(w)
	}
	return w
}

func TestSkip_LeavesTheRequestAndItsWriterAlone(t *testing.T) {
	for promise, tt := range map[string]struct {
		skip func(*http.Request) bool
		left bool
	}{
		"skipped":     {func(r *http.Request) bool { return r.URL.Path == "/live" }, true},
		"not skipped": {func(r *http.Request) bool { return r.URL.Path == "/other" }, false},
		"no Skip":     {nil, false},
		"panics":      {func(*http.Request) bool { panic("boom") }, false},
	} {
		t.Run(strings.ReplaceAll(promise, " ", "_"), func(t *testing.T) {
			forEach(t, func(t *testing.T, f framework) {
				reg := shoaltest.New(t)
				var handlers http.ResponseWriter
				inFlight := 0.0
				app := f.build(reg, httpmetrics.Opts{Skip: tt.skip}, []route{{"GET", "/live", func(w http.ResponseWriter, _ *http.Request) {
					handlers = serversWriter(f, w)
					if gauge := []string{"gauge_index", "0"}; shoaltest.Exists(t, reg, "http_requests_in_flight", gauge...) {
						inFlight = shoaltest.Value(t, reg, "http_requests_in_flight", gauge...)
					}
					w.WriteHeader(http.StatusAccepted)
				}}})
				servers := httptest.NewRecorder()
				app.ServeHTTP(servers, httptest.NewRequest("GET", "/live", nil))
				if servers.Code != http.StatusAccepted {
					t.Errorf("the client got %d", servers.Code)
				}
				if same := handlers == http.ResponseWriter(servers); same != tt.left {
					t.Errorf("the handler had the server's writer: %v, want %v", same, tt.left)
				}
				want := 1.0
				if tt.left {
					want = 0
				}
				if inFlight != want {
					t.Errorf("%v in flight, want %v", inFlight, want)
				}
				recorded := shoaltest.Exists(t, reg, "http_requests_total", "method", "GET", "route", "/live", "code", "202")
				if recorded == tt.left {
					t.Errorf("recorded: %v", recorded)
				}
			})
		})
	}
}

func TestSkip_HandlersPanicAndErrorGoTheirOwnWay(t *testing.T) {
	forEach(t, func(t *testing.T, f framework) {
		opts := httpmetrics.Opts{Skip: func(*http.Request) bool { return true }}
		s := newSite(t, f, opts, route{"GET", "/boom", func(http.ResponseWriter, *http.Request) { panicHere() }})
		var logged strings.Builder
		s.server.Config.ErrorLog.SetOutput(&logged)
		s.do("GET", "/boom", nil)
		if status, _ := s.do("GET", "/nothing", nil); status != http.StatusNotFound {
			t.Errorf("an unknown path is %d", status)
		}
		s.finish()
		if !strings.Contains(logged.String(), "panicHere") {
			t.Errorf("the server's log does not show where the panic came from:\n%s", logged.String())
		}
		if n, series := s.total(); n != 0 || shoaltest.Exists(t, s.reg, "http_requests_in_flight", "gauge_index", "0") {
			t.Errorf("recorded %v: %v, or something was in flight", n, series)
		}
	})
}

// A limit of a body keeps its meaning behind the middleware. What it does to the
// connection is between http.MaxBytesReader and net/http's own writer: Skip
// restores that where the framework does not stand in between.
func TestMaxBytesReader_LimitsTheBodyAndIsRecorded(t *testing.T) {
	for promise, tt := range map[string]struct {
		skip   bool
		closes []string // frameworks whose connection is closed at once
	}{
		"recorded": {false, nil},
		"skipped":  {true, []string{"nethttp", "chi"}},
	} {
		t.Run(promise, func(t *testing.T) {
			forEach(t, func(t *testing.T, f framework) {
				opts := httpmetrics.Opts{Skip: func(*http.Request) bool { return tt.skip }}
				s := newSite(t, f, opts, route{"POST", "/body", func(w http.ResponseWriter, r *http.Request) {
					_, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 10))
					if !errors.As(err, new(*http.MaxBytesError)) {
						t.Errorf("the limit gives %v", err)
					}
					http.Error(w, "too large", http.StatusRequestEntityTooLarge)
				}})
				s.client.Transport = &http.Transport{}
				defer s.client.CloseIdleConnections()
				res, err := s.client.Post(s.server.URL+"/body", "text/plain", strings.NewReader(strings.Repeat("x", 1000)))
				if err != nil {
					t.Fatal(err)
				}
				_, _ = io.Copy(io.Discard, res.Body)
				_ = res.Body.Close()
				closes := strings.Contains(strings.Join(tt.closes, " "), f.name)
				if res.StatusCode != http.StatusRequestEntityTooLarge || res.Close != closes {
					t.Errorf("the client got %d, the connection closes: %v", res.StatusCode, res.Close)
				}
				s.finish()
				if !tt.skip {
					s.wantOnly("POST", "/body", "413")
				}
			})
		})
	}
}

func TestMethods_OfTheRouterAreRecordedByName(t *testing.T) {
	chi.RegisterMethod("PROPFIND")
	for method, tt := range map[string]struct {
		further []string
		want    string
	}{
		"QUERY":    {nil, "QUERY"},
		"PROPFIND": {[]string{"PROPFIND"}, "PROPFIND"},
		"PATCH":    {[]string{"PROPFIND"}, "PATCH"},
	} {
		t.Run(method, func(t *testing.T) {
			forEach(t, func(t *testing.T, f framework) {
				s := newSite(t, f, httpmetrics.Opts{Methods: tt.further}, route{method, "/users/{id}", text("ok")})
				if status, body := s.do(method, "/users/7", nil); status != 200 || body != "ok" {
					t.Errorf("the client got %d %q", status, body)
				}
				s.finish()
				s.wantOnly(tt.want, f.pattern("/users/{id}"), "200")
			})
		})
	}
	t.Run("not named", func(t *testing.T) {
		forEach(t, func(t *testing.T, f framework) {
			s := newSite(t, f, httpmetrics.Opts{}, route{"PROPFIND", "/users/{id}", text("ok")})
			s.do("PROPFIND", "/users/7", nil)
			s.finish()
			s.wantOnly("other", f.pattern("/users/{id}"), "200")
		})
	})
}

func TestStreams_AreRecordedWhenTheyBegin(t *testing.T) {
	for contentType, want := range map[string]float64{
		"text/event-stream":                         1,
		"application/x-ndjson":                      1,
		"application/grpc+proto":                    1,
		"application/connect+json":                  1,
		"multipart/x-mixed-replace; boundary=frame": 1,
		"application/x-ticks":                       1, // by Opts.Stream
		"application/json":                          0,
	} {
		t.Run(strings.ReplaceAll(contentType, "/", "_"), func(t *testing.T) {
			forEach(t, func(t *testing.T, f framework) {
				opts := httpmetrics.Opts{ResponseSize: true, Stream: func(r *http.Request, contentType string) bool {
					return r.URL.Path == "/live" && contentType == "application/x-ticks"
				}}
				seen := make(chan struct{})
				s := newSite(t, f, opts, route{"GET", "/live", func(w http.ResponseWriter, _ *http.Request) {
					w.Header().Set("Content-Type", contentType)
					_, _ = io.WriteString(w, "1\n")
					if err := http.NewResponseController(w).Flush(); err != nil {
						t.Errorf("flush: %v", err)
					}
					<-seen
				}})
				res, err := s.client.Get(s.server.URL + "/live")
				if err != nil {
					t.Fatal(err)
				}
				if line, err := bufio.NewReader(res.Body).ReadString('\n'); line != "1\n" {
					t.Errorf("got %q, %v", line, err)
				}
				if got := s.count("GET", "/live", "200"); got != want {
					t.Errorf("%v recorded while it runs, want %v", got, want)
				}
				if got := s.inFlight(); got != 1 {
					t.Errorf("%v in flight while it runs, want 1", got)
				}
				close(seen)
				_ = res.Body.Close()
				s.finish()
				s.wantOnly("GET", "/live", "200")
				labels := []string{"method", "GET", "route", "/live", "code", "200"}
				if got := shoaltest.Value(t, s.reg, "http_response_size_bytes", labels...); got != 1-want {
					t.Errorf("%v sizes observed, want %v", got, 1-want)
				}
			})
		})
	}
}
