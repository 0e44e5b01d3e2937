// SPDX-License-Identifier: Apache-2.0

package tests

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

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

// basicAuth stands for an authentication of the application's own.
func basicAuth(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if name, password, _ := r.BasicAuth(); name != "ann" || password != "secret" {
			http.Error(w, "who are you?", http.StatusUnauthorized)
			return
		}
		next.ServeHTTP(w, r)
	})
}

var users = gin.Accounts{"ann": "secret"}

func check(name, password string, _ echo.Context) (bool, error) {
	return name == "ann" && password == "secret", nil
}

var hello = text("hello")

// guard is an application with an authentication.
type guard struct {
	promise  string
	build    func(reg *shoal.Registry) http.Handler
	page     int  // the status of the page without credentials
	hello    int  // that of /hello
	recorded bool // what is refused on /hello
}

// guards are the snippets of the READMEs, and those that their warnings are
// about.
var guards = []guard{
	{"nethttp, in between", func(reg *shoal.Registry) http.Handler {
		mux := http.NewServeMux()
		mux.Handle("GET /hello", hello)
		handler := shoalhttp.Install(mux, reg, shoalhttp.Opts{}, basicAuth)
		return handler
	}, 401, 401, true},
	{"nethttp, around it all", func(reg *shoal.Registry) http.Handler {
		mux := http.NewServeMux()
		mux.Handle("GET /hello", hello)
		handler := basicAuth(shoalhttp.Install(mux, reg, shoalhttp.Opts{}))
		return handler
	}, 401, 401, false},
	{"nethttp, the page alone", func(reg *shoal.Registry) http.Handler {
		mux := http.NewServeMux()
		mux.Handle("GET /hello", hello)
		mux.Handle("GET /metrics", basicAuth(shoalhttp.Handler(reg, shoal.HandlerOpts{})))
		handler := shoalhttp.Middleware(reg, shoalhttp.Opts{})(mux)
		return handler
	}, 401, 200, true},
	{"chi, middleware before Install", func(reg *shoal.Registry) http.Handler {
		basicAuth := chimiddleware.BasicAuth("metrics", users)
		r := chi.NewRouter()
		r.Use(basicAuth)
		shoalchi.Install(r, reg, shoalchi.Opts{})
		r.Handle("/hello", hello)
		return r
	}, 401, 401, false},
	{"chi, middleware after Install", func(reg *shoal.Registry) http.Handler {
		r := chi.NewRouter()
		shoalchi.Install(r, reg, shoalchi.Opts{})
		r.Use(basicAuth)
		r.Handle("/hello", hello)
		return r
	}, 200, 401, true},
	{"chi, the page's middleware", func(reg *shoal.Registry) http.Handler {
		basicAuth := chimiddleware.BasicAuth("metrics", users)
		r := chi.NewRouter()
		r.Use(shoalchi.Middleware(reg, shoalchi.Opts{}))
		r.With(basicAuth).Handle("/metrics", shoalchi.Handler(reg, shoal.HandlerOpts{}))
		r.Handle("/hello", hello)
		return r
	}, 401, 200, true},
	{"chi, a handler around the page", func(reg *shoal.Registry) http.Handler {
		r := chi.NewRouter()
		r.Use(shoalchi.Middleware(reg, shoalchi.Opts{}))
		r.Handle("/metrics", basicAuth(shoalchi.Handler(reg, shoal.HandlerOpts{})))
		r.Handle("/hello", hello)
		return r
	}, 401, 200, true},
	{"gin, middleware before the page", func(reg *shoal.Registry) http.Handler {
		engine := gin.New()
		engine.Use(shoalgin.Middleware(reg, shoalgin.Opts{}), gin.BasicAuth(users))
		engine.GET("/metrics", shoalgin.Handler(reg, shoal.HandlerOpts{}))
		engine.GET("/hello", gin.WrapF(hello))
		return engine
	}, 401, 401, true},
	{"gin, middleware before Install", func(reg *shoal.Registry) http.Handler {
		engine := gin.New()
		engine.Use(gin.BasicAuth(users))
		shoalgin.Install(engine, reg, shoalgin.Opts{})
		engine.GET("/hello", gin.WrapF(hello))
		return engine
	}, 401, 401, false},
	{"gin, middleware after Install", func(reg *shoal.Registry) http.Handler {
		engine := gin.New()
		shoalgin.Install(engine, reg, shoalgin.Opts{})
		engine.Use(gin.BasicAuth(users))
		engine.GET("/hello", gin.WrapF(hello))
		return engine
	}, 200, 401, true},
	{"gin, the page's middleware", func(reg *shoal.Registry) http.Handler {
		engine := gin.New()
		engine.Use(shoalgin.Middleware(reg, shoalgin.Opts{}))
		engine.GET("/metrics", gin.BasicAuth(users), shoalgin.Handler(reg, shoal.HandlerOpts{}))
		engine.GET("/hello", gin.WrapF(hello))
		return engine
	}, 401, 200, true},
	{"gin, a handler around the page", func(reg *shoal.Registry) http.Handler {
		engine := gin.New()
		engine.Use(shoalgin.Middleware(reg, shoalgin.Opts{}))
		engine.GET("/metrics", gin.WrapH(basicAuth(httpmetrics.Handler(reg, shoal.HandlerOpts{}))))
		engine.GET("/hello", gin.WrapF(hello))
		return engine
	}, 401, 200, true},
	{"echo, middleware after Install", func(reg *shoal.Registry) http.Handler {
		e := quietEcho()
		shoalecho.Install(e, reg, shoalecho.Opts{})
		e.Use(middleware.BasicAuth(check))
		e.GET("/hello", echo.WrapHandler(hello))
		return e
	}, 401, 401, true},
	{"echo, middleware before Install", func(reg *shoal.Registry) http.Handler {
		e := quietEcho()
		e.Use(middleware.BasicAuth(check))
		shoalecho.Install(e, reg, shoalecho.Opts{})
		e.GET("/hello", echo.WrapHandler(hello))
		return e
	}, 401, 401, false},
	{"echo, the page's middleware", func(reg *shoal.Registry) http.Handler {
		e := quietEcho()
		e.Use(shoalecho.Middleware(reg, shoalecho.Opts{}))
		e.GET("/metrics", shoalecho.Handler(reg, shoal.HandlerOpts{}), middleware.BasicAuth(check))
		e.GET("/hello", echo.WrapHandler(hello))
		return e
	}, 401, 200, true},
	{"echo, a handler around the page", func(reg *shoal.Registry) http.Handler {
		e := quietEcho()
		e.Use(shoalecho.Middleware(reg, shoalecho.Opts{}))
		e.GET("/metrics", echo.WrapHandler(basicAuth(httpmetrics.Handler(reg, shoal.HandlerOpts{}))))
		e.GET("/hello", echo.WrapHandler(hello))
		return e
	}, 401, 200, true},
}

