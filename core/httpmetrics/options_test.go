// SPDX-License-Identifier: Apache-2.0

package httpmetrics

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/shoal-metrics/shoal/core/shoaltest"
)

func TestStatusClasses_RecordTheClassOfTheStatus(t *testing.T) {
	for code, want := range map[int]string{
		100: "1xx", 101: "1xx", 200: "2xx", 299: "2xx", 304: "3xx", 404: "4xx", StatusClientGone: "4xx",
		500: "5xx", 599: "5xx", 600: "other", 99: "other", 0: "other", -1: "other", 65736: "other",
	} {
		t.Run(fmt.Sprint(code), func(t *testing.T) {
			reg := shoaltest.New(t)
			NewRecorder(reg, Opts{StatusClasses: true}).Record(Observation{Method: "GET", Code: code})
			if got := shoaltest.Value(t, reg, "http_requests_total", "method", "GET", "route", "unmatched", "code", want); got != 1 {
				t.Errorf("%v of %s, want 1", got, want)
			}
		})
	}
}

func TestStatusClasses_ManyStatusesShareASeries(t *testing.T) {
	reg := shoaltest.New(t)
	rec := NewRecorder(reg, Opts{StatusClasses: true})
	for code := range 1000 {
		rec.Record(Observation{Method: "GET", Code: code})
	}
	if series, sum := countersOf(t, reg, "http_requests_total"); series != 6 || sum != 1000 {
		t.Errorf("%d series with %v requests, want 6 with 1000", series, sum)
	}
}

// tierOf is a label of the request in flight that a handler cannot change any more.
func tierOf(r *http.Request) string { return r.Header.Get("Tier") }

func TestInFlightLabel_CountsUpAndDownWhateverBecomesOfTheRequest(t *testing.T) {
	for promise, tt := range map[string]struct {
		handler  http.HandlerFunc
		tier     string
		want     string
		panicked bool
	}{
		"an answer": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) }, "gold", "gold", false},
		"a panic":   {func(http.ResponseWriter, *http.Request) { panic("boom") }, "gold", "gold", true},
		"a stream": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			_, _ = w.Write([]byte("data: 1\n\n"))
		}, "gold", "gold", false},
		"a handler that changes the request": {func(_ http.ResponseWriter, r *http.Request) {
			r.Header.Set("Tier", "other")
		}, "gold", "gold", false},
		"a Value that panics": {func(http.ResponseWriter, *http.Request) {}, "panics", "panic", false},
	} {
		t.Run(strings.ReplaceAll(promise, " ", "_"), func(t *testing.T) {
			reg := shoaltest.New(t)
			value := func(r *http.Request) string {
				if tierOf(r) == "panics" {
					panic("label")
				}
				return tierOf(r)
			}
			opts := Opts{InFlightLabel: Label{Name: "tier", Value: value}, Labels: []Label{{Name: "tenant"}}}
			inFlight := func() float64 {
				return shoaltest.Value(t, reg, "http_requests_in_flight", "gauge_index", "0", "tier", tt.want)
			}
			h := recordedBy(NewRecorder(reg, opts), func(w http.ResponseWriter, r *http.Request) {
				if got := inFlight(); got != 1 {
					t.Errorf("%v in flight meanwhile, want 1", got)
				}
				tt.handler(w, r)
			})
			r := getRequest()
			r.Header.Set("Tier", tt.tier)
			func() {
				defer func() {
					if got := recover() != nil; got != tt.panicked {
						t.Errorf("panicked: %v, want %v", got, tt.panicked)
					}
				}()
				h(newHTTP1(), r)
			}()
			if got := inFlight(); got != 0 {
				t.Errorf("%v in flight after the end, want 0", got)
			}
		})
	}
}

func TestInFlightLabel_NeitherASkippedRequestNorThePageIsInFlight(t *testing.T) {
	reg := shoaltest.New(t)
	opts := Opts{
		InFlightLabel: Label{Name: "tier", Value: tierOf},
		Skip:          func(r *http.Request) bool { return tierOf(r) == "skipped" },
	}
	page := Handler(reg, opts.Page)
	h := recordedBy(NewRecorder(reg, opts), func(w http.ResponseWriter, r *http.Request) { page.ServeHTTP(w, r) })
	for _, tier := range []string{"skipped", "gold"} {
		r, w := getRequest(), httptest.NewRecorder()
		r.Header.Set("Tier", tier)
		h(w, r)
		if strings.Contains(w.Body.String(), `http_requests_in_flight{gauge_index="0",tier="`+tier+`"} 1`) {
			t.Errorf("the page has the request for it in flight:\n%s", w.Body)
		}
	}
	if shoaltest.Exists(t, reg, "http_requests_in_flight", "gauge_index", "0", "tier", "skipped") {
		t.Error("a skipped request was in flight")
	}
}

