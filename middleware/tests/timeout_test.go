// SPDX-License-Identifier: Apache-2.0

package tests

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/shoal-metrics/shoal/core/httpmetrics"
)

// soon is a deadline that a handler outlasts, and never a request that does not
// wait for it; an hour stands for one that nobody outlasts.
const soon = 20 * time.Millisecond

// timeouts runs one request to a site whose application is behind an
// http.TimeoutHandler, or what around makes of it.
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

// It goes on when http.TimeoutHandler has answered for certain: the client has it.
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

// A handler that waits for its context goes on in the moment in which
// http.TimeoutHandler begins to answer.
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

func TestTimeoutHandlerAround_WhatWasWrittenBeforeTheDeadlineIsDropped(t *testing.T) {
	forEach(t, func(t *testing.T, f framework) {
		s, status := timeouts(t, f, timeoutAfter(soon), func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusCreated)
			_, _ = io.WriteString(w, "made")
			<-r.Context().Done()
		})
		if status != http.StatusServiceUnavailable {
			t.Errorf("the client got %d", status)
		}
		s.wantOnly("GET", f.pattern("/slow/{id}"), "503")
		s.wantSize("GET", f.pattern("/slow/{id}"), "503", 0)
	})
}

func TestTimeoutHandlerAround_AnEventStreamIsNotRecordedBeforeAnybodyGetsIt(t *testing.T) {
	forEach(t, func(t *testing.T, f framework) {
		s, status := timeouts(t, f, timeoutAfter(soon), func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			_, _ = io.WriteString(w, "data: 1\n\n")
			<-r.Context().Done()
		})
		if status != http.StatusServiceUnavailable {
			t.Errorf("the client got %d", status)
		}
		s.wantOnly("GET", f.pattern("/slow/{id}"), "503")
	})
}

func TestTimeoutHandlerAround_AnAnswerInTimeIsItself(t *testing.T) {
	forEach(t, func(t *testing.T, f framework) {
		s, status := timeouts(t, f, timeoutAfter(time.Hour), func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusCreated)
			_, _ = io.WriteString(w, "made")
		})
		if status != http.StatusCreated {
			t.Errorf("the client got %d", status)
		}
		s.wantOnly("GET", f.pattern("/slow/{id}"), "201")
		s.wantSize("GET", f.pattern("/slow/{id}"), "201", 4)
	})
}

func TestTimeoutHandlerAround_TwoOfThem(t *testing.T) {
	for name, d := range map[string][2]time.Duration{
		"the inner one ends first": {time.Hour, soon},
		"the outer one ends first": {soon, time.Hour},
	} {
		t.Run(strings.ReplaceAll(name, " ", "_"), func(t *testing.T) {
			forEach(t, func(t *testing.T, f framework) {
				s, status := timeouts(t, f, func(app http.Handler) http.Handler {
					return timeoutAfter(d[0])(timeoutAfter(d[1])(app))
				}, func(w http.ResponseWriter, r *http.Request) {
					<-r.Context().Done()
					late["writes"](w, r)
				})
				if status != http.StatusServiceUnavailable {
					t.Errorf("the client got %d", status)
				}
				s.wantOnly("GET", f.pattern("/slow/{id}"), "503")
			})
		})
	}
}

// Another deadline, within that of http.TimeoutHandler, is one that the handler
// answers for itself.
func TestTimeoutHandlerAround_AnAnswerToAnEarlierDeadlineIsItself(t *testing.T) {
	forEach(t, func(t *testing.T, f framework) {
		s, status := timeouts(t, f, func(app http.Handler) http.Handler {
			return timeoutAfter(time.Hour)(deadline(soon)(app))
		}, func(w http.ResponseWriter, r *http.Request) {
			<-r.Context().Done()
			http.Error(w, "upstream is slow", http.StatusGatewayTimeout)
		})
		if status != http.StatusGatewayTimeout {
			t.Errorf("the client got %d", status)
		}
		s.wantOnly("GET", f.pattern("/slow/{id}"), "504")
	})
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
