// SPDX-License-Identifier: Apache-2.0

package page

import (
	"bytes"
	"compress/gzip"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
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

// everything is a page with each kind of family and whatever is hard to write.
func everything(t *testing.T) *Page {
	f := newFixture(t)
	start := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	f.server.SetClock(func() time.Time { return start })

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
	f.server.SetText("shop", "last_success_timestamp_seconds", labels("job", "nightly"), "1.7671e+09 5 0")
	f.process("a", wire.Info{Host: "web-1", Version: "1.2.3", Started: start.UnixMicro()},
		gaugeText("queue_length", labels("zone", "a", "area", "b"), "3"), gaugeText("queue_length", "", "-0.5"),
		gaugeText("temperature_max", "", "NaN"), gaugeText("workers", "", "4"))
	f.process("b", wire.Info{Host: "web-\"2\"", Started: start.Add(1500 * time.Millisecond).UnixMicro()},
		gaugeText("queue_length", labels("area", "b", "zone", "a"), "+Inf"), gaugeText("queue_length", labels("zone", "x"), "-Inf"),
		gaugeText("temperature_max", "", "36.6"), gaugeText("workers", "", "8"))

	f.family("silent", 1, gaugeDef("")) // nobody has written it
	return f.page()
}

func TestPage_InEachFormat(t *testing.T) {
	p := everything(t)
	encode := func(encoding Encoding) io.Reader {
		body, err := p.Encode(encoding)
		if err != nil {
			t.Fatal(err)
		}
		return bytes.NewReader(body)
	}
	all := func(r io.Reader) string {
		body, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		return string(body)
	}
	golden(t, "page.txt", all(encode(Encoding{Format: expfmt.TypeTextPlain})))
	golden(t, "page.openmetrics", all(encode(Encoding{Format: expfmt.TypeOpenMetrics})))
	golden(t, "created.openmetrics", all(encode(Encoding{Format: expfmt.TypeOpenMetrics, Created: true})))
	zipped, err := gzip.NewReader(encode(Encoding{Format: expfmt.TypeTextPlain, Gzip: true}))
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "page.txt", all(zipped))

	want := p.Proto()
	decoder := expfmt.NewDecoder(encode(Encoding{Format: expfmt.TypeProtoDelim}), expfmt.FmtProtoDelim)
	var decoded strings.Builder
	for n := 0; ; n++ {
		var family dto.MetricFamily
		err := decoder.Decode(&family)
		if errors.Is(err, io.EOF) && n == len(want) {
			break
		}
		if err != nil || n == len(want) {
			t.Fatalf("after %d of %d families: %v", n, len(want), err)
		}
		if !proto.Equal(&family, want[n]) {
			t.Errorf("%s differs from what Proto returns", family.GetName())
		}
		if _, err := expfmt.MetricFamilyToText(&decoded, &family); err != nil {
			t.Fatal(err)
		}
	}
	golden(t, "page.txt", decoded.String())
}

// Scrapers that share a page share its bodies, whatever handlers they ask.
func TestPage_HasOneBodyForEachEncoding(t *testing.T) {
	p := everything(t)
	bodies := map[*byte]bool{}
	for range 2 {
		for _, format := range []expfmt.FormatType{expfmt.TypeTextPlain, expfmt.TypeProtoDelim, expfmt.TypeOpenMetrics} {
			for _, created := range []bool{false, true} {
				for _, zip := range []bool{false, true} {
					body, err := p.Encode(Encoding{format, created, zip})
					if err != nil {
						t.Fatal(err)
					}
					bodies[&body[0]] = true
				}
			}
		}
	}
	if len(bodies) != 8 || len(p.encoded.done) != 8 {
		t.Errorf("%d bodies, and %d are kept, want 8: of three formats, and of OpenMetrics with starts", len(bodies), len(p.encoded.done))
	}
}
