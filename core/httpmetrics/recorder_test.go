// SPDX-License-Identifier: Apache-2.0

package httpmetrics

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
	"unsafe"

	shoal "github.com/shoal-metrics/shoal/core"
	"github.com/shoal-metrics/shoal/core/shoaltest"
)

func TestRecorder_NarrowsMethodAndCode(t *testing.T) {
	tests := []struct {
		method           string
		code             int
		wantMethod, want string
	}{
		{"GET", 200, "GET", "200"},
		{"TRACE", 599, "TRACE", "599"},
		{"get", 100, "other", "100"},
		{"", 99, "other", "other"},
		{"PROPFIND", 600, "other", "other"},
		{"GET\xff", -1, "other", "other"},
		{"CONNECT", 0, "CONNECT", "other"},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprintf("%q %d", tt.method, tt.code), func(t *testing.T) {
			reg := shoaltest.New(t)
			NewRecorder(reg, Opts{}).Record(Observation{Method: tt.method, Code: tt.code})
			if got := shoaltest.Value(t, reg, "http_requests_total",
				"method", tt.wantMethod, "route", "unmatched", "code", tt.want); got != 1 {
				t.Errorf("recorded %v times, want once", got)
			}
		})
	}
}

func TestRecorder_DefaultNamesBucketsAndSeconds(t *testing.T) {
	reg := shoaltest.New(t)
	rec := NewRecorder(reg, Opts{})
	rec.Record(Observation{Method: "GET", Route: "/r", Code: 200, Duration: 250 * time.Millisecond})
	labels := []string{"method", "GET", "route", "/r", "code", "200"}
	if got := shoaltest.Sum(t, reg, "http_request_duration_seconds", labels...); got != 0.25 {
		t.Errorf("the duration is %v, want 0.25 s", got)
	}
	names := pageNames(t, reg)
	want := "http_request_duration_seconds http_requests_total"
	if names != want {
		t.Errorf("the page has %s, want %s", names, want)
	}
}

// pageNames lists the families of the page without shoal's own.
func pageNames(t *testing.T, reg *shoal.Registry) string {
	t.Helper()
	if err := reg.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range families {
		if !strings.HasPrefix(f.GetName(), "shoal_") {
			names = append(names, f.GetName())
		}
	}
	return strings.Join(names, " ")
}

func TestRecorder_OptionsChooseTheMetrics(t *testing.T) {
	tests := map[string]struct {
		opts Opts
		want string
	}{
		"summary instead": {Opts{Duration: Summary},
			"http_request_duration_seconds http_requests_in_flight http_requests_total"},
		"summary beside": {Opts{Duration: HistogramAndSummary},
			"http_request_duration_seconds http_request_duration_summary_seconds http_requests_in_flight http_requests_total"},
		"sizes": {Opts{RequestSize: true, ResponseSize: true},
			"http_request_duration_seconds http_request_size_bytes http_requests_in_flight http_requests_total http_response_size_bytes"},
		"namespace": {Opts{Namespace: "shop"},
			"shop_http_request_duration_seconds shop_http_requests_in_flight shop_http_requests_total"},
		"one name": {Opts{Names: Names{Requests: "hits_total"}},
			"hits_total http_request_duration_seconds http_requests_in_flight"},
		"OpenTelemetry": {Opts{Names: OpenTelemetryNames(), RequestSize: true, ResponseSize: true},
			"http_server_active_requests http_server_request_body_size_bytes http_server_request_duration_seconds http_server_requests_total http_server_response_body_size_bytes"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			reg := shoaltest.New(t)
			rec := NewRecorder(reg, tt.opts)
			rec.InFlight(nil).Inc()
			rec.Record(Observation{Method: "GET", Code: 200})
			if got := pageNames(t, reg); got != tt.want {
				t.Errorf("the page has\n%s, want\n%s", got, tt.want)
			}
		})
	}
}

