// SPDX-License-Identifier: Apache-2.0

package tests

import (
	"context"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/shoal-metrics/shoal/core/httpmetrics"
)

// soon is a deadline that passes only in requests that wait for it. An hour stands for a
// deadline that never passes.
const soon = 20 * time.Millisecond

// timeouts runs one request to a site whose application has around it what around makes,
// mostly an http.TimeoutHandler.
func timeouts(t *testing.T, f framework, around func(http.Handler) http.Handler, h http.HandlerFunc) (s *site, status int) {
	ended := make(chan struct{})
	s = newSiteBehind(t, f, httpmetrics.Opts{ResponseSize: true}, func(app http.Handler) http.Handler {
		return around(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			defer close(ended)
			app.ServeHTTP(w, r)
		}))
	}, route{"GET", "/slow/{id}", h})
	status, _ = s.do("GET", "/slow/7", nil)
	<-ended // http.TimeoutHandler does not wait for it
	s.finish()
	return s, status
}

func timeoutAfter(d time.Duration) func(http.Handler) http.Handler {
	return func(app http.Handler) http.Handler { return http.TimeoutHandler(app, d, "too slow") }
}

// late are the ways in which a handler goes on after its deadline. Each begins
// when its context is done.
var late = map[string]http.HandlerFunc{
	"writes": func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusCreated)
		_, _ = io.WriteString(w, "made")
	},
	"writes without a status": func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("made")) },
	"sends a status alone":    func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusCreated) },
	"answers with an error":   func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "broken", http.StatusInternalServerError) },
	"copies": func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.Copy(w, struct{ io.Reader }{strings.NewReader("made")})
	},
	"sends nothing": func(http.ResponseWriter, *http.Request) {},
	"flushes": func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "made")
		_ = http.NewResponseController(w).Flush()
	},
	"panics": func(http.ResponseWriter, *http.Request) { panic("late") },
	"begins a stream": func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, "data: 1\n\n")
	},
}

// The handler goes on when the client has the answer of http.TimeoutHandler.
func TestTimeoutHandlerAround_ALateHandlerIs503WhateverItWrites(t *testing.T) {
	for name, h := range late {
		t.Run(strings.ReplaceAll(name, " ", "_"), func(t *testing.T) {
			forEach(t, func(t *testing.T, f framework) {
				answered := make(chan struct{})
				s := newSiteBehind(t, f, httpmetrics.Opts{ResponseSize: true}, timeoutAfter(soon),
					route{"GET", "/slow/{id}", func(w http.ResponseWriter, r *http.Request) {
						<-answered
						h(w, r)
					}})
				status, body := s.do("GET", "/slow/7", nil)
				if status != http.StatusServiceUnavailable {
					t.Errorf("the client got %d %q", status, body)
				}
				close(answered)
				s.finish()
				s.waitForOne()
				s.wantOnly("GET", f.pattern("/slow/{id}"), "503")
				s.wantSize("GET", f.pattern("/slow/{id}"), "503", 0)
			})
		})
	}
}

// A handler that waits for its context goes on at the moment at which http.TimeoutHandler
// begins to answer.
func TestTimeoutHandlerAround_AHandlerThatStopsAtItsDeadlineIs503(t *testing.T) {
	for name, h := range late {
		t.Run(strings.ReplaceAll(name, " ", "_"), func(t *testing.T) {
			forEach(t, func(t *testing.T, f framework) {
				s, status := timeouts(t, f, timeoutAfter(soon), func(w http.ResponseWriter, r *http.Request) {
					<-r.Context().Done()
					h(w, r)
				})
				if status != http.StatusServiceUnavailable {
					t.Errorf("the client got %d", status)
				}
				s.wantOnly("GET", f.pattern("/slow/{id}"), "503")
			})
		})
	}
}

func TestTimeoutHandlerAround_WhatTheClientGotIsRecorded(t *testing.T) {
	writesThenWaits := func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusCreated)
		_, _ = io.WriteString(w, "made")
		<-r.Context().Done()
	}
	waitsThenWrites := func(w http.ResponseWriter, r *http.Request) {
		<-r.Context().Done()
		late["writes"](w, r)
	}
	for name, tt := range map[string]struct {
		around  func(http.Handler) http.Handler
		handler http.HandlerFunc
		want    int
		size    float64
	}{
		"an answer in time": {timeoutAfter(time.Hour), func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusCreated)
			_, _ = io.WriteString(w, "made")
		}, 201, 4},
		"what was written before the deadline is dropped": {timeoutAfter(soon), writesThenWaits, 503, 0},
		"a stream that nobody gets": {timeoutAfter(soon), func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			_, _ = io.WriteString(w, "data: 1\n\n")
			<-r.Context().Done()
		}, 503, 0},
		"two of them, the inner ends first": {func(app http.Handler) http.Handler {
			return timeoutAfter(time.Hour)(timeoutAfter(soon)(app))
		}, waitsThenWrites, 503, 0},
		"two of them, the outer ends first": {func(app http.Handler) http.Handler {
			return timeoutAfter(soon)(timeoutAfter(time.Hour)(app))
		}, waitsThenWrites, 503, 0},
		// Another deadline, further in, is one that the handler answers for itself.
		"the answer to an earlier deadline": {func(app http.Handler) http.Handler {
			return timeoutAfter(time.Hour)(deadline(soon)(app))
		}, func(w http.ResponseWriter, r *http.Request) {
			<-r.Context().Done()
			http.Error(w, "slow", http.StatusGatewayTimeout)
		}, 504, 5},
	} {
		t.Run(strings.ReplaceAll(name, " ", "_"), func(t *testing.T) {
			forEach(t, func(t *testing.T, f framework) {
				s, status := timeouts(t, f, tt.around, tt.handler)
				if status != tt.want {
					t.Errorf("the client got %d", status)
				}
				s.wantOnly("GET", f.pattern("/slow/{id}"), strconv.Itoa(tt.want))
				s.wantSize("GET", f.pattern("/slow/{id}"), strconv.Itoa(tt.want), tt.size)
			})
		})
	}
}

// hiding is a writer as many a middleware has it: without Unwrap.
type hiding struct{ http.ResponseWriter }

func TestTimeoutHandlerAround_BehindAWriterThatHidesItsErrorTells(t *testing.T) {
	forEach(t, func(t *testing.T, f framework) {
		answered := make(chan struct{})
		s := newSiteBehind(t, f, httpmetrics.Opts{}, func(app http.Handler) http.Handler {
			return timeoutAfter(soon)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				app.ServeHTTP(hiding{w}, r)
			}))
		}, route{"GET", "/slow/{id}", func(w http.ResponseWriter, r *http.Request) {
			<-answered
			late["writes"](w, r)
		}})
		s.do("GET", "/slow/7", nil)
		close(answered)
		s.finish()
		s.waitForOne()
		s.wantOnly("GET", f.pattern("/slow/{id}"), "503")
	})
}

// deadline gives the requests of an application a deadline and does nothing else.
func deadline(d time.Duration) func(http.Handler) http.Handler {
	return func(app http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			ctx, cancel := context.WithTimeout(r.Context(), d)
			defer cancel()
			app.ServeHTTP(w, r.WithContext(ctx))
		})
	}
}
