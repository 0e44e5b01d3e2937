// SPDX-License-Identifier: Apache-2.0

package tests

import (
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/go-chi/chi/v5"
	chimiddleware "github.com/go-chi/chi/v5/middleware"
	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"
	shoal "github.com/shoal-metrics/shoal/core"
	"github.com/shoal-metrics/shoal/core/httpmetrics"
	"github.com/shoal-metrics/shoal/core/shoaltest"
	shoalchi "github.com/shoal-metrics/shoal/middleware/chi"
	shoalecho "github.com/shoal-metrics/shoal/middleware/echo"
	shoalgin "github.com/shoal-metrics/shoal/middleware/gin"
	shoalhttp "github.com/shoal-metrics/shoal/middleware/nethttp"
)

// nesting is an application in which a request passes several middlewares.
type nesting struct {
	promise     string
	build       func(reg *shoal.Registry, leaf http.HandlerFunc) http.Handler
	path, route string
}

var sized = httpmetrics.Opts{ResponseSize: true}

// opaque is a writer that hides what it wraps, as those of gin's middlewares do.
type opaque struct{ gin.ResponseWriter }

func hidden(c *gin.Context) { c.Writer = opaque{c.Writer} }

// again has gin serve a request under another path.
func again(e *gin.Engine, path string) gin.HandlerFunc {
	return func(c *gin.Context) {
		c.Request.URL.Path = path
		e.HandleContext(c)
	}
}

func ginOf(reg *shoal.Registry, before ...gin.HandlerFunc) *gin.Engine {
	e := gin.New()
	e.Use(before...)
	shoalgin.Install(e, reg, sized)
	return e
}

func echoOf(reg *shoal.Registry) *echo.Echo {
	e := quietEcho()
	shoalecho.Install(e, reg, sized)
	return e
}

func chiOf(reg *shoal.Registry) chi.Router {
	r := chi.NewRouter()
	shoalchi.Install(r, reg, sized)
	return r
}

var ginNestings = []nesting{
	{"HandleContext", func(reg *shoal.Registry, leaf http.HandlerFunc) http.Handler {
		e := ginOf(reg)
		e.GET("/old/:id", again(e, "/new/7"))
		e.GET("/new/:id", gin.WrapF(leaf))
		return e
	}, "/old/7", "/old/:id"},
	{"HandleContext twice", func(reg *shoal.Registry, leaf http.HandlerFunc) http.Handler {
		e := ginOf(reg)
		e.GET("/old/:id", again(e, "/middle/7"))
		e.GET("/middle/:id", again(e, "/new/7"))
		e.GET("/new/:id", gin.WrapF(leaf))
		return e
	}, "/old/7", "/old/:id"},
	{"HandleContext where no route matched", func(reg *shoal.Registry, leaf http.HandlerFunc) http.Handler {
		e := ginOf(reg)
		e.NoRoute(again(e, "/new/7"))
		e.GET("/new/:id", gin.WrapF(leaf))
		return e
	}, "/nothing", "/new/:id"},
	{"HandleContext behind errors", func(reg *shoal.Registry, leaf http.HandlerFunc) http.Handler {
		e := ginOf(reg)
		e.GET("/old/:id", func(c *gin.Context) {
			for range 3 {
				_ = c.Error(io.EOF)
			}
			again(e, "/new/7")(c)
		})
		e.GET("/new/:id", gin.WrapF(leaf))
		return e
	}, "/old/7", "/old/:id"},
	{"HandleContext, inside a writer that hides", func(reg *shoal.Registry, leaf http.HandlerFunc) http.Handler {
		e := ginOf(reg, hidden)
		e.GET("/old/:id", again(e, "/new/7"))
		e.GET("/new/:id", gin.WrapF(leaf))
		return e
	}, "/old/7", "/old/:id"},
	{"HandleContext, outside a writer that hides", func(reg *shoal.Registry, leaf http.HandlerFunc) http.Handler {
		e := ginOf(reg)
		e.Use(hidden)
		e.GET("/old/:id", again(e, "/new/7"))
		e.GET("/new/:id", gin.WrapF(leaf))
		return e
	}, "/old/7", "/old/:id"},
	{"HandleContext of an engine without a middleware", func(reg *shoal.Registry, leaf http.HandlerFunc) http.Handler {
		e, other := ginOf(reg), gin.New()
		e.GET("/old/:id", again(other, "/new/7"))
		other.GET("/new/:id", gin.WrapF(leaf))
		return e
	}, "/old/7", "/old/:id"},
	{"HandleContext of another engine", func(reg *shoal.Registry, leaf http.HandlerFunc) http.Handler {
		e, other := ginOf(reg), ginOf(reg)
		e.GET("/old/:id", again(other, "/new/7"))
		other.GET("/new/:id", gin.WrapF(leaf))
		return e
	}, "/old/7", "/old/:id"},
	{"on gin and on a group", func(reg *shoal.Registry, leaf http.HandlerFunc) http.Handler {
		e := ginOf(reg)
		e.Group("/api", shoalgin.Middleware(reg, sized)).GET("/users/:id", gin.WrapF(leaf))
		return e
	}, "/api/users/7", "/api/users/:id"},
	{"on gin and on a group, behind a writer that hides", func(reg *shoal.Registry, leaf http.HandlerFunc) http.Handler {
		e := ginOf(reg)
		e.Group("/api", hidden, shoalgin.Middleware(reg, sized)).GET("/users/:id", gin.WrapF(leaf))
		return e
	}, "/api/users/7", "/api/users/:id"},
	{"gin in gin", func(reg *shoal.Registry, leaf http.HandlerFunc) http.Handler {
		e, inner := ginOf(reg), ginOf(reg)
		e.Any("/api/*rest", gin.WrapH(inner))
		inner.GET("/api/users/:id", gin.WrapF(leaf))
		return e
	}, "/api/users/7", "/api/*rest"},
}