func TestRecorder_OpenTelemetryLabels(t *testing.T) {
	reg := shoaltest.New(t)
	rec := NewRecorder(reg, Opts{Names: OpenTelemetryNames(), ConstLabels: shoal.Labels{"zone": "a"}})
	rec.Record(Observation{Method: "BREW", Route: "/pot", Code: 418})
	if got := shoaltest.Value(t, reg, "http_server_request_duration_seconds", "zone", "a",
		"http_request_method", "_OTHER", "http_route", "/pot", "http_response_status_code", "418"); got != 1 {
		t.Errorf("recorded %v times, want once", got)
	}
}

func TestRecorder_SkippedRoutesAndThePageLeaveNoSeries(t *testing.T) {
	reg := shoaltest.New(t)
	rec := NewRecorder(reg, Opts{SkipRoutes: []string{"/healthz"}, MetricsPath: "/-/metrics"})
	for range 2 {
		for _, route := range []string{"/healthz", "/-/metrics", "/metrics"} {
			rec.Record(Observation{Method: "GET", Route: route, Code: 200})
		}
	}
	if shoaltest.Exists(t, reg, "http_requests_total", "method", "GET", "route", "/healthz", "code", "200") {
		t.Error("a skipped route was recorded")
	}
	if shoaltest.Exists(t, reg, "http_requests_total", "method", "GET", "route", "/-/metrics", "code", "200") {
		t.Error("the page was recorded")
	}
	if got := shoaltest.Value(t, reg, "http_requests_total", "method", "GET", "route", "/metrics", "code", "200"); got != 2 {
		t.Errorf("a route that is not the page: %v, want 2", got)
	}
}

func TestRecorder_RegisteredTwiceShares(t *testing.T) {
	reg := shoaltest.New(t)
	opts := Opts{RequestSize: true, Labels: []Label{{Name: "tier", Value: func(*http.Request) string { return "" }}}}
	for range 2 {
		NewRecorder(reg, opts).Record(Observation{Method: "GET", Code: 200, Labels: []string{"gold"}})
	}
	if got := shoaltest.Value(t, reg, "http_requests_total",
		"method", "GET", "route", "unmatched", "code", "200", "tier", "gold"); got != 2 {
		t.Errorf("both recorded %v, want 2", got)
	}
}

func TestRecorder_OtherConstLabelsAreSeriesOfTheirOwn(t *testing.T) {
	reg := shoaltest.New(t)
	with := func(server string) Opts {
		return Opts{ConstLabels: shoal.Labels{"server": server}, Duration: HistogramAndSummary, RequestSize: true, ResponseSize: true}
	}
	public, admin := NewRecorder(reg, with("public")), NewRecorder(reg, with("admin"))
	public.Record(Observation{Method: "GET", Code: 200})
	public.InFlight(nil).Inc()
	admin.Record(Observation{Method: "GET", Code: 200})
	NewRecorder(reg, with("admin")).Record(Observation{Method: "GET", Code: 200})
	for server, want := range map[string]struct{ requests, inFlight float64 }{"public": {1, 1}, "admin": {2, 0}} {
		for _, name := range []string{
			"http_requests_total", "http_request_duration_seconds", "http_request_duration_summary_seconds",
			"http_request_size_bytes", "http_response_size_bytes",
		} {
			if got := shoaltest.Value(t, reg, name, "method", "GET", "route", "unmatched", "code", "200", "server", server); got != want.requests {
				t.Errorf("%s of %s is %v, want %v", name, server, got, want.requests)
			}
		}
		if got := shoaltest.Exists(t, reg, "http_requests_in_flight", "gauge_index", "0", "server", server); got != (want.inFlight != 0) {
			t.Errorf("%s shows a request in flight: %v", server, got)
		}
	}
	public.InFlight(nil).Dec()
	if _, err := RegisterRecorder(reg, Opts{}); err == nil {
		t.Error("a recorder without the constant label was registered beside those with it")
	}
}

