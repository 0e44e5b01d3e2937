// SPDX-License-Identifier: Apache-2.0

package shoalchi_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"
	shoal "github.com/shoal-metrics/shoal/core"
	"github.com/shoal-metrics/shoal/core/shoaltest"
	shoalchi "github.com/shoal-metrics/shoal/middleware/chi"
)

func ok(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok")) }

func serve(h http.Handler, method, target string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(method, target, nil))
	return w
}

func wantOne(t *testing.T, reg *shoal.Registry, method, route, code string) {
	t.Helper()
	if got := shoaltest.Value(t, reg, "http_requests_total", "method", method, "route", route, "code", code); got != 1 {
		t.Errorf("%v requests %s %s %s, want 1", got, method, route, code)
	}
}

func copying(next http.Handler) http.Handler {
	type key struct{}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), key{}, 1)))
	})
}

func TestRouteIsThePatternOfAllRouters(t *testing.T) {
	tests := []struct {
		promise, method, target, route, code string
	}{
		{"of the router", "GET", "/users/7", "/users/{id}", "200"},
		{"with its regular expression", "GET", "/orders/77", "/orders/{id:[0-9]+}", "200"},
		{"of the root", "GET", "/", "/", "200"},
		{"of a sub-router", "GET", "/api/v1/items/7", "/api/v1/items/{id}", "200"},
		{"of a sub-router's root", "GET", "/api/", "/api", "200"},
		{"of a mounted handler", "GET", "/static/a/b.css", "/static/*", "200"},
		{"of a group", "GET", "/grouped/7", "/grouped/{id}", "200"},
		{"of GET for HEAD with GetHead", "HEAD", "/users/7", "/users/{id}", "200"},
		{"of the mount where its router has no route", "GET", "/api/nothing", "/api/*", "404"},
		{"unmatched for 404", "GET", "/nothing", "unmatched", "404"},
		{"unmatched for 405", "POST", "/users/7", "unmatched", "405"},
	}
	for _, tt := range tests {
		t.Run(tt.promise, func(t *testing.T) {
			reg := shoaltest.New(t)
			r := chi.NewRouter()
			shoalchi.Install(r, reg, shoalchi.Opts{})
			r.Use(middleware.GetHead, copying)
			r.Get("/", ok)
			r.Get("/users/{id}", ok)
			r.Get("/orders/{id:[0-9]+}", ok)
			r.Route("/api", func(r chi.Router) {
				r.Use(copying)
				r.Get("/", ok)
				r.Route("/v1", func(r chi.Router) { r.Get("/items/{id}", ok) })
			})
			r.Mount("/static", http.HandlerFunc(ok))
			r.Group(func(r chi.Router) {
				r.Use(copying)
				r.Get("/grouped/{id}", ok)
			})
			serve(r, tt.method, tt.target)
			wantOne(t, reg, tt.method, tt.route, tt.code)
		})
	}
}

func TestInstall_OnAMountedRouterServesThePageThere(t *testing.T) {
	reg := shoaltest.New(t)
	sub := chi.NewRouter()
	shoalchi.Install(sub, reg, shoalchi.Opts{})
	sub.Get("/users/{id}", ok)
	r := chi.NewRouter()
	r.Mount("/admin", sub)
	if w := serve(r, "GET", "/admin/metrics"); w.Code != 200 || w.Body.String() == "ok" {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
	serve(r, "GET", "/admin/users/7")
	wantOne(t, reg, "GET", "/admin/users/{id}", "200")
}

func TestMiddleware_AroundARouterKnowsNoRouteAndNeverThePath(t *testing.T) {
	r := chi.NewRouter()
	r.Get("/users/{id}", ok)
	reg := shoaltest.New(t)
	serve(shoalchi.Middleware(reg, shoalchi.Opts{})(r), "GET", "/users/7")
	wantOne(t, reg, "GET", "unmatched", "200")
}