var otherNestings = []nesting{
	{"Install twice on chi", func(reg *shoal.Registry, leaf http.HandlerFunc) http.Handler {
		r := chiOf(reg)
		shoalchi.Install(r, reg, sized)
		r.Get("/users/{id}", leaf)
		return r
	}, "/users/7", "/users/{id}"},
	{"on a chi router and one mounted in it", func(reg *shoal.Registry, leaf http.HandlerFunc) http.Handler {
		r, inner := chiOf(reg), chiOf(reg)
		inner.Get("/users/{id}", leaf)
		r.With(chimiddleware.Compress(5)).Mount("/api", inner)
		return r
	}, "/api/users/7", "/api/users/{id}"},
	{"a chi router that serves again", func(reg *shoal.Registry, leaf http.HandlerFunc) http.Handler {
		r := chiOf(reg)
		r.Get("/new/{id}", leaf)
		r.Get("/old/{id}", func(w http.ResponseWriter, _ *http.Request) {
			r.ServeHTTP(w, httptest.NewRequest("GET", "/new/7", nil))
		})
		return r
	}, "/old/7", "/old/{id}"},
	{"Middleware around Install", func(reg *shoal.Registry, leaf http.HandlerFunc) http.Handler {
		mux := http.NewServeMux()
		mux.Handle("GET /users/{id}", leaf)
		return shoalhttp.Middleware(reg, sized)(shoalhttp.Install(mux, reg, sized))
	}, "/users/7", "/users/{id}"},
	{"Middleware around Install with something between", func(reg *shoal.Registry, leaf http.HandlerFunc) http.Handler {
		mux := http.NewServeMux()
		mux.Handle("GET /users/{id}", leaf)
		return shoalhttp.Middleware(reg, sized)(shoalhttp.Install(mux, reg, sized, func(next http.Handler) http.Handler {
			return http.StripPrefix("/shop", next)
		}))
	}, "/shop/users/7", "/users/{id}"},
	{"a mux in a mux", func(reg *shoal.Registry, leaf http.HandlerFunc) http.Handler {
		mux, inner := http.NewServeMux(), http.NewServeMux()
		inner.Handle("GET /users/{id}", leaf)
		mux.Handle("/api/", http.StripPrefix("/api", shoalhttp.Install(inner, reg, sized)))
		return shoalhttp.Install(mux, reg, sized)
	}, "/api/users/7", "/api/"},
	{"a mux that serves again", func(reg *shoal.Registry, leaf http.HandlerFunc) http.Handler {
		mux := http.NewServeMux()
		h := shoalhttp.Install(mux, reg, sized)
		mux.Handle("GET /new/{id}", leaf)
		mux.HandleFunc("GET /old/{id}", func(w http.ResponseWriter, r *http.Request) {
			h.ServeHTTP(w, httptest.NewRequest("GET", "/new/7", nil))
		})
		return h
	}, "/old/7", "/old/{id}"},
	{"Install twice on echo", func(reg *shoal.Registry, leaf http.HandlerFunc) http.Handler {
		e := echoOf(reg)
		shoalecho.Install(e, reg, sized)
		e.GET("/users/:id", echo.WrapHandler(leaf))
		return e
	}, "/users/7", "/users/:id"},
	{"on echo and on a group", func(reg *shoal.Registry, leaf http.HandlerFunc) http.Handler {
		e := echoOf(reg)
		e.Group("/api", middleware.Gzip(), shoalecho.Middleware(reg, sized)).GET("/users/:id", echo.WrapHandler(leaf))
		return e
	}, "/api/users/7", "/api/users/:id"},
	{"echo in echo", func(reg *shoal.Registry, leaf http.HandlerFunc) http.Handler {
		e, inner := echoOf(reg), echoOf(reg)
		inner.GET("/api/users/:id", echo.WrapHandler(leaf))
		e.Any("/api/*", echo.WrapHandler(inner))
		return e
	}, "/api/users/7", "/api/*"},
	{"an echo that serves again", func(reg *shoal.Registry, leaf http.HandlerFunc) http.Handler {
		e := echoOf(reg)
		e.GET("/new/:id", echo.WrapHandler(leaf))
		e.GET("/old/:id", func(c echo.Context) error {
			c.Request().URL.Path = "/new/7"
			e.ServeHTTP(c.Response(), c.Request())
			return nil
		})
		return e
	}, "/old/7", "/old/:id"},
	{"around chi, which knows the route", func(reg *shoal.Registry, leaf http.HandlerFunc) http.Handler {
		r := chiOf(reg)
		r.Get("/users/{id}", leaf)
		return shoalhttp.Middleware(reg, sized)(r)
	}, "/users/7", "/users/{id}"},
	{"around gin, which knows the route", func(reg *shoal.Registry, leaf http.HandlerFunc) http.Handler {
		e := ginOf(reg)
		e.GET("/users/:id", gin.WrapF(leaf))
		return shoalhttp.Middleware(reg, sized)(e)
	}, "/users/7", "/users/:id"},
	{"around echo, which knows the route", func(reg *shoal.Registry, leaf http.HandlerFunc) http.Handler {
		e := echoOf(reg)
		e.GET("/users/:id", echo.WrapHandler(leaf))
		return shoalhttp.Middleware(reg, sized)(e)
	}, "/users/7", "/users/:id"},
	{"chi in a mux, which knows its own", func(reg *shoal.Registry, leaf http.HandlerFunc) http.Handler {
		r, mux := chiOf(reg), http.NewServeMux()
		r.Get("/shop/users/{id}", leaf)
		mux.Handle("/shop/", r)
		return shoalhttp.Install(mux, reg, sized)
	}, "/shop/users/7", "/shop/"},
}

