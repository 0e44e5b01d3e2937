// SPDX-License-Identifier: Apache-2.0

package tests

import (
	"math/rand/v2"
	"net/http"
	"net/url"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	shoal "github.com/shoal-metrics/shoal/core"
	"github.com/shoal-metrics/shoal/core/httpmetrics"
	"github.com/shoal-metrics/shoal/core/shoaltest"
)

// hostile draws requests of an attacker, from a fixed seed. They are handed to the handler,
// so that it also gets those that net/http would refuse.
type hostile struct{ rnd *rand.Rand }

func (h hostile) pick(list ...string) string { return list[h.rnd.IntN(len(list))] }

// word is new with almost every call: plain text, invalid UTF-8, long text or odd characters.
func (h hostile) word() string {
	w := strconv.FormatUint(h.rnd.Uint64(), 36)
	switch h.rnd.IntN(32) {
	case 0:
		return w + "\xff\xfe\xc3\x28"
	case 1:
		return w + long[:2*h.rnd.IntN(len(long)/2)]
	case 2:
		return w + "\"\\\n\x00{},="
	}
	return w
}

var long = strings.Repeat("é", 4000)

func (h hostile) request() *http.Request {
	path := h.pick("/", "/users/", "/tree/", "//", "/metrics/", "/users/../", "") + h.word() + h.pick("", "/", "/"+h.word())
	return &http.Request{
		Method: h.pick("GET", "POST", "HEAD", "CONNECT", "get", "PRI", "", h.word(), strings.ToUpper(h.word())),
		URL:    &url.URL{Path: path, RawQuery: h.word() + "=" + h.word(), Host: h.word()},
		Proto:  "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Host:       h.word() + ".example",
		RemoteAddr: h.word() + ":1",
		RequestURI: path,
		Header: http.Header{
			"User-Agent":             {h.word()},
			"X-Forwarded-For":        {h.word()},
			"X-Http-Method-Override": {h.word()},
			"Content-Type":           {h.word()},
			"X-Tenant":               {h.pick(h.word(), h.word(), "", "shoal_overflow", "a")},
			"X-" + h.word():          {h.word()},
		},
		Body:          http.NoBody,
		ContentLength: h.rnd.Int64N(1<<62) - 1,
	}
}

// nowhere discards answers.
type nowhere struct{ header http.Header }

func (n nowhere) Header() http.Header         { return n.header }
func (n nowhere) Write(b []byte) (int, error) { return len(b), nil }
func (n nowhere) WriteHeader(int)             {}

// usage is what a flood of requests left behind.
type usage struct {
	heap    int64
	mallocs float64 // a request
}

// flood serves n requests. Work is measured in allocations, which don't depend
// on what else the machine does.
func (h hostile) flood(handler http.Handler, n int) usage {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range n {
		handler.ServeHTTP(nowhere{http.Header{}}, h.request())
	}
	runtime.ReadMemStats(&after)
	u := usage{mallocs: float64(after.Mallocs-before.Mallocs) / float64(n)}
	u.heap = heap()
	return u
}