func TestRecorder_ClashIsAnErrorBeforeServing(t *testing.T) {
	reg := shoaltest.New(t)
	NewRecorder(reg, Opts{})
	for name, opts := range map[string]Opts{
		"other buckets":  {Buckets: []float64{1, 2}},
		"other kind":     {Duration: Summary},
		"bad label":      {Labels: []Label{{Name: "le", Value: func(*http.Request) string { return "" }}}},
		"label missing":  {Labels: []Label{{Name: "tier"}}},
		"unknown kind":   {Duration: 7},
		"impossible":     {Names: Names{Requests: "no good"}},
		"same name":      {Names: Names{RequestSize: "x", ResponseSize: "x_sum"}, RequestSize: true, ResponseSize: true},
		"label twice":    {Names: Names{Route: "method"}},
		"bad namespace":  {Namespace: "shoal"},
		"sum of another": {Names: Names{DurationSummary: "http_request_duration_seconds_sum"}, Duration: HistogramAndSummary},
	} {
		if _, err := RegisterRecorder(reg, opts); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestRecorder_MissingAndSurplusLabelsNeverPanic(t *testing.T) {
	reg := shoaltest.New(t)
	rec := NewRecorder(reg, Opts{Labels: []Label{{Name: "tier", Value: func(*http.Request) string { return "" }}}})
	rec.Record(Observation{Method: "GET", Code: 200})
	rec.Record(Observation{Method: "GET", Code: 200, Labels: []string{"gold", "surplus"}})
	if got := shoaltest.Value(t, reg, "http_requests_total",
		"method", "GET", "route", "unmatched", "code", "200", "tier", "gold"); got != 1 {
		t.Errorf("recorded %v times, want once", got)
	}
}

func TestRecorder_RecordDoesNotAllocateOnceKnown(t *testing.T) {
	rec := NewRecorder(shoal.New(), Opts{RequestSize: true, ResponseSize: true, Duration: HistogramAndSummary})
	o := Observation{Method: "GET", Route: "/users/{id}", Code: 200, Duration: time.Millisecond}
	rec.Record(o)
	if n := testing.AllocsPerRun(100, func() { rec.Record(o) }); n != 0 {
		t.Errorf("%v allocations, want none", n)
	}
}

func TestCache_TellsKeysOfDifferentValuesApart(t *testing.T) {
	keys := []key{
		{1, 200, "/a", nil},
		{2, 200, "/a", nil},
		{1, 201, "/a", nil},
		{1, 200, "/b", nil},
		{1, 200, "", []string{"/a"}},
		{1, 200, "/a", []string{""}},
		{1, 200, "/a", []string{"xy", ""}},
		{1, 200, "/a", []string{"x", "y"}},
		{1, 200, "/a", []string{"y", "x"}},
		{1, 200, "y/a", []string{"x", ""}},
	}
	c := new(cache)
	reg := shoal.New()
	counters := make([]*shoal.Counter, len(keys))
	for i := range keys {
		if c.get(&keys[i]) != nil {
			t.Errorf("%v is found before it was put", keys[i])
		}
		counters[i] = reg.NewCounter(shoal.CounterOpts{Name: fmt.Sprintf("c%d_total", i)})
		c.put(&keys[i], handles{requests: counters[i]})
	}
	for i := range keys {
		if h := c.get(&keys[i]); h == nil || h.requests != counters[i] {
			t.Errorf("%v finds something else", keys[i])
		}
	}
}

// Some servers reuse the memory of a request's strings for the next request.
func TestCache_KeepsNoStringOfTheRequest(t *testing.T) {
	c := new(cache)
	buf := []byte("/aX")
	given := unsafe.String(&buf[0], len(buf))
	c.put(&key{1, 200, given[:2], []string{given[2:]}}, handles{})
	copy(buf, "!!!")
	if c.get(&key{1, 200, "/a", []string{"X"}}) == nil {
		t.Error("the key changed with the buffer of the request")
	}
}

func TestRecorder_KeepsNoStringOfTheObservation(t *testing.T) {
	reg := shoaltest.New(t)
	rec := NewRecorder(reg, Opts{RequestSize: true, Labels: []Label{{Name: "tenant"}}})
	buf := []byte("GET/aX")
	given := unsafe.String(&buf[0], len(buf))
	o := Observation{Method: given[:3], Route: given[3:5], Code: 200, RequestSize: 1, Labels: []string{given[5:]}}
	rec.Record(o)
	copy(buf, "PUT/bY")
	rec.Record(o)
	for _, want := range [][]string{{"GET", "/a", "X"}, {"PUT", "/b", "Y"}} {
		for _, name := range []string{"http_requests_total", "http_request_duration_seconds", "http_request_size_bytes"} {
			if got := shoaltest.Value(t, reg, name, "method", want[0], "route", want[1], "code", "200", "tenant", want[2]); got != 1 {
				t.Errorf("%s of %v is %v, want 1", name, want, got)
			}
		}
	}
}

func TestCache_StaysBoundedAndFindsWhatItHolds(t *testing.T) {
	c := new(cache)
	route := func(i int) *key { return &key{1, 200, fmt.Sprint(i), nil} }
	c.put(&key{1, 200, strings.Repeat("x", maxKey+1), nil}, handles{})
	c.put(&key{1, 200, "", []string{strings.Repeat("x", maxKey), "x"}}, handles{})
	if c.entries.Len() != 0 {
		t.Error("a key that is too long is kept")
	}
	for i := range maxCached + 100 {
		c.put(route(i), handles{})
		c.put(route(i), handles{})
	}
	if c.entries.Len() != maxCached {
		t.Errorf("%d entries, want %d", c.entries.Len(), maxCached)
	}
	c.mu.Lock() // a reader that took the lock would hang here
	defer c.mu.Unlock()
	for i := range maxCached {
		if c.get(route(i)) == nil {
			t.Fatalf("entry %d is not found", i)
		}
	}
	if c.get(route(maxCached)) != nil {
		t.Error("an entry above the bound is found")
	}
}

func TestRecorder_ConcurrentRequestsAreAllCounted(t *testing.T) {
	reg := shoaltest.New(t)
	rec := NewRecorder(reg, Opts{})
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for i := range 500 {
				rec.InFlight(nil).Inc()
				rec.Record(Observation{Method: "GET", Route: fmt.Sprint("/", (i+g)%50), Code: 200})
				rec.InFlight(nil).Dec()
			}
		})
	}
	wg.Wait()
	var total float64
	for i := range 50 {
		total += shoaltest.Value(t, reg, "http_requests_total", "method", "GET", "route", fmt.Sprint("/", i), "code", "200")
	}
	if total != 2000 {
		t.Errorf("counted %v, want 2000", total)
	}
}

func BenchmarkRecorder_Record(b *testing.B) {
	rec := NewRecorder(shoal.New(), Opts{})
	o := Observation{Method: "GET", Route: "/users/{id}", Code: 200, Duration: time.Millisecond}
	b.ReportAllocs()
	for b.Loop() {
		rec.Record(o)
	}
}

func BenchmarkRecorder_RecordContended(b *testing.B) {
	rec := NewRecorder(shoal.New(), Opts{})
	o := Observation{Method: "GET", Route: "/users/{id}", Code: 200, Duration: time.Millisecond}
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			rec.Record(o)
		}
	})
}

func BenchmarkExchange(b *testing.B) {
	rec := NewRecorder(shoal.New(), Opts{})
	inner := newHTTP1()
	inner = struct{ http.ResponseWriter }{inner}
	r := getRequest()
	route := func(*http.Request) string { return "/users/{id}" }
	b.ReportAllocs()
	for b.Loop() {
		w, x := rec.Wrap(inner, r, route)
		_, _ = w.Write(nil)
		x.Returned()
		x.End()
	}
}