func TestOnce_TheOutermostRecords(t *testing.T) {
	leaves := map[string]struct {
		handler http.HandlerFunc
		code    string
	}{
		"an answer": {func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusAccepted)
			_, _ = io.WriteString(w, "served")
		}, "202"},
		"no word":  {func(http.ResponseWriter, *http.Request) {}, "200"},
		"a status": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusConflict) }, "409"},
		"a panic":  {func(http.ResponseWriter, *http.Request) { panic("boom") }, "500"},
		"a body, then a panic": {func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "so far")
			panic("boom")
		}, "200"},
		"a hijack": {func(w http.ResponseWriter, _ *http.Request) {
			conn, _, err := http.NewResponseController(w).Hijack()
			if err == nil {
				_, _ = io.WriteString(conn, "HTTP/1.1 204 No Content\r\n\r\n")
				_ = conn.Close()
			}
		}, "101"},
	}
	for _, n := range slices.Concat(ginNestings, otherNestings, echoV5Nestings) {
		for what, leaf := range leaves {
			if strings.Contains(n.promise, "without a middleware") && leaf.code == "101" {
				continue // gin's own writer does not tell that a connection was taken over
			}
			t.Run(strings.ReplaceAll(n.promise+"/"+what, " ", "_"), func(t *testing.T) {
				reg, returned := shoaltest.New(t), make(chan struct{})
				app := n.build(reg, func(w http.ResponseWriter, r *http.Request) {
					if got := shoaltest.Value(t, reg, "http_requests_in_flight", "gauge_index", "0"); got != 1 {
						t.Errorf("%v in flight, want 1", got)
					}
					leaf.handler(w, r)
				})
				s := siteOf(t, reg, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					defer close(returned)
					app.ServeHTTP(w, r)
				}))
				s.client.Transport.(*http.Transport).DisableCompression = true // a body has the size that was sent
				status, body := s.do("GET", n.path, nil)
				<-returned // a server does not wait for one that took over the connection
				s.finish()
				code := leaf.code
				if strings.Contains(n.promise, "no route") && code == "200" {
					code = "404" // which gin had noted, and sends for a handler that says nothing else
				}
				if code != "101" && status != 0 && strconv.Itoa(status) != code {
					t.Errorf("the client got %d, want %s", status, code)
				}
				s.wantOnly("GET", n.route, code)
				if code == "202" {
					s.wantSize("GET", n.route, code, float64(len("served")))
					if body != "served" {
						t.Errorf("the client got %q", body)
					}
				}
			})
		}
	}
}

