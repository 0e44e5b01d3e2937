// SPDX-License-Identifier: Apache-2.0

package tests

import (
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	shoal "github.com/shoal-metrics/shoal/core"
	"github.com/shoal-metrics/shoal/core/httpmetrics"
	"github.com/shoal-metrics/shoal/core/shoaltest"
)

// leave sends a request to a path and goes away when the handler has it.
func (s *site) leave(path string, entered <-chan struct{}) {
	s.t.Helper()
	ctx, cancel := context.WithCancel(s.t.Context())
	failed := make(chan error, 1)
	go func() {
		req, _ := http.NewRequestWithContext(ctx, "GET", s.server.URL+path, nil)
		res, err := s.client.Do(req)
		if err == nil {
			_ = res.Body.Close()
		}
		failed <- err
	}()
	<-entered
	cancel()
	if err := <-failed; !errors.Is(err, context.Canceled) {
		s.t.Errorf("the client got %v", err)
	}
}

func TestClientGone_NothingOrA5xxToNobodyIs499(t *testing.T) {
	for name, tt := range map[string]struct {
		handler http.HandlerFunc
		want    int
	}{
		"nothing": {func(http.ResponseWriter, *http.Request) {}, 499},
		"502":     {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) }, 499},
		"503 with a body": {func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, "cancelled", http.StatusServiceUnavailable)
		}, 499},
		"a stream of errors": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			http.Error(w, "cancelled", http.StatusInternalServerError)
		}, 499},
		// On any other status the handler decided without looking at the client.
		"404": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotFound) }, 404},
		"200": {text("ok"), 200},
	} {
		t.Run(strings.ReplaceAll(name, " ", "_"), func(t *testing.T) {
			forEach(t, func(t *testing.T, f framework) {
				entered := make(chan struct{})
				s := newSite(t, f, httpmetrics.Opts{ResponseSize: true}, route{"GET", "/slow", func(w http.ResponseWriter, r *http.Request) {
					close(entered)
					<-r.Context().Done()
					tt.handler(w, r)
				}})
				s.leave("/slow", entered)
				s.finish()
				s.wantOnly("GET", "/slow", strconv.Itoa(tt.want))
				if tt.want == 499 {
					s.wantSize("GET", "/slow", "499", 0)
				}
			})
		})
	}
}

func TestClientGone_WhatAProxyAnswersToNobodyIs499(t *testing.T) {
	forEach(t, func(t *testing.T, f framework) {
		entered := make(chan struct{})
		behind := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			close(entered)
			<-r.Context().Done()
		}))
		defer behind.Close()
		s := newSite(t, f, httpmetrics.Opts{}, route{"GET", "/slow", proxyTo(t, behind.URL)})
		s.leave("/slow", entered)
		s.finish()
		s.wantOnly("GET", "/slow", "499")
	})
}

func TestClientGone_AProxysAnswerThatHadBegunKeepsItsStatus(t *testing.T) {
	forEach(t, func(t *testing.T, f framework) {
		behind := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusAccepted)
			_, _ = io.WriteString(w, "begun")
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		}))
		defer behind.Close()
		s := newSite(t, f, httpmetrics.Opts{}, route{"GET", "/slow", proxyTo(t, behind.URL)})
		s.leaveWithHeader("/slow")
		s.finish()
		s.wantOnly("GET", "/slow", "202")
	})
}

// The client leaves when it has its status.
func TestClientGone_AStatusThatTheClientGotIsKept(t *testing.T) {
	for _, status := range []int{http.StatusAccepted, http.StatusInternalServerError} {
		t.Run(strconv.Itoa(status), func(t *testing.T) {
			forEach(t, func(t *testing.T, f framework) {
				s := newSite(t, f, httpmetrics.Opts{}, route{"GET", "/slow", func(w http.ResponseWriter, r *http.Request) {
					http.Error(w, "begun", status)
					_ = http.NewResponseController(w).Flush()
					<-r.Context().Done()
				}})
				s.leaveWithHeader("/slow")
				s.finish()
				s.wantOnly("GET", "/slow", strconv.Itoa(status))
			})
		})
	}
}

func TestClientGone_BehindATimeoutHandler(t *testing.T) {
	forEach(t, func(t *testing.T, f framework) {
		entered, ended := make(chan struct{}), make(chan struct{})
		s := newSiteBehind(t, f, httpmetrics.Opts{}, func(app http.Handler) http.Handler {
			return http.TimeoutHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				defer close(ended)
				app.ServeHTTP(w, r)
			}), time.Hour, "")
		}, route{"GET", "/slow", func(w http.ResponseWriter, r *http.Request) {
			close(entered)
			<-r.Context().Done()
			w.WriteHeader(http.StatusCreated) // which http.TimeoutHandler drops
		}})
		s.leave("/slow", entered)
		<-ended
		s.finish()
		s.wantOnly("GET", "/slow", "499")
	})
}

// leaveWithHeader asks for path and leaves when the header of the answer is there.
func (s *site) leaveWithHeader(path string) {
	s.t.Helper()
	res, err := s.client.Get(s.server.URL + path)
	if err != nil {
		s.t.Fatal(err)
	}
	_ = res.Body.Close()
}

