// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"runtime"
	"strings"
	"testing"

	"github.com/prometheus/common/expfmt"
	"github.com/shoal-metrics/shoal/core/internal/memstore"
)

func accept(value string) http.Header { return http.Header{"Accept": {value}} }

func TestHandler_Headers(t *testing.T) {
	r := readOnly(t, memstore.New())
	tests := []struct {
		name   string
		opts   HandlerOpts
		header http.Header
		kind   string // of content, its beginning
		zip    bool
	}{
		{"plain", HandlerOpts{}, nil, "text/plain; version=0.0.4", false},
		{"gzip", HandlerOpts{}, http.Header{"Accept-Encoding": {"br, gzip;q=0.5"}}, "text/plain; version=0.0.4", true},
		{"any coding", HandlerOpts{}, http.Header{"Accept-Encoding": {"*"}}, "text/plain", true},
		{"several headers", HandlerOpts{}, http.Header{"Accept-Encoding": {"br", "GZIP"}}, "text/plain", true},
		{"gzip forbidden", HandlerOpts{}, http.Header{"Accept-Encoding": {"gzip;q=0, *"}}, "text/plain", false},
		{"gzip forbidden after any", HandlerOpts{}, http.Header{"Accept-Encoding": {"*, gzip;q=0"}}, "text/plain", false},
		{"gzip allowed alone", HandlerOpts{}, http.Header{"Accept-Encoding": {"*;q=0, gzip"}}, "text/plain", true},
		{"identity", HandlerOpts{}, http.Header{"Accept-Encoding": {"identity"}}, "text/plain", false},
		{"gzip disabled", HandlerOpts{DisableCompression: true}, http.Header{"Accept-Encoding": {"gzip"}}, "text/plain", false},
		{"OpenMetrics", HandlerOpts{EnableOpenMetrics: true}, accept("application/openmetrics-text;version=1.0.0"), "application/openmetrics-text; version=1.0.0", false},
		{"protobuf", HandlerOpts{}, accept("application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"), "application/vnd.google.protobuf", false},
		{"nonsense", HandlerOpts{}, accept("image/png, ;;q=x"), "text/plain; version=0.0.4", false},
	}
	for _, tt := range tests {
		for _, method := range []string{http.MethodGet, http.MethodHead} {
			t.Run(tt.name+" "+method, func(t *testing.T) {
				w := ask(r.Handler(tt.opts), method, tt.header)
				if w.Code != http.StatusOK || !strings.HasPrefix(w.Header().Get("Content-Type"), tt.kind) {
					t.Errorf("%d, %s", w.Code, w.Header().Get("Content-Type"))
				}
				if got := w.Header().Get("Content-Encoding") == "gzip"; got != tt.zip {
					t.Errorf("compressed: %v, want %v", got, tt.zip)
				}
				if method == http.MethodHead && w.Body.Len() != 0 {
					t.Errorf("HEAD has a body of %d bytes", w.Body.Len())
				}
				if w.Header().Get("Content-Length") == "0" {
					t.Error("the page is empty")
				}
			})
		}
	}
}

// The headers of a request choose among a few encodings of a page, so they can neither fill
// the memory nor get into the answer's headers.
func TestHandler_HeadersCanNotGrowTheEncodingsOfAPage(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	word := func() string { return fmt.Sprintf("evil%x", rnd.Uint64()) }
	pick := func(list ...string) string { return list[rnd.IntN(len(list))] }
	for opts, formats := range map[HandlerOpts]int{{}: 2, {EnableOpenMetrics: true}: 3} {
		h := &handler{New(), opts}
		type encoding struct { // all that the bytes of a page depend on
			format expfmt.FormatType
			zip    bool
		}
		seen := map[encoding]bool{}
		for range 5000 {
			format, zip := h.negotiate(&http.Request{Header: http.Header{
				"Accept": {strings.Join([]string{
					pick("text/plain", "application/openmetrics-text", "application/vnd.google.protobuf", "*/*", word()+"/"+word()),
					"version=" + pick("0.0.4", "1.0.0", "0.0.1", "2.0.0", word()),
					"escaping=" + pick("allow-utf-8", "underscores", "dots", "values", word()),
					"proto=" + pick("io.prometheus.client.MetricFamily", word()),
					"encoding=" + pick("delimited", "text", "compact-text", word()),
					"q=" + pick("1", "0", "0.5", "NaN", word()), word() + "=" + word(),
				}, ";")},
				"Accept-Encoding": {pick("gzip", "gzip;q=0", "*", "br", word()) + ", " + word() + ";q=" + word()},
			}})
			if strings.Contains(string(format), "evil") {
				t.Errorf("a request wrote the content type %q", format)
			}
			seen[encoding{format.FormatType(), zip}] = true
		}
		if len(seen) != formats*2 {
			t.Errorf("%d encodings, want %d", len(seen), formats*2)
		}
	}
}

// net/http lets a megabyte of headers through. The handler parses little of it.
func TestHandler_LongHeadersAreNotParsed(t *testing.T) {
	h := readOnly(t, memstore.New()).Handler(HandlerOpts{EnableOpenMetrics: true})
	allocated := func(header http.Header) float64 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for range 5 {
			if page := get(t, h, header); !strings.HasPrefix(page, "# ") {
				t.Errorf("the page begins with %.20q", page)
			}
		}
		runtime.ReadMemStats(&after)
		return float64(after.TotalAlloc-before.TotalAlloc) / 5
	}
	allocated(nil)
	harmless := allocated(http.Header{"Accept": {"text/plain"}, "Accept-Encoding": {"br"}})
	for _, part := range []string{",", ";", "a/b,", "a/b;c=d,", ";c=d", "*/*;q=0.1,", "gzip;q=0,", " "} {
		for _, name := range []string{"Accept", "Accept-Encoding", "X-Prometheus-Scrape-Timeout-Seconds"} {
			long := strings.Repeat(part, 1<<20/len(part))
			if got := allocated(http.Header{name: {long}}); got > 2*harmless+float64(len(long)) {
				t.Errorf("%s of %q…: %.0f bytes are taken, %.0f for a harmless one", name, part, got, harmless)
			}
		}
	}
}
