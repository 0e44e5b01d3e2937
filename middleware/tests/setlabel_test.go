// SPDX-License-Identifier: Apache-2.0

package tests

import (
	"bytes"
	"context"
	"fmt"
	"mime/multipart"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/gin-gonic/gin"
	"github.com/go-chi/chi/v5"
	"github.com/labstack/echo/v4"
	shoal "github.com/shoal-metrics/shoal/core"
	"github.com/shoal-metrics/shoal/core/httpmetrics"
	"github.com/shoal-metrics/shoal/core/shoaltest"
	shoalchi "github.com/shoal-metrics/shoal/middleware/chi"
	shoalecho "github.com/shoal-metrics/shoal/middleware/echo"
	shoalgin "github.com/shoal-metrics/shoal/middleware/gin"
	shoalhttp "github.com/shoal-metrics/shoal/middleware/nethttp"
)

// fromInside are labels of which nobody knows the value before the request is served.
var fromInside = httpmetrics.Opts{Labels: []httpmetrics.Label{{Name: "tenant"}, {Name: "plan"}, {Name: "region"}}}

type contextKey struct{}

// authenticate is an authentication of net/http: it sets tenant, and puts a value of its own
// into the context, as most do. The request that it passes on is a copy.
func authenticate(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if tenant := r.Header.Get("Tenant"); tenant != "" {
			shoalhttp.SetLabel(r, "tenant", tenant)
		}
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), contextKey{}, "user")))
	})
}

// learn sets plan, region in a goroutine, and a label that nobody declared.
func learn(r *http.Request, set func(name, value string)) {
	if r.Header.Get("Tenant") == "" {
		return
	}
	set("plan", "gold")
	set("undeclared", "x")
	var wg sync.WaitGroup
	wg.Go(func() { set("region", "eu") })
	wg.Wait()
}

// learning is learn as a handler of net/http.
func learning(set func(r *http.Request, name, value string)) http.HandlerFunc {
	return func(_ http.ResponseWriter, r *http.Request) {
		learn(r, func(name, value string) { set(r, name, value) })
	}
}

// labelled are applications with GET /users/{id}, where the authentication and the handler set
// labels by the SetLabel of their package.
var labelled = map[string]func(reg *shoal.Registry) http.Handler{
	"nethttp": func(reg *shoal.Registry) http.Handler {
		mux := http.NewServeMux()
		mux.HandleFunc("GET /users/{id}", learning(shoalhttp.SetLabel))
		return shoalhttp.Install(mux, reg, fromInside, authenticate)
	},
	"nethttp, in each other": func(reg *shoal.Registry) http.Handler {
		mux := http.NewServeMux()
		h := shoalhttp.Install(mux, reg, fromInside)
		mux.HandleFunc("GET /users/{id}", learning(shoalhttp.SetLabel))
		return shoalhttp.Middleware(reg, fromInside)(authenticate(h))
	},
	"chi": func(reg *shoal.Registry) http.Handler {
		router := chi.NewRouter()
		shoalchi.Install(router, reg, fromInside)
		router.With(authenticate).Get("/users/{id}", learning(shoalchi.SetLabel))
		return router
	},
	"gin": func(reg *shoal.Registry) http.Handler { return ginLabelled(reg) },
	"gin, HandleContext": func(reg *shoal.Registry) http.Handler {
		engine := ginLabelled(reg)
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			r.URL.Path = "/again" + r.URL.Path
			engine.ServeHTTP(w, r)
		})
	},
	"gin, in a mux": func(reg *shoal.Registry) http.Handler {
		mux := http.NewServeMux()
		mux.Handle("/", ginLabelled(reg))
		return mux
	},
	"echo": func(reg *shoal.Registry) http.Handler {
		e := quietEcho()
		shoalecho.Install(e, reg, fromInside)
		e.Use(func(next echo.HandlerFunc) echo.HandlerFunc {
			return func(c echo.Context) error {
				if tenant := c.Request().Header.Get("Tenant"); tenant != "" {
					shoalecho.SetLabel(c, "tenant", tenant)
				}
				c.SetRequest(c.Request().WithContext(context.WithValue(c.Request().Context(), contextKey{}, "user")))
				return next(c)
			}
		})
		e.GET("/users/:id", func(c echo.Context) error {
			learn(c.Request(), func(name, value string) { shoalecho.SetLabel(c, name, value) })
			return c.NoContent(http.StatusOK)
		})
		return e
	},
	"echo v5": echoV5Labelled,
}

func ginLabelled(reg *shoal.Registry) *gin.Engine {
	engine := gin.New()
	shoalgin.Install(engine, reg, fromInside)
	engine.Use(func(c *gin.Context) {
		if tenant := c.Request.Header.Get("Tenant"); tenant != "" {
			shoalgin.SetLabel(c, "tenant", tenant)
		}
	})
	engine.GET("/users/:id", func(c *gin.Context) {
		in := c.Copy() // as gin demands for a goroutine
		learn(c.Request, func(name, value string) { shoalgin.SetLabel(in, name, value) })
	})
	engine.GET("/again/users/:id", again(engine, "/users/7"))
	return engine
}

