// SPDX-License-Identifier: Apache-2.0

package httpmetrics

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"sync"
	"testing"
	"time"
	"unsafe"

	shoal "github.com/shoal-metrics/shoal/core"
	"github.com/shoal-metrics/shoal/core/shoaltest"
)

// recordedBy is a middleware for net/http in its shortest form.
func recordedBy(rec *Recorder, next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if rec.Skips(r) {
			next(w, r)
			return
		}
		w, x := rec.Wrap(w, r, func(r *http.Request) string { return r.Pattern })
		defer x.End()
		next(w, x.Inside(r))
		x.Returned()
	}
}

var byTenant = Opts{Labels: []Label{{Name: "tenant"}}}

// ofTenant is how many requests of a tenant are recorded. The page omits an empty label.
func ofTenant(t *testing.T, reg *shoal.Registry, tenant string) float64 {
	t.Helper()
	labels := []string{"method", "GET", "route", "unmatched", "code", "200"}
	if tenant != "" {
		labels = append(labels, "tenant", tenant)
	}
	if !shoaltest.Exists(t, reg, "http_requests_total", labels...) {
		return 0
	}
	return shoaltest.Value(t, reg, "http_requests_total", labels...)
}

func TestSetLabel_TheLastValueBeforeTheRecordingCounts(t *testing.T) {
	for promise, tt := range map[string]struct {
		handler http.HandlerFunc
		want    string
	}{
		"none is empty": {func(http.ResponseWriter, *http.Request) {}, ""},
		"one":           {func(_ http.ResponseWriter, r *http.Request) { SetLabel(r.Context(), "tenant", "a") }, "a"},
		"the last of two": {func(_ http.ResponseWriter, r *http.Request) {
			SetLabel(r.Context(), "tenant", "a")
			SetLabel(r.Context(), "tenant", "b")
		}, "b"},
		"a name that is not declared changes nothing": {func(_ http.ResponseWriter, r *http.Request) {
			SetLabel(r.Context(), "tenant", "a")
			SetLabel(r.Context(), "user", "b")
			SetLabel(r.Context(), "route", "c")
			SetLabel(context.Background(), "tenant", "d")
		}, "a"},
		"by a context that comes from the request's": {func(_ http.ResponseWriter, r *http.Request) {
			ctx, cancel := context.WithCancel(r.Context())
			cancel()
			SetLabel(ctx, "tenant", "a")
		}, "a"},
		"after a stream began it is too late": {func(w http.ResponseWriter, r *http.Request) {
			SetLabel(r.Context(), "tenant", "a")
			w.Header().Set("Content-Type", "text/event-stream")
			w.WriteHeader(http.StatusOK)
			SetLabel(r.Context(), "tenant", "b")
		}, "a"},
		"after the answer it is not": {func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, "answer")
			SetLabel(r.Context(), "tenant", "a")
		}, "a"},
		"a copy is kept": {func(_ http.ResponseWriter, r *http.Request) {
			buffer := []byte("a")
			SetLabel(r.Context(), "tenant", unsafe.String(&buffer[0], 1))
			buffer[0] = 'b' // as a server does that uses it for the next request
		}, "a"},
	} {
		t.Run(promise, func(t *testing.T) {
			reg := shoaltest.New(t)
			var after context.Context
			recordedBy(NewRecorder(reg, byTenant), func(w http.ResponseWriter, r *http.Request) {
				after = r.Context()
				tt.handler(w, r)
			})(newHTTP1(), getRequest())
			SetLabel(after, "tenant", "after the request")
			if got := ofTenant(t, reg, tt.want); got != 1 {
				t.Errorf("%v requests of %q, want 1", got, tt.want)
			}
		})
	}
}

func TestSetLabel_ReachesEveryMiddlewareAround(t *testing.T) {
	reg, other := shoaltest.New(t), shoaltest.New(t)
	outer := NewRecorder(reg, byTenant)
	between := NewRecorder(other, Opts{Labels: []Label{{Name: "plan"}, {Name: "tenant"}}})
	unlabelled := NewRecorder(shoaltest.New(t), Opts{})
	same := NewRecorder(reg, byTenant)
	recordedBy(outer, recordedBy(between, recordedBy(unlabelled, recordedBy(same, func(_ http.ResponseWriter, r *http.Request) {
		SetLabel(r.Context(), "tenant", "a")
		SetLabel(r.Context(), "plan", "gold")
	}))))(newHTTP1(), getRequest())
	if got := ofTenant(t, reg, "a"); got != 1 {
		t.Errorf("the outermost recorded %v, want 1", got)
	}
	if got := shoaltest.Value(t, other, "http_requests_total",
		"method", "GET", "route", "unmatched", "code", "200", "tenant", "a", "plan", "gold"); got != 1 {
		t.Errorf("that with other metrics recorded %v, want 1", got)
	}
}

