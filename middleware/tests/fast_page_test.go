// SPDX-License-Identifier: Apache-2.0

package tests

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	shoal "github.com/shoal-metrics/shoal/core"
	"github.com/shoal-metrics/shoal/core/shoaltest"
	shoalfasthttp "github.com/shoal-metrics/shoal/middleware/fasthttp"
	"github.com/valyala/fasthttp"
)

// page asks for the page with some headers, "name: value".
func (s *site) page(method string, headers ...string) (*http.Response, string) {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), method, s.server.URL+"/metrics", nil)
	if err != nil {
		s.t.Fatal(err)
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Set(name, value)
	}
	res, err := s.client.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		s.t.Errorf("the page is cut off: %v", err)
	}
	return res, string(body)
}

func TestFast_PageIsServedAndNotRecorded(t *testing.T) {
	forEachFast(t, func(t *testing.T, f fast) {
		s := newFastSite(t, f, shoalfasthttp.Opts{}, fastRoute{"GET", "/users/:id", says("ok")})
		s.do("GET", "/users/7", nil)
		res, page := s.page("GET")
		if res.StatusCode != 200 || !strings.Contains(page, "http_requests_total{") {
			t.Errorf("the page is %d:\n%s", res.StatusCode, page)
		}
		if !strings.Contains(page, `http_requests_in_flight{gauge_index="0"} 0`) {
			t.Errorf("the page counts itself as in flight:\n%s", page)
		}
		if res, body := s.page("HEAD"); res.StatusCode != 200 || body != "" || res.ContentLength <= 0 {
			t.Errorf("HEAD of the page is %d %q, of %d bytes", res.StatusCode, body, res.ContentLength)
		}
		s.finish()
		s.wantOnly("GET", f.pattern("/users/:id"), "200")
	})
}

func TestFast_PageIsWhereMetricsPathSays(t *testing.T) {
	forEachFast(t, func(t *testing.T, f fast) {
		s := newFastSite(t, f, shoalfasthttp.Opts{MetricsPath: "/-/metrics"}, fastRoute{"GET", "/", says("ok")})
		if status, page := s.do("GET", "/-/metrics", nil); status != 200 || !strings.Contains(page, "# TYPE") {
			t.Errorf("the page is %d:\n%s", status, page)
		}
		s.finish()
		if n, series := s.total(); n != 0 {
			t.Errorf("recorded %v: %v", n, series)
		}
	})
}

func TestFast_PageHasTheFormatThatTheScraperAsksFor(t *testing.T) {
	forEachFast(t, func(t *testing.T, f fast) {
		s := newFastSite(t, f, shoalfasthttp.Opts{Page: shoal.HandlerOpts{EnableOpenMetrics: true}})
		s.client.Transport = &http.Transport{DisableCompression: true} // and keeps connections
		defer s.client.CloseIdleConnections()
		for accept, want := range map[string]string{
			"text/plain": "text/plain; version=0.0.4",
			"application/openmetrics-text; version=1.0.0":                                                  "application/openmetrics-text; version=1.0.0",
			"application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited": "application/vnd.google.protobuf",
		} {
			if res, _ := s.page("GET", "Accept: "+accept); !strings.HasPrefix(res.Header.Get("Content-Type"), want) {
				t.Errorf("for %q it is %v", accept, res.Header)
			}
		}
		for accept, want := range map[string]string{"gzip": "gzip", "identity": ""} {
			res, body := s.page("GET", "Accept-Encoding: "+accept)
			if got := res.Header.Get("Content-Encoding"); got != want || res.Header.Get("Vary") != "Accept-Encoding" ||
				res.ContentLength != int64(len(body)) || strings.Contains(body, "shoal_instances") != (want == "") {
				t.Errorf("for %q it is %v %.60q", accept, res.Header, body)
			}
		}
	})
}

// A middleware that compresses, further out or further in, leaves the page as it is.
func TestFast_PageIsCompressedOnce(t *testing.T) {
	reg := shoaltest.New(t)
	s := fastSiteOf(t, reg, fasthttp.CompressHandlerBrotliLevel(shoalfasthttp.Install(says("ok"), reg, shoalfasthttp.Opts{}), 1, 1))
	if res, body := s.page("GET"); !res.Uncompressed || !strings.Contains(body, "shoal_instances") { // Go's client asks for gzip
		t.Errorf("it is %v %.60q", res.Header, body)
	}
	if res, body := s.page("GET", "Accept-Encoding: br"); res.Header.Get("Content-Encoding") != "br" || body == "" {
		t.Errorf("it is %v %.60q", res.Header, body)
	}
}

func TestFast_PageSaysWhyItIsNone(t *testing.T) {
	forEachFast(t, func(t *testing.T, f fast) {
		reg := shoal.New() // not connected
		s := fastSiteOf(t, reg, f.build(reg, shoalfasthttp.Opts{}, recoveredOutside, nil))
		if res, body := s.page("GET"); res.StatusCode != 503 || !strings.HasPrefix(body, "shoal: the metrics can't be read") {
			t.Errorf("it is %d %q", res.StatusCode, body)
		}
	})
}

func TestFast_PageIsReadWithGETOrHEAD(t *testing.T) {
	reg := shoaltest.New(t)
	s := fastSiteOf(t, reg, shoalfasthttp.Handler(reg, shoal.HandlerOpts{}))
	if status, body := s.do("POST", "/metrics", strings.NewReader("x")); status != 405 || !strings.Contains(body, "GET or HEAD") {
		t.Errorf("POST is %d %q", status, body)
	}
}

// A fasthttp.TimeoutHandler around the page answers in its place.
func TestFast_PageThatIsLateLeavesNothingBehind(t *testing.T) {
	reg := shoaltest.New(t)
	page := shoalfasthttp.Handler(reg, shoal.HandlerOpts{})
	hold, held := make(chan struct{}), make(chan struct{})
	slow := func(ctx *fasthttp.RequestCtx) {
		<-hold
		page(ctx)
		close(held)
	}
	s := fastSiteOf(t, reg, fasthttp.TimeoutHandler(slow, time.Millisecond, "late"))
	if status, _ := s.do("GET", "/metrics", nil); status != 408 {
		t.Errorf("the client got %d", status)
	}
	close(hold)
	<-held // TestMain looks for goroutines that are left
}
