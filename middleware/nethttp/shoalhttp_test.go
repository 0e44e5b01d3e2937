// SPDX-License-Identifier: Apache-2.0

package shoalhttp_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	shoal "github.com/shoal-metrics/shoal/core"
	"github.com/shoal-metrics/shoal/core/shoaltest"
	shoalhttp "github.com/shoal-metrics/shoal/middleware/nethttp"
)

var ok = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok")) })

// serve answers one request without a network.
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

// copying stands for the many handlers that give the next one a copy of the
// request, on which the mux then leaves its pattern.
func copying(next http.Handler) http.Handler {
	type key struct{}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), key{}, 1)))
	})
}

// newMux has every kind of pattern.
func newMux() *http.ServeMux {
	sub := http.NewServeMux()
	sub.Handle("GET /items/{id}", ok)
	mux := http.NewServeMux()
	mux.Handle("GET /users/{id}", ok)
	mux.Handle("/any", ok)
	mux.Handle("GET shop.example/cart/{item}", ok)
	mux.Handle("/tree/{name}/", ok)
	mux.Handle("/exact/{$}", ok)
	mux.Handle("/files/{path...}", ok)
	mux.Handle("/api/", http.StripPrefix("/api", sub))
	mux.Handle("/items/", sub)
	return mux
}

func TestRouteIsThePatternOfTheMux(t *testing.T) {
	tests := []struct {
		promise, method, target, route, code string
	}{
		{"without the method", "GET", "/users/7", "/users/{id}", "200"},
		{"without the host", "GET", "http://shop.example/cart/pen", "/cart/{item}", "200"},
		{"of any method", "DELETE", "/any", "/any", "200"},
		{"of GET for HEAD", "HEAD", "/users/7", "/users/{id}", "200"},
		{"of an exact match", "GET", "/exact/", "/exact/{$}", "200"},
		{"of a tail", "GET", "/files/a/b/c", "/files/{path...}", "200"},
		{"of a subtree's redirect", "GET", "/tree/oak", "/tree/{name}/", "307"},
		{"of a cleaned path's redirect", "GET", "/users//7", "/users/{id}", "307"},
		{"of the outer mux behind StripPrefix", "GET", "/api/items/7", "/api/", "200"},
		{"of the outer mux when the inner has none behind StripPrefix", "GET", "/api/nothing", "/api/", "404"},
		{"of the inner mux where it sees the same request", "GET", "/items/7", "/items/{id}", "200"},
		{"unmatched for 404", "GET", "/nothing", "unmatched", "404"},
		{"unmatched for 405", "POST", "/users/7", "unmatched", "405"},
		{"unmatched for a redirected CONNECT, whose pattern is the path", "CONNECT", "/tree/oak", "unmatched", "307"},
	}
	for _, tt := range tests {
		t.Run(tt.promise, func(t *testing.T) {
			reg := shoaltest.New(t)
			serve(shoalhttp.Middleware(reg, shoalhttp.Opts{})(newMux()), tt.method, tt.target)
			wantOne(t, reg, tt.method, tt.route, tt.code)
		})
		t.Run(tt.promise+", copied in between", func(t *testing.T) {
			if strings.Contains(tt.promise, "inner mux where") {
				tt.route = "/items/" // the inner pattern is on the copy; the outer mux is asked
			}
			reg := shoaltest.New(t)
			serve(shoalhttp.Install(newMux(), reg, shoalhttp.Opts{}, copying), tt.method, tt.target)
			wantOne(t, reg, tt.method, tt.route, tt.code)
		})
	}
}

func TestRouteWithoutAMuxAtHandIsUnmatchedAndNeverThePath(t *testing.T) {
	mux := http.NewServeMux()
	mux.Handle("GET /users/{id}", ok)
	reg := shoaltest.New(t)
	serve(shoalhttp.Middleware(reg, shoalhttp.Opts{})(copying(mux)), "GET", "/users/7")
	wantOne(t, reg, "GET", "unmatched", "200")
}

func TestAsteriskFormIsUnmatched(t *testing.T) {
	mux := http.NewServeMux()
	mux.Handle("/", ok)
	reg := shoaltest.New(t)
	r := httptest.NewRequest("OPTIONS", "/", nil)
	r.RequestURI, r.URL.Path = "*", "*"
	shoalhttp.Middleware(reg, shoalhttp.Opts{})(mux).ServeHTTP(httptest.NewRecorder(), r)
	wantOne(t, reg, "OPTIONS", "unmatched", "400")
}

func TestInstall_HandlersInBetweenAreRecordedAndRunInOrder(t *testing.T) {
	var order []string
	layer := func(name string) func(http.Handler) http.Handler {
		return func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				order = append(order, name)
				if r.Header.Get("Authorization") == "" && name == "auth" {
					http.Error(w, "who are you?", http.StatusUnauthorized)
					return
				}
				next.ServeHTTP(w, r)
			})
		}
	}
	mux := http.NewServeMux()
	reg := shoaltest.New(t)
	h := shoalhttp.Install(mux, reg, shoalhttp.Opts{}, layer("log"), layer("auth"))
	mux.Handle("GET /users/{id}", ok) // after Install
	serve(h, "GET", "/users/7")
	wantOne(t, reg, "GET", "/users/{id}", "401")
	if got := strings.Join(order, " "); got != "log auth" {
		t.Errorf("the order is %s, want log auth", got)
	}
}
