// SPDX-License-Identifier: Apache-2.0

package httpmetrics

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/shoal-metrics/shoal/core/shoaltest"
)

func TestStream_IsToldByItsMediaType(t *testing.T) {
	for contentType, want := range map[string]bool{
		"text/event-stream":                         true,
		"Text/Event-Stream; charset=utf-8":          true,
		"text/event-stream ;x=y":                    true,
		"application/x-ndjson":                      true,
		"application/ndjson;charset=utf-8":          true,
		"APPLICATION/JSONL":                         true,
		"application/x-jsonlines":                   true,
		"application/json-seq":                      true,
		"application/stream+json":                   true,
		"application/grpc":                          true,
		"application/grpc+proto":                    true,
		"application/GRPC; x=y":                     true,
		"application/grpc-web":                      true,
		"application/grpc-web+proto":                true,
		"application/grpc-web-text":                 true,
		"application/grpc-web-text+proto":           true,
		"application/connect+json":                  true,
		"application/connect+proto":                 true,
		"multipart/x-mixed-replace; boundary=frame": true,
		"":                                   false,
		"/":                                  false,
		"application/":                       false,
		"text/event-streams":                 false,
		"text/plain; note=text/event-stream": false,
		"text/x-mixed-replace":               false,
		"multipart/event-stream":             false,
		"multipart/mixed; boundary=x-mixed-replace": false,
		"application/json":                          false,
		"application/json; x=jsonl":                 false,
		"application/jsonlogic":                     false,
		"application/grpcfoo":                       false,
		"application/grpc-foo":                      false,
		"application/grpc-webby":                    false,
		"application/grpc-web-texture":              false,
		"application/connectx+json":                 false,
		"application/connect":                       false,
		"application/proto":                         false, // Connect's unary calls
		"x-application/ndjson":                      false,
	} {
		if got := isStreamType(contentType); got != want {
			t.Errorf("%q is a stream: %v, want %v", contentType, got, want)
		}
	}
}

// recordedInside answers one request and says how many are recorded while its handler
// still runs.
func recordedInside(t *testing.T, opts Opts, contentType string, send func(w http.ResponseWriter)) float64 {
	t.Helper()
	reg := shoaltest.New(t)
	rec := NewRecorder(reg, opts)
	labels := []string{"method", "GET", "route", "unmatched", "code", "200"}
	w, x := rec.Wrap(httptest.NewRecorder(), httptest.NewRequest("GET", "/live", nil), nil)
	if contentType != "" {
		w.Header().Set("Content-Type", contentType)
	}
	send(w)
	during := 0.0
	if shoaltest.Exists(t, reg, "http_requests_total", labels...) {
		during = shoaltest.Value(t, reg, "http_requests_total", labels...)
	}
	x.Returned()
	x.End()
	if got := shoaltest.Value(t, reg, "http_requests_total", labels...); got != 1 {
		t.Errorf("recorded %v times, want once", got)
	}
	return during
}

func TestStream_OptsDecidesFurtherOnes(t *testing.T) {
	live := func(r *http.Request, contentType string) bool {
		return r.URL.Path == "/live" && (contentType == "application/x-ticks" || contentType == "")
	}
	sends := map[string]func(w http.ResponseWriter){
		"WriteHeader": func(w http.ResponseWriter) { w.WriteHeader(http.StatusOK) },
		"Write":       func(w http.ResponseWriter) { _, _ = io.WriteString(w, "x") },
		"Flush":       func(w http.ResponseWriter) { w.(http.Flusher).Flush() },
	}
	for name, send := range sends {
		for _, tt := range []struct {
			promise     string
			opts        Opts
			contentType string
			want        float64
		}{
			{"type that Stream takes", Opts{Stream: live}, "application/x-ticks", 1},
			{"no type, and Stream takes it", Opts{Stream: live}, "", 1},
			{"type that Stream does not take", Opts{Stream: live}, "text/plain", 0},
			{"known type is one whatever Stream says", Opts{Stream: live}, "application/x-ndjson", 1},
			{"no Stream", Opts{}, "application/x-ticks", 0},
			{"Stream that panics takes none", Opts{Stream: func(*http.Request, string) bool { panic("boom") }}, "application/x-ticks", 0},
		} {
			t.Run(name+"/"+strings.ReplaceAll(tt.promise, " ", "_"), func(t *testing.T) {
				if got := recordedInside(t, tt.opts, tt.contentType, send); got != tt.want {
					t.Errorf("%v recorded while the handler runs, want %v", got, tt.want)
				}
			})
		}
	}
}

func BenchmarkIsStreamType(b *testing.B) {
	for _, contentType := range []string{"text/plain; charset=utf-8", "application/json", "application/xml", "text/event-stream"} {
		b.Run(contentType, func(b *testing.B) {
			for b.Loop() {
				isStreamType(contentType)
			}
		})
	}
}
