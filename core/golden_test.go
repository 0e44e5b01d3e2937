// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"bytes"
	"compress/gzip"
	"errors"
	"flag"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/shoal-metrics/shoal/core/internal/memstore"
	"github.com/shoal-metrics/shoal/core/internal/wire"
	"google.golang.org/protobuf/proto"
)

var update = flag.Bool("update", false, "write the golden files anew")

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("the page differs from %s (run with -update to accept it):\n%s", path, got)
	}
}

// everything is a store with each kind of family and whatever is hard to write.
func everything(t *testing.T) *Registry {
	server := memstore.New()
	start := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	server.SetClock(func() time.Time { return start })
	f := fill(t, server)

	f.family("orders_total", 1, counterDef("Orders placed."))
	f.add("orders_total", labels("currency", "EUR", "kind", "book"), "12345678901", labels("currency", "EUR"), "0.1",
		"", "0", labels("currency", "USD", "kind", "9"), "9007199254740993", labels("currency", "USD", "kind", "10"), "1e300")
	f.family("no_suffix", 1, counterDef("")) // and no help
	f.add("no_suffix", "", "1.5e-07")
	f.family("escapes_total", 1, counterDef("A \"quote\", a back\\slash and\na second line: größe."))
	f.add("escapes_total", labels("v", `say "hi"`), "1", labels("v", `c:\new`), "2", labels("v", "line\nbreak"), "3",
		labels("v", "größe 🐟"), "4", labels("v", "{a=\"b\",}"), "5", labels("v", "a\ttab"), "6")

	f.family("request_seconds", 1, wire.Definition{
		Type: wire.TypeHistogram, Help: "How long requests took.", Bounds: []string{"-1", "0", "0.25", "1", "1e+06"},
	})
	f.add("request_seconds", labels("route", "/"), "0:1 0.25:2 1:3 +Inf:4 sum:4000001.75", labels("route", "/none"), "sum:0")
	f.family("payload_bytes", 1, wire.Definition{Type: wire.TypeSummary, Help: "Size of payloads."})
	f.add("payload_bytes", "", "sum:1024.5 count:3")

	gauge := func(name, mode string) {
		f.family(name, 1, wire.Definition{Type: wire.TypeGauge, Mode: mode, Help: "Gauge " + name + "."})
	}
	gauge("queue_length", "")
	gauge("temperature_max", wire.ModeMax)
	gauge("workers", wire.ModeSum)
	gauge("last_success_timestamp_seconds", wire.ModeLatest)
	gauge("carts_open", wire.ModeTotal)
	f.add("carts_open", wire.TotalMark, "7", wire.TotalMark+labels("shop", "vienna"), "-3.5")
	server.SetText("shop", "last_success_timestamp_seconds", labels("job", "nightly"), "1.7671e+09 5 0")
	f.process("a", wire.Info{Host: "web-1", Version: "1.2.3", Started: start.UnixMicro()},
		gaugeText("queue_length", labels("zone", "a", "area", "b"), "3"), gaugeText("queue_length", "", "-0.5"),
		gaugeText("temperature_max", "", "NaN"), gaugeText("workers", "", "4"))
	f.process("b", wire.Info{Host: "web-\"2\"", Started: start.Add(1500 * time.Millisecond).UnixMicro()},
		gaugeText("queue_length", labels("area", "b", "zone", "a"), "+Inf"), gaugeText("queue_length", labels("zone", "x"), "-Inf"),
		gaugeText("temperature_max", "", "36.6"), gaugeText("workers", "", "8"))

	f.family("silent", 1, wire.Definition{Type: wire.TypeGauge}) // nobody has written it
	return readOnly(t, server)
}

func accept(value string) http.Header { return http.Header{"Accept": {value}} }

func TestHandler_TextFormat(t *testing.T) {
	h := everything(t).Handler(HandlerOpts{})
	body := get(t, h, nil)
	golden(t, "page.txt", body)
	parsePage(t, body)
	if plain := get(t, h, accept("text/plain;version=0.0.4")); plain != body {
		t.Error("asked for by name the text format differs")
	}
	if off := get(t, h, accept("application/openmetrics-text;version=1.0.0")); off != body {
		t.Error("OpenMetrics was answered though nobody enabled it")
	}
}

func TestHandler_OpenMetrics(t *testing.T) {
	h := everything(t).Handler(HandlerOpts{EnableOpenMetrics: true})
	body := get(t, h, accept("application/openmetrics-text;version=1.0.0"))
	golden(t, "page.openmetrics", body)
	if !strings.HasSuffix(body, "# EOF\n") {
		t.Error("no end mark")
	}
	if text := get(t, h, nil); strings.Contains(text, "# EOF") {
		t.Error("a scraper that asked for nothing is answered with OpenMetrics")
	}
}

func TestHandler_DelimitedProtobuf(t *testing.T) {
	r := everything(t)
	body := get(t, r.Handler(HandlerOpts{}),
		accept("application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"))
	want, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	decoder := expfmt.NewDecoder(strings.NewReader(body), expfmt.NewFormat(expfmt.TypeProtoDelim))
	var text bytes.Buffer
	for n := 0; ; n++ {
		var family dto.MetricFamily
		if err := decoder.Decode(&family); errors.Is(err, io.EOF) {
			if n != len(want) {
				t.Errorf("%d families, want %d", n, len(want))
			}
			break
		} else if err != nil {
			t.Fatal(err)
		}
		if n < len(want) && !proto.Equal(&family, want[n]) {
			t.Errorf("%s differs from what Gather returns", family.GetName())
		}
		if _, err := expfmt.MetricFamilyToText(&text, &family); err != nil {
			t.Fatal(err)
		}
	}
	golden(t, "page.txt", text.String()) // decoded, it is the same page
}

func TestHandler_Gzip(t *testing.T) {
	r := everything(t)
	header := http.Header{"Accept-Encoding": {"gzip"}}
	zipped, err := gzip.NewReader(strings.NewReader(get(t, r.Handler(HandlerOpts{}), header)))
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(zipped)
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "page.txt", string(body))
	golden(t, "page.txt", get(t, r.Handler(HandlerOpts{DisableCompression: true}), header))
}

func TestHandler_Headers(t *testing.T) {
	r := everything(t)
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
