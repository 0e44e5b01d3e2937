// SPDX-License-Identifier: Apache-2.0

package httpmetrics

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/shoal-metrics/shoal/core/shoaltest"
)

// serve runs a handler the way a middleware does, in a goroutine of its own, so that the
// handler may panic or call runtime.Goexit.
func serve(rec *Recorder, w http.ResponseWriter, r *http.Request, h http.HandlerFunc) (panicked any) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() { panicked = recover() }()
		w, x := rec.Wrap(w, r, func(*http.Request) string { return "/r" })
		defer x.End()
		h(w, r)
		x.Returned()
	}()
	<-done
	return panicked
}

func TestExchange_StatusOfARequest(t *testing.T) {
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	late, cancel := context.WithDeadline(t.Context(), time.Unix(1, 0))
	defer cancel()

	tests := map[string]struct {
		ctx     context.Context
		handler http.HandlerFunc
		want    string
	}{
		"nothing written is 200":                  {t.Context(), func(http.ResponseWriter, *http.Request) {}, "200"},
		"client gone with nothing written is 499": {gone, func(http.ResponseWriter, *http.Request) {}, "499"},
		"client gone after a status is the status": {gone, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(204)
		}, "204"},
		"deadline passed with nothing written is 503": {late, func(http.ResponseWriter, *http.Request) {}, "503"},
		"panic is 500":                  {t.Context(), func(http.ResponseWriter, *http.Request) { panic("boom") }, "500"},
		"panic of a gone client is 500": {gone, func(http.ResponseWriter, *http.Request) { panic("boom") }, "500"},
		"panic with nil is 500":         {t.Context(), func(http.ResponseWriter, *http.Request) { panic(error(nil)) }, "500"},
		"panic after a status is the status": {t.Context(), func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(202)
			panic("boom")
		}, "202"},
		"panic after early hints is 500": {t.Context(), func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(103)
			panic("boom")
		}, "500"},
		"ErrAbortHandler is 500":    {t.Context(), func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, "500"},
		"an ended goroutine is 500": {t.Context(), func(http.ResponseWriter, *http.Request) { runtime.Goexit() }, "500"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			reg := shoaltest.New(t)
			rec := NewRecorder(reg, Opts{})
			r := httptest.NewRequestWithContext(tt.ctx, http.MethodGet, "/p", nil)
			serve(rec, newBare(), r, tt.handler)
			if got := shoaltest.Value(t, reg, "http_requests_total", "method", "GET", "route", "/r", "code", tt.want); got != 1 {
				t.Errorf("recorded %v times, want once", got)
			}
			if got := shoaltest.Value(t, reg, "http_requests_in_flight", "gauge_index", "0"); got != 0 {
				t.Errorf("%v in flight after the end, want 0", got)
			}
		})
	}
}

func TestExchange_PanicTravelsOnWithItsValue(t *testing.T) {
	rec := NewRecorder(shoaltest.New(t), Opts{})
	if got := serve(rec, newBare(), getRequest(), func(http.ResponseWriter, *http.Request) { panic("boom") }); got != "boom" {
		t.Errorf("the panic that came out is %v, want boom", got)
	}
}

// A label's function may be called while the handler panics. Whatever recovers the
// function's panic must not recover the handler's.
func TestExchange_PanickingLabelIsContainedAndLeavesTheHandlersPanic(t *testing.T) {
	reg := shoaltest.New(t)
	rec := NewRecorder(reg, Opts{Labels: []Label{
		{Name: "tier", Value: func(*http.Request) string { panic("label") }},
		{Name: "other", Value: func(*http.Request) string { return "x" }},
	}})
	if got := serve(rec, newBare(), getRequest(), func(http.ResponseWriter, *http.Request) {}); got != nil {
		t.Errorf("the label's panic came out: %v", got)
	}
	if got := serve(rec, newBare(), getRequest(), func(http.ResponseWriter, *http.Request) { panic("boom") }); got != "boom" {
		t.Errorf("the panic that came out is %v, want boom", got)
	}
	for _, code := range []string{"200", "500"} {
		labels := []string{"method", "GET", "route", "/r", "code", code, "tier", "panic", "other", "x"}
		if got := shoaltest.Value(t, reg, "http_requests_total", labels...); got != 1 {
			t.Errorf("%v requests of code %s, want 1", got, code)
		}
	}
}

func TestExchange_StreamIsRecordedWhenItBegins(t *testing.T) {
	begin := map[string]struct {
		handler http.HandlerFunc
		code    string
	}{
		"event stream": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
			w.WriteHeader(200)
		}, "200"},
		"event stream by Write": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "Text/Event-Stream")
			_, _ = w.Write([]byte("data: 1\n\n"))
		}, "200"},
		"event stream by Flush": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			w.(http.Flusher).Flush()
		}, "200"},
		"event stream by ReadFrom": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			_, _ = io.Copy(w, onlyReader{strings.NewReader("data: 1\n\n")})
		}, "200"},
		"hijacked": {func(w http.ResponseWriter, _ *http.Request) {
			_, _, _ = w.(http.Hijacker).Hijack()
		}, "101"},
		"switching protocols": {func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(101)
		}, "101"},
	}
	for name, tt := range begin {
		t.Run(name, func(t *testing.T) {
			reg := shoaltest.New(t)
			rec := NewRecorder(reg, Opts{ResponseSize: true})
			labels := []string{"method", "GET", "route", "/r", "code", tt.code}
			serve(rec, newHTTP1(), getRequest(), func(w http.ResponseWriter, r *http.Request) {
				tt.handler(w, r)
				// The handler is still running.
				if got := shoaltest.Value(t, reg, "http_request_duration_seconds", labels...); got != 1 {
					t.Errorf("%v observed at the beginning, want 1", got)
				}
				if got := shoaltest.Value(t, reg, "http_requests_in_flight", "gauge_index", "0"); got != 1 {
					t.Errorf("%v in flight meanwhile, want 1", got)
				}
				_, _ = w.Write([]byte("more"))
			})
			if got := shoaltest.Value(t, reg, "http_requests_total", labels...); got != 1 {
				t.Errorf("counted %v times, want once", got)
			}
			if got := shoaltest.Value(t, reg, "http_response_size_bytes", labels...); got != 0 {
				t.Errorf("%v sizes observed of a stream, want none", got)
			}
			if got := shoaltest.Value(t, reg, "http_requests_in_flight", "gauge_index", "0"); got != 0 {
				t.Errorf("%v in flight after the end, want 0", got)
			}
		})
	}
}

func TestHandler_ThePageItselfIsNotRecorded(t *testing.T) {
	reg := shoaltest.New(t)
	rec := NewRecorder(reg, Opts{})
	answer := httptest.NewRecorder()
	// Under a route of its own, and behind another wrapper.
	page := Handler(reg, Opts{}.Page)
	serve(rec, answer, getRequest(), func(w http.ResponseWriter, r *http.Request) {
		page.ServeHTTP(unwrapping{w, w}, r)
	})
	if answer.Code != http.StatusOK || !strings.Contains(answer.Body.String(), `http_requests_in_flight{gauge_index="0"} 0`) {
		t.Errorf("the page does not show 0 in flight: %d\n%s", answer.Code, answer.Body)
	}
	if shoaltest.Exists(t, reg, "http_requests_total", "method", "GET", "route", "/r", "code", "200") {
		t.Error("the page counted itself")
	}
}
