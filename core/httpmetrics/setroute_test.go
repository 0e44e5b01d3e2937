// SPDX-License-Identifier: Apache-2.0

package httpmetrics

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/shoal-metrics/shoal/core/shoaltest"
)

func TestSetRoute_ComesBeforeAllElse(t *testing.T) {
	told := func(w http.ResponseWriter, _ *http.Request) { SetRoute(w, "/told") }
	opts := Opts{Route: func(*http.Request) string { return "/by/route" }}
	for promise, tt := range map[string]struct {
		handler func(reg *Recorder) http.HandlerFunc
		want    string
	}{
		"told": {func(*Recorder) http.HandlerFunc { return told }, "/told"},
		"the last one": {func(*Recorder) http.HandlerFunc {
			return func(w http.ResponseWriter, r *http.Request) {
				SetRoute(w, "/first")
				told(w, r)
			}
		}, "/told"},
		"not empty": {func(*Recorder) http.HandlerFunc {
			return func(w http.ResponseWriter, _ *http.Request) { SetRoute(w, "") }
		}, "/by/route"},
		"behind another writer": {func(*Recorder) http.HandlerFunc {
			return func(w http.ResponseWriter, r *http.Request) { told(unwrapping{w, w}, r) }
		}, "/told"},
		"inside a middleware further in": {func(rec *Recorder) http.HandlerFunc { return recordedBy(rec, told) }, "/told"},
		"before a middleware further in": {func(rec *Recorder) http.HandlerFunc {
			inner := recordedBy(rec, func(http.ResponseWriter, *http.Request) {})
			return func(w http.ResponseWriter, r *http.Request) {
				told(w, r)
				inner(w, r)
			}
		}, "/told"},
		"inside http.TimeoutHandler": {func(*Recorder) http.HandlerFunc {
			return http.TimeoutHandler(http.HandlerFunc(told), time.Minute, "").ServeHTTP
		}, "/told"},
		"inside http.TimeoutHandler and a middleware": {func(rec *Recorder) http.HandlerFunc {
			return http.TimeoutHandler(recordedBy(rec, told), time.Minute, "").ServeHTTP
		}, "/told"},
		"of a stream, before it begins": {func(*Recorder) http.HandlerFunc {
			return func(w http.ResponseWriter, r *http.Request) {
				told(w, r)
				w.Header().Set("Content-Type", "text/event-stream")
				w.WriteHeader(http.StatusOK)
				SetRoute(w, "/late")
			}
		}, "/told"},
	} {
		t.Run(promise, func(t *testing.T) {
			reg, other := shoaltest.New(t), shoaltest.New(t)
			rec := NewRecorder(reg, opts)
			h := recordedBy(NewRecorder(other, opts), recordedBy(rec, tt.handler(rec)))
			h(newHTTP1(), getRequest())
			if got := shoaltest.Value(t, reg, "http_requests_total", "method", "GET", "route", tt.want, "code", "200"); got != 1 {
				t.Errorf("recorded %v under %s, want 1", got, tt.want)
			}
			if strings.Contains(promise, "TimeoutHandler") {
				return // the other middleware is not directly around it
			}
			if got := shoaltest.Value(t, other, "http_requests_total", "method", "GET", "route", tt.want, "code", "200"); got != 1 {
				t.Errorf("in other metrics recorded %v under %s, want 1", got, tt.want)
			}
		})
	}
}

func TestSetRoute_DoesNothingWithoutAMiddleware(t *testing.T) {
	SetRoute(newHTTP1(), "/told")
	SetRoute(newBare(), "/told")
}

// Run with -race: the handler tells its route when the request is over.
func TestSetRoute_AfterATimeoutChangesNothing(t *testing.T) {
	reg := shoaltest.New(t)
	recorded, told := make(chan struct{}), make(chan struct{})
	slow := http.TimeoutHandler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		defer close(told)
		<-recorded
		SetRoute(w, "/late")
	}), time.Nanosecond, "")
	recordedBy(NewRecorder(reg, Opts{}), slow.ServeHTTP)(newHTTP1(), getRequest())
	close(recorded)
	<-told
	if got := shoaltest.Value(t, reg, "http_requests_total", "method", "GET", "route", "unmatched", "code", "503"); got != 1 {
		t.Errorf("recorded %v, want 1", got)
	}
}
