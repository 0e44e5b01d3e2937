// SPDX-License-Identifier: Apache-2.0

package tests

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/shoal-metrics/shoal/core/httpmetrics"
	"github.com/shoal-metrics/shoal/core/shoaltest"
)

// sizesSite makes a site that observes sizes. The function size returns the count and sum
// of a histogram for its one route.
func sizesSite(t *testing.T, f framework, h http.HandlerFunc) (s *site, size func(name, method string) (count, sum float64)) {
	s = newSite(t, f, httpmetrics.Opts{RequestSize: true, ResponseSize: true},
		route{"GET", "/body", h}, route{"HEAD", "/body", h}, route{"POST", "/body", h})
	return s, func(name, method string) (float64, float64) {
		t.Helper()
		labels := []string{"method", method, "route", "/body", "code", "200"}
		return shoaltest.Value(t, s.reg, name, labels...), shoaltest.Sum(t, s.reg, name, labels...)
	}
}

func TestResponseSizeIsWhatWasSent(t *testing.T) {
	bodies := map[string]struct {
		handler http.HandlerFunc
		method  string
		want    float64
	}{
		"Write":       {func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("12345")) }, "GET", 5},
		"WriteString": {text("12345"), "GET", 5},
		// io.Copy uses ReadFrom where the writer has it. Large, so that it goes
		// past what net/http copies first to sniff the type.
		"Copy": {func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.Copy(w, struct{ io.Reader }{strings.NewReader(strings.Repeat("x", 100_000))})
		}, "GET", 100_000},
		"ServeContent": {func(w http.ResponseWriter, r *http.Request) {
			http.ServeContent(w, r, "a.txt", time.Time{}, strings.NewReader(strings.Repeat("x", 50_000)))
		}, "GET", 50_000},
		"nothing is 0, not -1": {func(http.ResponseWriter, *http.Request) {}, "GET", 0},
		"HEAD has no body":     {text("12345"), "HEAD", 0},
	}
	for name, tt := range bodies {
		t.Run(name, func(t *testing.T) {
			forEach(t, func(t *testing.T, f framework) {
				s, size := sizesSite(t, f, tt.handler)
				s.do(tt.method, "/body", nil)
				s.finish()
				if count, sum := size("http_response_size_bytes", tt.method); count != 1 || sum != tt.want {
					t.Errorf("%v sizes of %v bytes, want 1 of %v", count, sum, tt.want)
				}
			})
		})
	}
}

func TestRequestSizeOfUnknownLengthIsNotObserved(t *testing.T) {
	forEach(t, func(t *testing.T, f framework) {
		s, size := sizesSite(t, f, func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) })
		s.do("POST", "/body", strings.NewReader("123"))
		s.do("POST", "/body", struct{ io.Reader }{strings.NewReader("123456")}) // sent in chunks
		s.finish()
		if count, sum := size("http_request_size_bytes", "POST"); count != 1 || sum != 3 {
			t.Errorf("%v sizes of %v bytes, want 1 of 3", count, sum)
		}
		if got := s.count("POST", "/body", "200"); got != 2 {
			t.Errorf("%v requests counted, want 2", got)
		}
	})
}

func TestResponseControllerReachesTheConnection(t *testing.T) {
	forEach(t, func(t *testing.T, f framework) {
		errs := make(chan error, 4)
		s := newSite(t, f, httpmetrics.Opts{}, route{"GET", "/", func(w http.ResponseWriter, _ *http.Request) {
			c := http.NewResponseController(w)
			errs <- c.SetReadDeadline(time.Now().Add(time.Minute))
			errs <- c.SetWriteDeadline(time.Now().Add(time.Minute))
			errs <- c.EnableFullDuplex()
			_, _ = io.WriteString(w, "part")
			errs <- c.Flush()
		}})
		status, body := s.do("GET", "/", nil)
		s.finish()
		if status != 200 || body != "part" {
			t.Errorf("the client got %d %q", status, body)
		}
		for range cap(errs) {
			if err := <-errs; err != nil {
				t.Errorf("the controller says: %v", err)
			}
		}
	})
}
