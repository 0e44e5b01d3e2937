// SPDX-License-Identifier: Apache-2.0

package shoalhttp_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	shoal "github.com/shoal-metrics/shoal/core"
	"github.com/shoal-metrics/shoal/core/shoaltest"
	shoalhttp "github.com/shoal-metrics/shoal/middleware/nethttp"
)

type layer = func(http.Handler) http.Handler

// rewriting gives the next handler another path, in the request itself or in a
// copy of it.
func rewriting(inPlace bool, rewrite func(path string) string) layer {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if !inPlace {
				r = r.Clone(r.Context())
			}
			r.URL.Path, r.URL.RawPath = rewrite(r.URL.Path), ""
			next.ServeHTTP(w, r)
		})
	}
}

func locale(path string) string { return strings.TrimPrefix(path, "/de") }

// override takes the method from a header, as clients behind old proxies need it.
func override(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r = r.Clone(r.Context())
		r.Method = r.Header.Get("X-HTTP-Method-Override")
		next.ServeHTTP(w, r)
	})
}

// refusing stands for an authentication that refuses everybody.
func refusing(http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "who are you?", http.StatusUnauthorized)
	})
}

func strip(prefix string) layer {
	return func(next http.Handler) http.Handler { return http.StripPrefix(prefix, next) }
}

func TestRoute_IsNotedAtTheMuxWhateverIsInBetween(t *testing.T) {
	// If mux were asked about the request as it came, it would often name another of its
	// routes.
	newMux := func() *http.ServeMux {
		mux := http.NewServeMux()
		mux.Handle("GET /users/{id}", ok)
		mux.Handle("PUT /users/{id}/name", ok)
		mux.Handle("POST /users/{id}/name", ok)
		mux.Handle("POST /items/{id}", ok)
		mux.Handle("PUT /items/", ok)
		mux.Handle("GET /shop/{page...}", ok)
		mux.Handle("GET /de/{page...}", ok)
		mux.Handle("GET /tree/{name}/", ok)
		mux.Handle("/late", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			r.URL.Path, r.Method, r.Pattern = "/users/7", "PUT", "/nonsense"
			_, _ = w.Write([]byte("ok"))
		}))
		return mux
	}
	tests := []struct {
		promise        string
		between        []layer
		method, target string
		route, code    string
	}{
		{"StripPrefix", []layer{strip("/shop")}, "GET", "/shop/users/7", "/users/{id}", "200"},
		{"StripPrefix to what is not there", []layer{strip("/shop")}, "GET", "/shop/nothing", "unmatched", "404"},
		{"StripPrefix of another prefix never reaches mux", []layer{strip("/shop")}, "GET", "/users/7", "/users/{id}", "404"},
		{"two of them", []layer{strip("/a"), strip("/b")}, "GET", "/a/b/users/7", "/users/{id}", "200"},
		{"a copy in between", []layer{copying, strip("/shop"), copying}, "GET", "/shop/users/7", "/users/{id}", "200"},
		{"a path that is rewritten in place", []layer{rewriting(true, locale)}, "GET", "/de/users/7", "/users/{id}", "200"},
		{"a path that is rewritten in a copy", []layer{rewriting(false, locale)}, "GET", "/de/users/7", "/users/{id}", "200"},
		{"another method", []layer{override}, "POST", "/items/7", "/items/", "200"},
		{"a redirect of mux", []layer{strip("/shop")}, "GET", "/shop/tree/oak", "/tree/{name}/", "307"},
		{"an answer before mux", []layer{refusing}, "GET", "/users/7", "/users/{id}", "401"},
		{"an answer before mux, behind what changes the path", []layer{strip("/shop"), refusing}, "GET", "/shop/users/7", "/users/{id}", "401"},
		{"a handler that changes its request", []layer{copying}, "GET", "/late", "/late", "200"},
		{"a deadline", []layer{func(next http.Handler) http.Handler {
			return http.TimeoutHandler(next, time.Hour, "")
		}, strip("/shop")}, "GET", "/shop/users/7", "/users/{id}", "200"},
		{"mux reached twice: the first counts", []layer{func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				next.ServeHTTP(w, r)
				r.URL.Path = "/tree/oak/"
				next.ServeHTTP(httptest.NewRecorder(), r)
			})
		}}, "GET", "/users/7", "/users/{id}", "200"},
	}
	for _, tt := range tests {
		t.Run(strings.ReplaceAll(tt.promise, " ", "_"), func(t *testing.T) {
			reg := shoaltest.New(t)
			h := shoalhttp.Install(newMux(), reg, shoalhttp.Opts{}, tt.between...)
			r := httptest.NewRequest(tt.method, tt.target, nil)
			r.Header.Set("X-HTTP-Method-Override", "PUT")
			h.ServeHTTP(httptest.NewRecorder(), r)
			wantOne(t, reg, tt.method, tt.route, tt.code)
		})
	}
}