// heap is how many bytes the live objects take.
func heap() int64 {
	runtime.GC()
	runtime.GC() // the second collects what sync.Pools held
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// floodCase is a way to set a middleware up.
type floodCase struct {
	opts     httpmetrics.Opts
	limit    int // of series of a family
	most     int // series that http_requests_total, or whatever its name is, may have
	requests string
	window   int // of requests that are measured
	warm     int // requests before the first of them
	flood    int // in all
	adapters []framework
}

// hostileLabels are what nobody should take for labels: clients choose their values.
var hostileLabels = []httpmetrics.Label{
	{Name: "tenant", Value: func(r *http.Request) string { return r.Header.Get("X-Tenant") }},
	{Name: "host", Value: func(r *http.Request) string { return r.Host }},
	{Name: "agent", Value: func(r *http.Request) string { return r.Header["User-Agent"][1] }}, // panics
}

var floodCases = map[string]floodCase{
	// Paths, methods, hosts and headers: no more series than routes, methods and
	// codes make, and none of it stays in memory.
	"what an adapter takes of a request": {
		limit: shoal.DefSeriesLimit, most: 60, requests: "http_requests_total", window: 4000, warm: 4000, flood: 25_000,
		adapters: frameworks,
	},
	// Even labels that a client chooses end at the cap, in OpenTelemetry's names
	// too. The cache of handles is full after its 16,384. All this is the recorder's
	// doing, so one adapter is enough.
	"labels from the request, OpenTelemetry's names": {
		opts: httpmetrics.Opts{
			Names: httpmetrics.OpenTelemetryNames(), Labels: hostileLabels,
			Duration: httpmetrics.HistogramAndSummary, RequestSize: true, ResponseSize: true,
		},
		limit: 100, most: 101, requests: "http_server_requests_total", window: 4000, warm: 18_000, flood: 34_000,
		adapters: frameworks[:1],
	},
}

func TestAttack_AFloodLeavesSeriesMemoryAndWorkAsTheyWere(t *testing.T) {
	for name, c := range floodCases {
		t.Run(name, func(t *testing.T) {
			forEachOf(t, c.adapters, func(t *testing.T, f framework) {
				server := shoaltest.NewServer()
				reg := server.New(t, shoal.Opts{SeriesLimit: c.limit, Interval: time.Hour, OnError: func(error) {}})
				handler := f.build(reg, c.opts, []route{
					{"GET", "/users/{id}", text("user")}, {"POST", "/users/{id}", text("user")},
					{"GET", "/tree/{name}/", text("tree")}, {"CONNECT", "/tree/{name}/", text("tree")},
				})
				h := hostile{rand.New(rand.NewPCG(7, 8))}
				h.flood(handler, c.warm)
				if err := reg.Flush(t.Context()); err != nil { // what the server in this process keeps is no growth
					t.Fatal(err)
				}
				early := h.flood(handler, c.window)
				h.flood(handler, c.flood-c.warm-2*c.window)
				late, served := h.flood(handler, c.window), c.flood
				// What others in this process hold for a moment is measured as well. A leak only grows.
				for more := 0; late.heap-early.heap > 128<<10 && more < 3; more++ {
					late, served = h.flood(handler, c.window), served+c.window
				}
				runtime.KeepAlive(handler) // what it holds was measured

				grown := late.heap - early.heap
				t.Logf("%d bytes more, %.1f allocations a request, %.1f at first", grown, late.mallocs, early.mallocs)
				if grown > 128<<10 {
					t.Errorf("%d requests more took %d bytes of memory for good", served-c.warm-c.window, grown)
				}
				if late.mallocs > 1.1*early.mallocs+1 {
					t.Errorf("a request allocates %.1f times after %d, and %.1f times at first", late.mallocs, served, early.mallocs)
				}
				if err := reg.Flush(t.Context()); err != nil {
					t.Fatal(err)
				}
				// Here, in Redis, and in a process that only reads.
				other := server.New(t, shoal.Opts{ReadOnly: true, OnError: func(error) {}})
				for who, r := range map[string]*shoal.Registry{"the attacked process": reg, "another process": other} {
					total := 0.0
					for family, series := range seriesOf(t, r) {
						if series.n > c.most && !strings.HasPrefix(family, "shoal_") {
							t.Errorf("%s shows %d series of %s, want %d at most", who, series.n, family, c.most)
						}
						if family == c.requests {
							total = series.sum
							wantLabels(t, f, series.labels)
						}
						if series.longest > 1024 {
							t.Errorf("%s shows a label of %d bytes in %s", who, series.longest, family)
						}
					}
					// gin redirects for a slash before any middleware.
					if total > float64(served) || total < 0.95*float64(served) || total < float64(served) && f.name != "gin" {
						t.Errorf("%s shows %v requests, want %d", who, total, served)
					}
				}
			})
		})
	}
}

// extent is how much a page shows of a family.
type extent struct {
	n, longest int
	sum        float64             // of a counter
	labels     map[string][]string // by name
}

// wantLabels checks that no label of the requests has a value that a client chose.
func wantLabels(t *testing.T, f framework, labels map[string][]string) {
	t.Helper()
	allowed := map[string][]string{
		"method": {"GET", "POST", "HEAD", "CONNECT", "other"},
		"route":  {"unmatched", f.pattern("/users/{id}"), f.pattern("/tree/{name}/"), f.pattern("/tree/{name}")},
	}
	for name, values := range allowed {
		for _, value := range labels[name] {
			if !slices.Contains(values, value) {
				t.Errorf("a client chose the label %s=%q", name, value)
			}
		}
	}
}

func seriesOf(t *testing.T, reg *shoal.Registry) map[string]extent {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]extent{}
	for _, f := range families {
		e := extent{n: len(f.Metric), labels: map[string][]string{}}
		for _, m := range f.Metric {
			e.sum += m.GetCounter().GetValue()
			for _, l := range m.Label {
				e.longest = max(e.longest, len(l.GetValue()))
				e.labels[l.GetName()] = append(e.labels[l.GetName()], l.GetValue())
			}
		}
		all[f.GetName()] = e
	}
	return all
}