// The frameworks use their contexts again: no label may stay there for the next request.
func TestSetLabel_ByAnAuthenticationAHandlerAndItsGoroutine(t *testing.T) {
	for name, build := range labelled {
		t.Run(name, func(t *testing.T) {
			reg := shoaltest.New(t)
			s := siteOf(t, reg, build(reg))
			want := map[string]int{}
			for i := range 12 {
				tenant := []string{"a", "", "b"}[i%3]
				s.get("/users/7", "Tenant", tenant)
				labels := ""
				if tenant != "" {
					labels = " plan=gold region=eu tenant=" + tenant
				}
				want[labels]++
			}
			s.finish()
			total, series := s.total()
			if total != 12 || len(series) != len(want) {
				t.Errorf("%v requests, %d series, want 12 and %d:\n%s", total, len(series), len(want), strings.Join(series, "\n"))
			}
			for labels := range want {
				if !slices.ContainsFunc(series, func(s string) bool { return strings.Join(labelsFromInside(s), " ") == strings.TrimSpace(labels) }) {
					t.Errorf("no series has the labels %q:\n%s", labels, strings.Join(series, "\n"))
				}
			}
			if got := s.inFlight(); got != 0 {
				t.Errorf("%v in flight, want 0", got)
			}
		})
	}
}

// labelsFromInside are those of a series that every request does not have.
func labelsFromInside(series string) []string {
	return slices.DeleteFunc(strings.Fields(series), func(l string) bool {
		return strings.HasPrefix(l, "code=") || strings.HasPrefix(l, "method=") || strings.HasPrefix(l, "route=")
	})
}

// get asks with a header.
func (s *site) get(path, header, value string) {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, s.server.URL+path, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set(header, value)
	res, err := s.client.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	_ = res.Body.Close()
}

// A handler of gin that sets a label can be tested without a request.
func TestSetLabel_DoesNothingWithoutAMiddleware(t *testing.T) {
	c, _ := gin.CreateTestContext(nil)
	shoalgin.SetLabel(c, "tenant", "a")
	httpmetrics.SetLabel(t.Context(), "tenant", "a")
}

// net/http removes the files of a form by the request that it made, and handlers further out
// look there for the pattern.
func TestCopiedRequests_GiveBackWhatIsLookedForFurtherOut(t *testing.T) {
	parse := func(w http.ResponseWriter, r *http.Request) {
		if err := r.ParseMultipartForm(10); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
		}
	}
	mux := func() *http.ServeMux {
		m := http.NewServeMux()
		m.HandleFunc("POST /upload", parse)
		return m
	}
	same := func(next http.Handler) http.Handler { return next }
	for name, tt := range map[string]struct {
		build   func(reg *shoal.Registry) http.Handler
		pattern string
	}{
		"nethttp":          {func(reg *shoal.Registry) http.Handler { return shoalhttp.Install(mux(), reg, fromInside) }, "POST /upload"},
		"nethttp, between": {func(reg *shoal.Registry) http.Handler { return shoalhttp.Install(mux(), reg, fromInside, same) }, "POST /upload"},
		"nethttp, between, without such labels": {func(reg *shoal.Registry) http.Handler {
			return shoalhttp.Install(mux(), reg, httpmetrics.Opts{}, same)
		}, "POST /upload"},
		"gin": {func(reg *shoal.Registry) http.Handler {
			engine := gin.New()
			shoalgin.Install(engine, reg, fromInside)
			engine.POST("/upload", gin.WrapF(parse))
			return engine
		}, ""},
		"gin around a mux": {func(reg *shoal.Registry) http.Handler {
			engine := gin.New()
			shoalgin.Install(engine, reg, fromInside)
			engine.POST("/upload", gin.WrapH(mux()))
			return engine
		}, "POST /upload"},
		"echo": {func(reg *shoal.Registry) http.Handler {
			e := quietEcho()
			shoalecho.Install(e, reg, fromInside)
			e.POST("/upload", echo.WrapHandler(http.HandlerFunc(parse)))
			return e
		}, ""},
		"echo v5": {echoV5Upload(parse), "/upload"}, // which echo v5 itself notes
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			t.Setenv("TMPDIR", dir)
			reg := shoaltest.New(t)
			app, files := tt.build(reg), -1
			s := siteOf(t, reg, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				app.ServeHTTP(w, r)
				if r.Pattern != tt.pattern {
					t.Errorf("further out the pattern is %q, want %q", r.Pattern, tt.pattern)
				}
				if r.MultipartForm == nil {
					t.Error("further out there is no form")
				}
				entries, _ := os.ReadDir(dir)
				files = len(entries)
			}))
			var body bytes.Buffer
			form := multipart.NewWriter(&body)
			part, _ := form.CreateFormFile("file", "name")
			_, _ = part.Write(bytes.Repeat([]byte("x"), 11<<20)) // net/http keeps 10 MB and a bit in memory
			_ = form.Close()
			res, err := s.client.Post(s.server.URL+"/upload", form.FormDataContentType(), &body)
			if err != nil {
				t.Fatal(err)
			}
			_ = res.Body.Close()
			s.finish()
			if left, _ := os.ReadDir(dir); res.StatusCode != http.StatusOK || files != 1 || len(left) != 0 {
				t.Errorf("the answer is %d, %d files while it is served and %d after, want 1 and 0", res.StatusCode, files, len(left))
			}
		})
	}
}

// Run with -race: who has no such labels may read the request in a goroutine that outlasts it,
// as with net/http alone.
func TestRequest_IsNotWrittenToWithoutLabelsFromInside(t *testing.T) {
	forEach(t, func(t *testing.T, f framework) {
		var wg sync.WaitGroup
		served := make(chan struct{})
		s := newSite(t, f, httpmetrics.Opts{}, route{"GET", "/", func(_ http.ResponseWriter, r *http.Request) {
			wg.Go(func() {
				_ = fmt.Sprint(r.Pattern, r.MultipartForm)
				<-served
				_ = fmt.Sprint(r.Pattern, r.MultipartForm)
			})
		}})
		s.do("GET", "/", nil)
		close(served)
		wg.Wait()
		s.finish()
	})
}