// The handler goes on after http.TimeoutHandler answered, and changes the URL that all
// copies of the request share. The race detector must find nothing.
func TestRoute_OfALateHandlerIsNotedBeforeItRuns(t *testing.T) {
	for name, between := range map[string][]layer{
		"the deadline outside": {timeout, strip("/shop")},
		"the deadline inside":  {strip("/shop"), timeout},
		"no handler between":   nil,
	} {
		t.Run(strings.ReplaceAll(name, " ", "_"), func(t *testing.T) {
			answered, ended := make(chan struct{}), make(chan struct{})
			passed := &deadline{t.Context(), make(chan struct{})}
			late := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				defer close(ended)
				close(passed.done) // the mux has the request
				for {
					r.URL.Path, r.URL.RawPath, r.Method, r.Pattern = "/other/7", "", "PUT", "/other/{id}"
					select {
					case <-answered:
						return
					default:
					}
				}
			})
			mux := http.NewServeMux()
			mux.Handle("/other/{id}", ok)
			reg := shoaltest.New(t)
			target := "/shop/users/7"
			if between == nil {
				target = "/users/7"
				mux.Handle("GET /users/{id}", timeout(late))
			} else {
				mux.Handle("GET /users/{id}", late)
			}
			w := httptest.NewRecorder()
			shoalhttp.Install(mux, reg, shoalhttp.Opts{}, between...).ServeHTTP(w, httptest.NewRequestWithContext(passed, "GET", target, nil))
			close(answered)
			<-ended
			if w.Code != http.StatusServiceUnavailable {
				t.Errorf("the client got %d", w.Code)
			}
			wantOne(t, reg, "GET", "/users/{id}", "503")
		})
	}
}

func timeout(next http.Handler) http.Handler {
	return http.TimeoutHandler(next, time.Hour, "too slow")
}

// deadline is a context whose deadline passes when done is closed.
type deadline struct {
	context.Context
	done chan struct{}
}

func (d *deadline) Done() <-chan struct{} { return d.done }

func (d *deadline) Err() error {
	select {
	case <-d.done:
		return context.DeadlineExceeded
	default:
		return nil
	}
}

// A handler that edits the request which mux matched, and then asks an inner mux
// that has no pattern for it, leaves no pattern behind.
func TestRoute_IsTheOuterMuxesWhereAnInnerHasNone(t *testing.T) {
	inner := http.NewServeMux()
	inner.Handle("GET /there", ok)
	mux := http.NewServeMux()
	mux.Handle("GET /other/{id}", ok)
	mux.Handle("GET /api/{rest...}", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.URL.Path = "/other" + strings.TrimPrefix(r.URL.Path, "/api")
		inner.ServeHTTP(w, r)
	}))
	reg := shoaltest.New(t)
	serve(shoalhttp.Middleware(reg, shoalhttp.Opts{})(mux), "GET", "/api/7")
	wantOne(t, reg, "GET", "/api/{rest...}", "404")
}

func TestRoute_OfAStreamInBetweenIsKnownWhenItBegins(t *testing.T) {
	reg := shoaltest.New(t)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /events/{topic}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		w.WriteHeader(200)
		wantOne(t, reg, "GET", "/events/{topic}", "200")
	})
	serve(shoalhttp.Install(mux, reg, shoalhttp.Opts{}, strip("/shop"), copying), "GET", "/shop/events/news")
}