func TestOnce_AStreamFurtherInIsRecordedWhenItBegins(t *testing.T) {
	for _, n := range slices.Concat(ginNestings, otherNestings, echoV5Nestings) {
		if strings.Contains(n.promise, "without a middleware") {
			continue // without a middleware nobody notices when it begins
		}
		t.Run(strings.ReplaceAll(n.promise, " ", "_"), func(t *testing.T) {
			code := "200"
			if strings.Contains(n.promise, "no route") {
				code = "404" // which gin had noted
			}
			reg := shoaltest.New(t)
			s := siteOf(t, reg, nil)
			s.server.Config.Handler = n.build(reg, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "text/event-stream")
				_, _ = io.WriteString(w, "data: 1\n\n")
				_ = http.NewResponseController(w).Flush()
				if got := s.count("GET", n.route, code); got != 1 {
					_, series := s.total()
					t.Errorf("%v recorded when the stream began, want 1: %v", got, series)
				}
			})
			s.do("GET", n.path, nil)
			s.finish()
			s.wantOnly("GET", n.route, code)
		})
	}
}

// http.TimeoutHandler takes the inner middleware to another goroutine, and its
// writer does not unwrap. (echo puts its Response between, which belongs to the
// outer goroutine: there both record.)
func TestOnce_BehindATimeoutHandlerToo(t *testing.T) {
	for _, tt := range []nesting{
		{"chi", func(reg *shoal.Registry, leaf http.HandlerFunc) http.Handler {
			r, inner := chiOf(reg), chiOf(reg)
			inner.Get("/users/{id}", leaf)
			r.With(timeoutAfter(time.Hour)).Mount("/api", inner)
			return r
		}, "/api/users/7", "/api/users/{id}"},
		{"nethttp", func(reg *shoal.Registry, leaf http.HandlerFunc) http.Handler {
			mux, inner := http.NewServeMux(), http.NewServeMux()
			inner.Handle("GET /api/users/{id}", leaf)
			mux.Handle("/api/", timeoutAfter(time.Hour)(shoalhttp.Install(inner, reg, sized)))
			return shoalhttp.Install(mux, reg, sized)
		}, "/api/users/7", "/api/"},
		{"gin", func(reg *shoal.Registry, leaf http.HandlerFunc) http.Handler {
			e, inner := ginOf(reg), ginOf(reg)
			inner.GET("/api/users/:id", gin.WrapF(leaf))
			e.Any("/api/*rest", gin.WrapH(timeoutAfter(time.Hour)(inner)))
			return e
		}, "/api/users/7", "/api/*rest"},
		{"around gin, which knows the route", func(reg *shoal.Registry, leaf http.HandlerFunc) http.Handler {
			e := ginOf(reg)
			e.GET("/users/:id", gin.WrapF(leaf))
			return shoalhttp.Middleware(reg, sized)(timeoutAfter(time.Hour)(e))
		}, "/users/7", "/users/:id"},
		{"around chi, which knows the route", func(reg *shoal.Registry, leaf http.HandlerFunc) http.Handler {
			r := chiOf(reg)
			r.Get("/users/{id}", leaf)
			return shoalhttp.Middleware(reg, sized)(timeoutAfter(time.Hour)(r))
		}, "/users/7", "/users/{id}"},
	} {
		for want, late := range map[string]bool{"202": false, "503": true} {
			if late && tt.promise == "chi" {
				continue // chi would go on with a routing context that it gave to another request
			}
			t.Run(strings.ReplaceAll(tt.promise, " ", "_")+"/"+want, func(t *testing.T) {
				reg, answered, ended := shoaltest.New(t), make(chan struct{}), make(chan struct{})
				passed := &deadlinePassed{t.Context(), make(chan struct{})}
				app := tt.build(reg, func(w http.ResponseWriter, _ *http.Request) {
					defer close(ended)
					if late {
						close(passed.done) // the handler is reached
						<-answered
					}
					w.WriteHeader(http.StatusAccepted)
					_, _ = io.WriteString(w, "served")
				})
				s := siteOf(t, reg, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					app.ServeHTTP(w, r.WithContext(passed))
				}))
				s.do("GET", tt.path, nil)
				close(answered)
				<-ended
				s.finish()
				route := tt.route
				if late && strings.Contains(tt.promise, "around chi") {
					route = "unmatched" // chi knows it only when it has routed, too late
				}
				s.wantOnly("GET", route, want)
			})
		}
	}
}

