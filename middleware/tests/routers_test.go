// SPDX-License-Identifier: Apache-2.0

package tests

import (
	"cmp"
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"github.com/danielgtaylor/huma/v2/sse"
	"github.com/go-chi/chi/v5"
	"github.com/gorilla/mux"
	"github.com/julienschmidt/httprouter"
	shoal "github.com/shoal-metrics/shoal/core"
	"github.com/shoal-metrics/shoal/core/httpmetrics"
	"github.com/shoal-metrics/shoal/core/shoaltest"
	shoalhttp "github.com/shoal-metrics/shoal/middleware/nethttp"
)

// otherRouters have no adapter of their own: shoalhttp records them, by the lines that its
// README has. Each has GET /users/{id}, POST /users/{id}, /panic and the page.
var otherRouters = map[string]struct {
	build func(reg *shoal.Registry, user http.HandlerFunc) http.Handler
	user  string // as the router spells it
	mount string // the route of what is below /users and has none; unmatched if empty
}{
	"gorilla": {func(reg *shoal.Registry, user http.HandlerFunc) http.Handler {
		router := mux.NewRouter()

		record := shoalhttp.Middleware(reg, shoalhttp.Opts{Route: func(r *http.Request) string {
			if route := mux.CurrentRoute(r); route != nil {
				template, _ := route.GetPathTemplate()
				return template
			}
			return ""
		}})
		router.Use(record)        // knows the route
		handler := record(router) // records what no route matches
		router.Handle("/metrics", shoalhttp.Handler(reg, shoal.HandlerOpts{}))

		users := router.PathPrefix("/users").Subrouter()
		users.HandleFunc("/{id:[0-9]+}", user).Methods("GET", "POST")
		router.HandleFunc("/panic", func(http.ResponseWriter, *http.Request) { panic("boom") })
		return handler
	}, "/users/{id:[0-9]+}", ""},
	"gorilla, around": {func(reg *shoal.Registry, user http.HandlerFunc) http.Handler {
		router := mux.NewRouter()
		handler := shoalhttp.Middleware(reg, shoalhttp.Opts{Route: func(r *http.Request) string {
			var match mux.RouteMatch
			if !router.Match(r, &match) || match.MatchErr != nil {
				return ""
			}
			template, _ := match.Route.GetPathTemplate()
			return template
		}})(router)
		router.Handle("/metrics", shoalhttp.Handler(reg, shoal.HandlerOpts{}))
		router.HandleFunc("/users/{id}", user).Methods("GET", "POST")
		router.HandleFunc("/panic", func(http.ResponseWriter, *http.Request) { panic("boom") })
		return handler
	}, "/users/{id}", ""},
	"httprouter": {func(reg *shoal.Registry, user http.HandlerFunc) http.Handler {
		router := httprouter.New()

		handle := func(method, path string, h httprouter.Handle) {
			router.Handle(method, path, func(w http.ResponseWriter, r *http.Request, p httprouter.Params) {
				shoalhttp.SetRoute(w, path)
				h(w, r, p)
			})
		}
		router.Handler("GET", "/metrics", shoalhttp.Handler(reg, shoal.HandlerOpts{}))
		handler := shoalhttp.Middleware(reg, shoalhttp.Opts{})(router)

		users := func(w http.ResponseWriter, r *http.Request, _ httprouter.Params) { user(w, r) }
		handle("GET", "/users/:id", users)
		handle("POST", "/users/:id", users)
		handle("GET", "/panic", func(http.ResponseWriter, *http.Request, httprouter.Params) { panic("boom") })
		return handler
	}, "/users/:id", ""},
	"chi": {func(reg *shoal.Registry, user http.HandlerFunc) http.Handler {
		router := chi.NewRouter()

		router.Use(shoalhttp.Middleware(reg, shoalhttp.Opts{Route: func(r *http.Request) string {
			return chi.RouteContext(r.Context()).RoutePattern()
		}}))
		router.Handle("/metrics", shoalhttp.Handler(reg, shoal.HandlerOpts{}))

		router.Route("/users", func(users chi.Router) {
			users.Get("/{id}", user)
			users.Post("/{id}", user)
		})
		router.HandleFunc("/panic", func(http.ResponseWriter, *http.Request) { panic("boom") })
		return router
	}, "/users/{id}", "/users/*"},
}