// Run with -race. The handler behind http.TimeoutHandler outlasts the request.
func TestSetLabel_MayBeCalledByAnyGoroutine(t *testing.T) {
	reg := shoaltest.New(t)
	var wg sync.WaitGroup
	begun, timedOut := make(chan struct{}), make(chan struct{})
	slow := http.TimeoutHandler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		for g := range 4 {
			wg.Go(func() {
				SetLabel(r.Context(), "tenant", "a")
				if g == 0 {
					close(begun)
				}
				for {
					SetLabel(r.Context(), "tenant", "a")
					select {
					case <-timedOut:
						return
					default:
					}
				}
			})
		}
		wg.Wait()
	}), time.Nanosecond, "")
	recordedBy(NewRecorder(reg, byTenant), func(w http.ResponseWriter, r *http.Request) {
		slow.ServeHTTP(w, r)
		<-begun
	})(newHTTP1(), getRequest())
	close(timedOut)
	wg.Wait()
	if got := shoaltest.Value(t, reg, "http_requests_total",
		"method", "GET", "route", "unmatched", "code", "503", "tenant", "a"); got != 1 {
		t.Errorf("recorded %v, want 1", got)
	}
}

// However many tenants there are, the page has no more series than the limit and one.
func TestSetLabel_ValuesBeyondTheLimitShareOneSeries(t *testing.T) {
	const tenants, limit = 20_000, 1000
	reg := shoaltest.NewServer().New(t, shoal.Opts{SeriesLimit: limit})
	tenant := ""
	h := recordedBy(NewRecorder(reg, byTenant), func(_ http.ResponseWriter, r *http.Request) {
		SetLabel(r.Context(), "tenant", tenant)
	})
	for i := range tenants {
		tenant = fmt.Sprint("t", i)
		h(newHTTP1(), getRequest())
	}
	series, sum := countersOf(t, reg, "http_requests_total")
	if series != limit+1 || sum != tenants {
		t.Errorf("%d series with %v requests in all, want %d with %d", series, sum, limit+1, tenants)
	}
	overflow := []string{"method", "shoal_overflow", "route", "shoal_overflow", "code", "shoal_overflow", "tenant", "shoal_overflow"}
	if got := shoaltest.Value(t, reg, "http_requests_total", overflow...); got != tenants-limit {
		t.Errorf("%v share the overflow series, want %d", got, tenants-limit)
	}
}

// countersOf is how many series a counter has on the page, and their sum.
func countersOf(t *testing.T, reg *shoal.Registry, name string) (series int, sum float64) {
	t.Helper()
	if err := reg.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			for _, m := range f.GetMetric() {
				series, sum = series+1, sum+m.GetCounter().GetValue()
			}
		}
	}
	return series, sum
}

// A label that is set from inside changes nothing about what functions of others see: the
// request as the handlers change it in place.
func TestInside_FunctionsOfOptsGetTheRequestThatHandlersChange(t *testing.T) {
	for promise, further := range map[string][]Label{"alone": nil, "beside a label from inside": {{Name: "tenant"}}} {
		t.Run(promise, func(t *testing.T) {
			reg := shoaltest.New(t)
			version := Label{Name: "version", Value: func(r *http.Request) string { return r.PathValue("version") }}
			mux := http.NewServeMux()
			mux.HandleFunc("GET /api/{version}/users", func(_ http.ResponseWriter, r *http.Request) {})
			r := getRequest()
			r.URL.Path = "/api/v2/users"
			recordedBy(NewRecorder(reg, Opts{Labels: append(further, version)}), mux.ServeHTTP)(newHTTP1(), r)
			labels := []string{"method", "GET", "route", "GET /api/{version}/users", "code", "200", "version", "v2"}
			if got := shoaltest.Value(t, reg, "http_requests_total", labels...); got != 1 {
				t.Errorf("recorded %v, want 1", got)
			}
			if r.Pattern != "GET /api/{version}/users" {
				t.Errorf("further out the pattern is %q", r.Pattern)
			}
		})
	}
}

func TestInside_AllocatesForLabelsFromInsideAlone(t *testing.T) {
	one := func(*http.Request) string { return "1" }
	for promise, tt := range map[string]struct {
		opts Opts
		want float64
	}{
		"no options":         {Opts{}, 1}, // the ResponseWriter
		"other options":      {Opts{StatusClasses: true, Route: one, Skip: func(*http.Request) bool { return false }}, 1},
		"a label":            {Opts{Labels: []Label{{Name: "version", Value: one}}}, 2}, // and the values
		"InFlightLabel":      {Opts{InFlightLabel: Label{Name: "tier", Value: one}}, 2}, // and extras
		"a label set inside": {Opts{Labels: []Label{{Name: "tenant"}}}, 5},              // extras, two slices of values, the request
		"two set inside":     {Opts{Labels: []Label{{Name: "tenant"}, {Name: "plan"}}, InFlightLabel: Label{Name: "tier", Value: one}}, 5},
	} {
		t.Run(promise, func(t *testing.T) {
			h := recordedBy(NewRecorder(shoal.New(), tt.opts), func(http.ResponseWriter, *http.Request) {})
			w, r := newHTTP1(), getRequest()
			h(w, r)
			if got := testing.AllocsPerRun(100, func() { h(w, r) }); got != tt.want {
				t.Errorf("%v allocations, want %v", got, tt.want)
			}
		})
	}
}

func BenchmarkSetLabel(b *testing.B) {
	rec := NewRecorder(shoal.New(), byTenant)
	h := recordedBy(rec, func(_ http.ResponseWriter, r *http.Request) { SetLabel(r.Context(), "tenant", "a") })
	w, r := newHTTP1(), getRequest()
	b.ReportAllocs()
	for b.Loop() {
		h(w, r)
	}
}