// A request is recorded once in each registry and under each name.
func TestOnce_OtherMetricsCountForThemselves(t *testing.T) {
	regs := func(t *testing.T) (a, b *shoal.Registry) { return shoaltest.New(t), shoaltest.New(t) }
	renamed := httpmetrics.Opts{Namespace: "inner"}
	t.Run("registries", func(t *testing.T) {
		for name, build := range map[string]func(a, b *shoal.Registry) http.Handler{
			"chi": func(a, b *shoal.Registry) http.Handler {
				r := chi.NewRouter()
				r.Use(shoalchi.Middleware(a, sized), shoalchi.Middleware(b, sized), shoalchi.Middleware(a, sized))
				r.Get("/x", text("ok"))
				return r
			},
			"gin": func(a, b *shoal.Registry) http.Handler {
				e := gin.New()
				e.Use(shoalgin.Middleware(a, sized), shoalgin.Middleware(b, sized), hidden, shoalgin.Middleware(a, sized))
				e.GET("/x", again(e, "/y"))
				e.GET("/y", gin.WrapF(text("ok")))
				return e
			},
			"echo": func(a, b *shoal.Registry) http.Handler {
				e := quietEcho()
				e.Use(shoalecho.Middleware(a, sized), shoalecho.Middleware(b, sized), shoalecho.Middleware(a, sized))
				e.GET("/x", echo.WrapHandler(text("ok")))
				return e
			},
			"echov5": echoV5Registries,
			"nethttp": func(a, b *shoal.Registry) http.Handler {
				mux := http.NewServeMux()
				mux.Handle("/x", text("ok"))
				h := shoalhttp.Install(mux, a, sized)
				return shoalhttp.Middleware(a, sized)(shoalhttp.Middleware(b, sized)(h))
			},
		} {
			t.Run(name, func(t *testing.T) {
				a, b := regs(t)
				answer(build(a, b), httptest.NewRequest("GET", "/x", nil))
				wantSeries(t, a, "GET", "/x", "200")
				wantSeries(t, b, "GET", "/x", "200")
				for _, reg := range []*shoal.Registry{a, b} {
					s := &site{t: t, reg: reg}
					s.wantSize("GET", "/x", "200", 2)
				}
			})
		}
	})
	t.Run("names", func(t *testing.T) {
		reg := shoaltest.New(t)
		r := chi.NewRouter()
		r.Use(shoalchi.Middleware(reg, httpmetrics.Opts{}), shoalchi.Middleware(reg, renamed))
		r.Get("/x", text("ok"))
		answer(r, httptest.NewRequest("GET", "/x", nil))
		wantSeries(t, reg, "GET", "/x", "200")
		if got := shoaltest.Value(t, reg, "inner_http_requests_total", "method", "GET", "route", "/x", "code", "200"); got != 1 {
			t.Errorf("%v under the other name, want 1", got)
		}
	})
}

// A page is recorded by none of the middlewares around it.
func TestOnce_PagesOfSeveralRegistriesAreNotRecorded(t *testing.T) {
	a, b := shoaltest.New(t), shoaltest.New(t)
	r := chi.NewRouter()
	shoalchi.Install(r, a, httpmetrics.Opts{MetricsPath: "/a"})
	shoalchi.Install(r, b, httpmetrics.Opts{MetricsPath: "/b"})
	inner := chiOf(a)
	inner.Get("/x", text("ok"))
	r.Mount("/inner", inner)
	for _, path := range []string{"/a", "/b", "/inner/metrics"} {
		if w := answer(r, httptest.NewRequest("GET", path, nil)); w.Code != 200 || !strings.Contains(w.Body.String(), "shoal_") {
			t.Errorf("%s is %d %q", path, w.Code, w.Body)
		}
	}
	for name, reg := range map[string]*shoal.Registry{"a": a, "b": b} {
		s := &site{t: t, reg: reg}
		for _, series := range func() []string { _, all := s.total(); return all }() {
			if !strings.Contains(series, "route=unmatched") {
				t.Errorf("%s recorded %s", name, series)
			}
		}
		if got := s.inFlight(); got != 0 {
			t.Errorf("%s has %v in flight", name, got)
		}
	}
}
