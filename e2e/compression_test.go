// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	gingzip "github.com/gin-contrib/gzip"
	"github.com/gin-gonic/gin"
	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"

	shoal "github.com/shoal-metrics/shoal/core"
	"github.com/shoal-metrics/shoal/core/shoaltest"
	shoalecho "github.com/shoal-metrics/shoal/middleware/echo"
	shoalgin "github.com/shoal-metrics/shoal/middleware/gin"
)

// What answers with a page that a middleware around it compresses. All other
// pairs are in middleware/tests, where a client that is no Prometheus reads them.
func TestPrometheus_ReadsAPageThatAMiddlewareCompresses(t *testing.T) {
	t.Parallel()
	gin.SetMode(gin.ReleaseMode)
	apps := map[string]func(reg *shoal.Registry) http.Handler{
		"echo, Install before Gzip": func(reg *shoal.Registry) http.Handler {
			e := echo.New()
			shoalecho.Install(e, reg, shoalecho.Opts{})
			e.Use(middleware.Gzip())
			return e
		},
		"echo, Gzip before Install": func(reg *shoal.Registry) http.Handler {
			e := echo.New()
			e.Use(middleware.Gzip())
			shoalecho.Install(e, reg, shoalecho.Opts{})
			return e
		},
		"gin, gzip before Install": func(reg *shoal.Registry) http.Handler {
			engine := gin.New()
			engine.Use(gingzip.Gzip(gingzip.DefaultCompression))
			shoalgin.Install(engine, reg, shoalgin.Opts{})
			return engine
		},
	}
	var targets []string
	names := map[string]string{}
	for name, build := range apps {
		server := httptest.NewServer(build(shoaltest.New(t)))
		t.Cleanup(server.Close)
		target := strings.TrimPrefix(server.URL, "http://")
		targets, names[target] = append(targets, target), name
	}
	prometheus := startPrometheus(t, targets...)
	for target, name := range names {
		until(t, name+" is up and has samples", func() error {
			for _, expr := range []string{"up", "shoal_instances"} {
				got, err := prometheus.query(fmt.Sprintf("%s{instance=%q} == 1", expr, target))
				if err != nil {
					return err
				}
				if len(got) != 1 {
					return fmt.Errorf("%s is not 1", expr)
				}
			}
			return nil
		})
	}
}