func TestGuard_ThePageIsOpenOnlyToThoseWhoMayReadIt(t *testing.T) {
	for _, tt := range slices.Concat(guards, echoV5Guards) {
		t.Run(strings.ReplaceAll(tt.promise, " ", "_"), func(t *testing.T) {
			reg := shoaltest.New(t)
			h := tt.build(reg)
			for path, want := range map[string]int{"/metrics": tt.page, "/hello": tt.hello} {
				if w := answer(h, httptest.NewRequest("GET", path, nil)); w.Code != want {
					t.Errorf("%s without credentials is %d, want %d", path, w.Code, want)
				}
				r := httptest.NewRequest("GET", path, nil)
				r.SetBasicAuth("ann", "secret")
				if w := answer(h, r); w.Code != 200 || w.Body.Len() == 0 {
					t.Errorf("%s with credentials is %d %q", path, w.Code, w.Body)
				}
			}
			r := httptest.NewRequest("GET", "/metrics", nil)
			r.SetBasicAuth("ann", "secret")
			if refused := strings.Contains(answer(h, r).Body.String(), `code="401"`); tt.hello == 401 && refused != tt.recorded {
				t.Errorf("what was refused is recorded: %v, want %v", refused, tt.recorded)
			}
		})
	}
}

// TestGuard_TheREADMEsSayWhatIsTestedHere finds each line of their snippets in
// this file, or in that of the framework.
func TestGuard_TheREADMEsSayWhatIsTestedHere(t *testing.T) {
	forEach(t, func(t *testing.T, f framework) {
		file := "guard_test.go"
		if f.name == "echov5" {
			file = "echov5_test.go"
		}
		here, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		readme, err := os.ReadFile(filepath.Join("..", f.name, "README.md"))
		if err != nil {
			t.Fatal(err)
		}
		_, section, _ := strings.Cut(string(readme), "## Guard the page\n")
		section, _, _ = strings.Cut(section, "\n## ")
		lines, inside := 0, false
		for line := range strings.Lines(section) {
			line = strings.TrimSpace(line)
			switch {
			case strings.HasPrefix(line, "```"):
				inside = !inside
			case inside && line != "":
				lines++
				if !strings.Contains(string(here), "\t\t"+line+"\n") {
					t.Errorf("it has a line that is not tested: %s", line)
				}
			}
		}
		if lines < 4 {
			t.Errorf("it has %d lines on how to guard the page", lines)
		}
	})
}