func TestRoute_ComesBeforeWhatTheMiddlewareKnows(t *testing.T) {
	for promise, tt := range map[string]struct {
		route func(*http.Request) string
		want  string
	}{
		"none":              {nil, "/known"},
		"a pattern":         {func(*http.Request) string { return "/told" }, "/told"},
		"empty":             {func(*http.Request) string { return "" }, "/known"},
		"panics":            {func(*http.Request) string { panic("boom") }, "/known"},
		"unmatched":         {func(*http.Request) string { return Unmatched }, Unmatched},
		"by what is inside": {func(r *http.Request) string { return r.PathValue("inside") }, "/inside"},
	} {
		t.Run(promise, func(t *testing.T) {
			reg := shoaltest.New(t)
			asked := 0
			opts := Opts{}
			if tt.route != nil {
				opts.Route = func(r *http.Request) string { asked++; return tt.route(r) }
			}
			recordedBy(NewRecorder(reg, opts), func(_ http.ResponseWriter, r *http.Request) {
				r.Pattern = "/known"
				r.SetPathValue("inside", "/inside")
			})(newHTTP1(), getRequest())
			if got := shoaltest.Value(t, reg, "http_requests_total", "method", "GET", "route", tt.want, "code", "200"); got != 1 {
				t.Errorf("recorded %v under %s, want 1", got, tt.want)
			}
			if asked > 1 {
				t.Errorf("asked %d times, want once", asked)
			}
		})
	}
}

func TestRoute_OfAMiddlewareFurtherInCountsIfTheOutermostKnowsNone(t *testing.T) {
	further := Opts{Route: func(*http.Request) string { return "/further/in" }}
	for promise, tt := range map[string]struct {
		outer   Opts
		pattern string
		want    string
	}{
		"none further out":           {Opts{}, "", "/further/in"},
		"a pattern further out":      {Opts{}, "/outer", "/outer"},
		"another Route":              {Opts{Route: func(*http.Request) string { return "/told" }}, "", "/told"},
		"unmatched further out":      {Opts{}, Unmatched, "/further/in"},
		"empty by a Route that asks": {Opts{Route: func(*http.Request) string { return "" }}, "", "/further/in"},
	} {
		t.Run(promise, func(t *testing.T) {
			reg := shoaltest.New(t)
			inner := recordedBy(NewRecorder(reg, further), func(http.ResponseWriter, *http.Request) {})
			recordedBy(NewRecorder(reg, tt.outer), func(w http.ResponseWriter, r *http.Request) {
				inner(w, r.Clone(r.Context()))
				r.Pattern = tt.pattern
			})(newHTTP1(), getRequest())
			if got := shoaltest.Value(t, reg, "http_requests_total", "method", "GET", "route", tt.want, "code", "200"); got != 1 {
				t.Errorf("recorded %v under %s, want 1", got, tt.want)
			}
		})
	}
}

func TestRoute_SkipRoutesAndThePageHoldForItToo(t *testing.T) {
	reg := shoaltest.New(t)
	h := recordedBy(NewRecorder(reg, Opts{
		Route: func(r *http.Request) string { return r.URL.Path }, SkipRoutes: []string{"/healthz"},
	}), func(http.ResponseWriter, *http.Request) {})
	for _, path := range []string{"/healthz", "/metrics", "/other"} {
		h(newHTTP1(), httptest.NewRequest(http.MethodGet, path, nil))
	}
	if series, sum := countersOf(t, reg, "http_requests_total"); series != 1 || sum != 1 {
		t.Errorf("%d series with %v requests, want 1 with 1", series, sum)
	}
}

func TestSkip_ThatPanicsLetsTheRequestBeRecorded(t *testing.T) {
	reg := shoaltest.New(t)
	opts := Opts{Skip: func(*http.Request) bool { panic("boom") }}
	recordedBy(NewRecorder(reg, opts), func(http.ResponseWriter, *http.Request) {})(newHTTP1(), getRequest())
	if _, sum := countersOf(t, reg, "http_requests_total"); sum != 1 {
		t.Errorf("recorded %v, want 1", sum)
	}
}

// An error names the option, and what to do.
func TestRegisterRecorder_ErrorsSayWhatToDo(t *testing.T) {
	value := func(*http.Request) string { return "" }
	for promise, tt := range map[string]struct {
		opts Opts
		want []string
	}{
		"InFlightLabel without Value": {Opts{InFlightLabel: Label{Name: "tier"}}, []string{"InFlightLabel", `"tier"`, "set a function"}},
		"InFlightLabel without Name":  {Opts{InFlightLabel: Label{Value: value}}, []string{"InFlightLabel", "no Name", "set one"}},
		"a label without Name":        {Opts{Labels: []Label{{Value: value}}}, []string{`"" is not a label name`, "use letters"}},
		"an unknown Duration":         {Opts{Duration: 9}, []string{"Duration", "use Histogram"}},
		"a label twice":               {Opts{Labels: []Label{{Name: "code"}}}, []string{"http_requests_total", `"code"`}},
		"other labels than before":    {byTenant, []string{"http_requests_total", "tenant"}},
		"InFlightLabel where there was none": {Opts{InFlightLabel: Label{Name: "tier", Value: value}},
			[]string{"http_requests_in_flight", "tier"}},
	} {
		t.Run(promise, func(t *testing.T) {
			reg := shoaltest.New(t)
			NewRecorder(reg, Opts{})
			_, err := RegisterRecorder(reg, tt.opts)
			if err == nil {
				t.Fatal("no error")
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%v\ndoes not say %s", err, want)
				}
			}
		})
	}
}