func TestOtherRouters_TheRouteIsTheirPattern(t *testing.T) {
	for name, r := range otherRouters {
		t.Run(name, func(t *testing.T) {
			for promise, tt := range map[string]struct {
				method, path string
				route, code  string
			}{
				"a route":            {"GET", "/users/7", r.user, "201"},
				"another method":     {"POST", "/users/8?q=1", r.user, "201"},
				"a panic":            {"GET", "/panic", "/panic", "500"},
				"no route":           {"GET", "/nothing/here", "unmatched", "404"},
				"method not allowed": {"DELETE", "/users/7", cmp.Or(r.mount, "unmatched"), "405"},
			} {
				t.Run(promise, func(t *testing.T) {
					reg := shoaltest.New(t)
					s := siteOf(t, reg, r.build(reg, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusCreated) }))
					s.do(tt.method, tt.path, nil)
					if status, page := s.do("GET", "/metrics", nil); status != 200 || !strings.Contains(page, "# TYPE") {
						t.Errorf("the page is %d:\n%s", status, page)
					}
					s.finish()
					s.wantOnly(tt.method, tt.route, tt.code)
				})
			}
		})
	}
}

func TestOtherRouters_AStreamHasItsRouteWhenItBegins(t *testing.T) {
	for name, r := range otherRouters {
		t.Run(name, func(t *testing.T) {
			reg := shoaltest.New(t)
			s := siteOf(t, reg, r.build(reg, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "text/event-stream")
				w.(http.Flusher).Flush()
				wantSeries(t, reg, "GET", r.user, "200")
			}))
			s.do("GET", "/users/7", nil)
			s.finish()
			s.wantOnly("GET", r.user, "200")
		})
	}
}

// Huma on net/http's mux needs nothing: its operations are patterns of the mux.
func TestHuma_ItsOperationsAreTheRoutes(t *testing.T) {
	type userInput struct {
		ID int `path:"id" minimum:"1"`
	}
	type tick struct {
		N int `json:"n"`
	}
	for promise, tt := range map[string]struct {
		path, route, code, tenant string
	}{
		"an operation":            {"/users/7", "/users/{id}", "204", "a"},
		"input that is not valid": {"/users/0", "/users/{id}", "422", ""},
		"an error":                {"/users/404", "/users/{id}", "404", ""},
		"events":                  {"/ticks", "/ticks", "200", ""},
		"the description":         {"/openapi.json", "/openapi.json", "200", ""},
		"no operation":            {"/nothing", "unmatched", "404", ""},
	} {
		t.Run(promise, func(t *testing.T) {
			reg := shoaltest.New(t)
			mux := http.NewServeMux()
			api := humago.New(mux, huma.DefaultConfig("Shop", "1.0.0"))
			huma.Get(api, "/users/{id}", func(ctx context.Context, in *userInput) (*struct{}, error) {
				if in.ID == 404 {
					return nil, huma.Error404NotFound("no such user")
				}
				httpmetrics.SetLabel(ctx, "tenant", "a")
				return nil, nil
			})
			sse.Register(api, huma.Operation{OperationID: "ticks", Method: http.MethodGet, Path: "/ticks"}, map[string]any{"tick": tick{}},
				func(_ context.Context, _ *struct{}, send sse.Sender) {
					if err := send.Data(tick{1}); err != nil {
						t.Error(err)
					}
					wantSeries(t, reg, "GET", "/ticks", "200") // the stream goes on
				})
			s := siteOf(t, reg, shoalhttp.Install(mux, reg, shoalhttp.Opts{Labels: []httpmetrics.Label{{Name: "tenant"}}}))
			s.do("GET", tt.path, nil)
			s.finish()
			want := []string{"method", "GET", "route", tt.route, "code", tt.code}
			if tt.tenant != "" {
				want = append(want, "tenant", tt.tenant)
			}
			if total, series := s.total(); total != 1 || !shoaltest.Exists(t, reg, "http_requests_total", want...) {
				t.Errorf("want one request %v, recorded are %v: %v", want, total, series)
			}
		})
	}
}
