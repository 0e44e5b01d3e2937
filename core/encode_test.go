// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/shoal-metrics/shoal/core/internal/memstore"
	"github.com/shoal-metrics/shoal/core/internal/wire"
)

// variants are headers that ask for a page in different words.
func variants(n int) (list []http.Header) {
	for i := range n {
		list = append(list, http.Header{
			"Accept": {[]string{
				"text/plain;version=0.0.4", "application/openmetrics-text;version=1.0.0",
				"application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited",
			}[i%3] + ";escaping=" + []string{"allow-utf-8", "underscores", "dots", "values", "x" + strconv.Itoa(i)}[i/3%5] +
				fmt.Sprintf(";charset=c%d;q=0.%d;validchars=%d", i, 1+i%9, i)},
			"Accept-Encoding": {[]string{"", "gzip", "gzip;q=0", "*"}[i/15%4]},
		})
	}
	return list
}

// However scrapers word what they accept, those who share a reading share six
// bodies at most: what a page keeps does not grow with the number of words.
func TestPage_KeepsFewEncodingsHoweverManyAreAskedFor(t *testing.T) {
	h := &handler{New(), HandlerOpts{EnableOpenMetrics: true}}
	kept := func(headers []http.Header) (bodies map[*byte]bool, bytes int64) {
		p := wide(20_000)
		bodies = map[*byte]bool{}
		before := heap()
		for _, header := range headers {
			format, zip := h.negotiate(&http.Request{Header: header})
			body, err := p.encode(format, zip)
			if err != nil {
				t.Fatal(err)
			}
			bodies[&body[0]] = true
		}
		bytes = heap() - before
		runtime.KeepAlive(p)
		return bodies, bytes
	}
	kept(variants(6)) // fills pools
	few, little := kept(append(variants(3), variants(18)[15:]...))
	many, much := kept(variants(200))
	if len(few) != 6 || len(many) != 6 {
		t.Errorf("%d bodies for 6 headers, %d for 200", len(few), len(many))
	}
	if much > little+little/4 {
		t.Errorf("a page keeps %d bytes after 6 headers, %d after 200", little, much)
	}
}

// wide is a page of one counter with n series.
func wide(n int) *page {
	f := &pageFamily{name: "c_total", kind: wire.TypeCounter, labels: &labelSets{}}
	for i := range n {
		f.addLabelled([]wire.Label{{Name: "n", Value: strconv.Itoa(i)}}, rand.Float64())
	}
	return &page{families: []*pageFamily{f}}
}

// net/http lets a megabyte of headers through. Most of it is not looked at.
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