func proxyTo(t *testing.T, target string) http.HandlerFunc {
	u, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(u)
	proxy.Transport = &http.Transport{DisableKeepAlives: true}
	proxy.ErrorLog = log.New(io.Discard, "", 0)
	return proxy.ServeHTTP
}

// drained serves an application whose requests all have a base context, begins a
// request, ends the server, and returns what the client got. serve gets cancelBase, which
// ends the base context.
func drained(t *testing.T, f framework, h http.HandlerFunc,
	serve func(s *http.Server, l net.Listener, reg *shoal.Registry, cancelBase func(), entered <-chan struct{}) error,
) (status int, watcher *shoal.Registry) {
	t.Helper()
	reg, watcher := watched(t)
	base, cancelBase := context.WithCancel(t.Context())
	defer cancelBase()
	entered := make(chan struct{})
	s := httpmetrics.NewServer("", f.build(reg, httpmetrics.Opts{}, []route{{"GET", "/slow", func(w http.ResponseWriter, r *http.Request) {
		close(entered)
		<-r.Context().Done()
		h(w, r)
	}}}))
	s.BaseContext = func(net.Listener) context.Context { return base }
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.Addr = l.Addr().String()
	got := make(chan int, 1)
	go func() {
		status, _ := askWhenUp("http://" + s.Addr + "/slow")
		got <- status
	}()
	if err := serve(s, l, reg, cancelBase, entered); err != nil {
		t.Errorf("the server: %v", err)
	}
	return <-got, watcher
}

// ends are the ways to end a server whose requests then see their base context end.
var ends = map[string]func(s *http.Server, l net.Listener, reg *shoal.Registry, cancelBase func(), entered <-chan struct{}) error{
	// The base ends first, and Serve may notice later than the handler.
	"Serve": func(s *http.Server, l net.Listener, reg *shoal.Registry, cancelBase func(), entered <-chan struct{}) error {
		_ = l.Close() // Serve listens itself
		ctx, cancel := context.WithCancel(context.Background())
		go func() {
			<-entered
			cancelBase()
			cancel()
		}()
		return httpmetrics.Serve(ctx, reg, s)
	},
	// A server that was started in another way; its base ends as it drains.
	"Shutdown": func(s *http.Server, l net.Listener, reg *shoal.Registry, cancelBase func(), entered <-chan struct{}) error {
		served := make(chan error, 1)
		go func() { served <- s.Serve(l) }()
		s.RegisterOnShutdown(cancelBase)
		<-entered
		err := httpmetrics.Graceful{}.Shutdown(context.Background(), reg, s)
		if err := <-served; !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return err
	},
}

func TestDraining_WhatIsSentBecauseTheServerEndsIsTheStatus(t *testing.T) {
	answers := map[int]http.HandlerFunc{
		503: func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, "restarting", http.StatusServiceUnavailable)
		},
		200: func(http.ResponseWriter, *http.Request) {}, // which net/http sends by itself
	}
	for name, end := range ends {
		for want, answer := range answers {
			t.Run(name+"/"+strconv.Itoa(want), func(t *testing.T) {
				forEach(t, func(t *testing.T, f framework) {
					status, watcher := drained(t, f, answer, end)
					if status != want {
						t.Errorf("the client got %d", status)
					}
					wantSeries(t, watcher, "GET", "/slow", strconv.Itoa(want))
				})
			})
		}
	}
}

// A context that ends with a cause shows that no client left: then net/http gives none, and
// signal.NotifyContext gives one.
func TestDraining_ABaseThatEndsWithACauseIsNoClientThatLeft(t *testing.T) {
	forEach(t, func(t *testing.T, f framework) {
		base, cancel := context.WithCancelCause(t.Context())
		entered := make(chan struct{})
		reg := shoaltest.New(t)
		server := httptest.NewUnstartedServer(f.build(reg, httpmetrics.Opts{}, []route{{"GET", "/slow", func(w http.ResponseWriter, r *http.Request) {
			close(entered)
			<-r.Context().Done()
			http.Error(w, "restarting", http.StatusServiceUnavailable)
		}}}))
		server.Config.BaseContext = func(net.Listener) context.Context { return base }
		server.Start()
		defer server.Close()
		go func() {
			<-entered
			cancel(errors.New("terminated"))
		}()
		if status, _ := askWhenUp(server.URL + "/slow"); status != 503 {
			t.Errorf("the client got %d", status)
		}
		server.Close()
		wantSeries(t, reg, "GET", "/slow", "503")
	})
}

// A client may leave while a server drains whose base context has not ended.
func TestDraining_AClientThatLeavesIsStill499(t *testing.T) {
	forEach(t, func(t *testing.T, f framework) {
		reg, watcher := watched(t)
		entered := make(chan struct{})
		server := httptest.NewUnstartedServer(f.build(reg, httpmetrics.Opts{}, []route{{"GET", "/slow", func(_ http.ResponseWriter, r *http.Request) {
			close(entered)
			<-r.Context().Done()
		}}}))
		server.Start()
		defer server.Close()
		conn, err := net.Dial("tcp", server.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(conn, "GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
		server.Config.RegisterOnShutdown(func() { _ = conn.Close() })
		<-entered
		if err := (httpmetrics.Graceful{}).Shutdown(t.Context(), reg, server.Config); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
		wantSeries(t, watcher, "GET", "/slow", "499")
	})
}