func TestRoute_AConnectIsItsPatternAndNeverItsPath(t *testing.T) {
	for _, tt := range []struct {
		pattern, target, route string
	}{
		{"/ws", "/ws", "/ws"},
		{"/ws/{room}", "/ws/7", "/ws/{room}"},
		{"CONNECT /ws/", "/ws/7", "/ws/"},
		{"/ws/", "/ws/7", "/ws/"},
		{"/ws/{room}/", "/ws/secret", "unmatched"}, // a redirect, of which mux tells the path alone
		{"/ws/{room}/", "/ws/%73ecret", "unmatched"},
		{"/other", "/ws", "unmatched"},
	} {
		for name, install := range map[string]func(*http.ServeMux, *testing.T) (http.Handler, func(route string)){
			"on the mux":  installed(),
			"in between":  installed(copying),
			"refused":     installed(copying, refusing),
			"around it":   aroundSomething(func(h http.Handler) http.Handler { return h }),
			"around more": aroundSomething(transparent),
		} {
			t.Run(tt.pattern+tt.target+"/"+strings.ReplaceAll(name, " ", "_"), func(t *testing.T) {
				mux := http.NewServeMux()
				mux.Handle(tt.pattern, ok)
				h, want := install(mux, t)
				r := httptest.NewRequest(http.MethodConnect, tt.target, nil)
				r.Header[":protocol"] = []string{"websocket"}
				h.ServeHTTP(httptest.NewRecorder(), r)
				route := tt.route
				if name == "around more" && tt.pattern == "/ws/" {
					route = "unmatched" // as a redirect's path would look
				}
				want(route)
			})
		}
	}
}

// transparent hides that there is a mux behind it.
func transparent(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { next.ServeHTTP(w, r) })
}

func installed(between ...layer) func(*http.ServeMux, *testing.T) (http.Handler, func(string)) {
	return func(mux *http.ServeMux, t *testing.T) (http.Handler, func(string)) {
		reg := shoaltest.New(t)
		return shoalhttp.Install(mux, reg, shoalhttp.Opts{}, between...), func(route string) {
			t.Helper()
			wantConnect(t, reg, route)
		}
	}
}

func aroundSomething(wrap layer) func(*http.ServeMux, *testing.T) (http.Handler, func(string)) {
	return func(mux *http.ServeMux, t *testing.T) (http.Handler, func(string)) {
		reg := shoaltest.New(t)
		return shoalhttp.Middleware(reg, shoalhttp.Opts{})(wrap(mux)), func(route string) {
			t.Helper()
			wantConnect(t, reg, route)
		}
	}
}

func TestRoute_SeveralRequestsAtOnceEachHaveTheirs(t *testing.T) {
	mux := http.NewServeMux()
	mux.Handle("GET /users/{id}", ok)
	mux.Handle("GET /items/{id}", ok)
	reg := shoaltest.New(t)
	h := shoalhttp.Install(mux, reg, shoalhttp.Opts{}, copying, strip("/shop"))
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 25 {
				serve(h, "GET", "/shop/users/7")
				serve(h, "GET", "/shop/items/7")
			}
		})
	}
	wg.Wait()
	for _, route := range []string{"/users/{id}", "/items/{id}"} {
		if got := shoaltest.Value(t, reg, "http_requests_total", "method", "GET", "route", route, "code", "200"); got != 200 {
			t.Errorf("%v requests to %s, want 200", got, route)
		}
	}
}

// A middleware further out, such as tracing, may read the pattern.
func TestInstall_LeavesThePatternForWhatIsAround(t *testing.T) {
	for name, between := range map[string][]layer{"nothing between": nil, "something between": {transparent}} {
		mux := http.NewServeMux()
		mux.Handle("GET /users/{id}", ok)
		r := httptest.NewRequestWithContext(context.Background(), "GET", "/users/7", nil)
		shoalhttp.Install(mux, shoaltest.New(t), shoalhttp.Opts{}, between...).ServeHTTP(httptest.NewRecorder(), r)
		if r.Pattern != "GET /users/{id}" {
			t.Errorf("%s: the pattern is %q", name, r.Pattern)
		}
	}
}

// wantConnect checks the route of the one CONNECT, whatever its status.
func wantConnect(t *testing.T, reg *shoal.Registry, route string) {
	t.Helper()
	if err := reg.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var routes []string
	for _, f := range families {
		if f.GetName() != "http_requests_total" {
			continue
		}
		for _, m := range f.Metric {
			for _, l := range m.Label {
				if l.GetName() == "route" {
					routes = append(routes, l.GetValue())
				}
			}
		}
	}
	if len(routes) != 1 || routes[0] != route {
		t.Errorf("the routes are %q, want %q", routes, route)
	}
}
