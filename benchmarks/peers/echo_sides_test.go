// SPDX-License-Identifier: Apache-2.0

package peers

import (
	"testing"

	"github.com/labstack/echo-contrib/echoprometheus"
	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus"
	shoalecho "github.com/shoal-metrics/shoal/middleware/echo"
	slok "github.com/slok/go-http-metrics/middleware"
	slokecho "github.com/slok/go-http-metrics/middleware/echo"
)

var echoRouter = []side{
	{"echo", "bare", func(testing.TB) (app, prometheus.Gatherer) {
		return echoRoutes(echo.New(), nil), nil
	}},
	// echo wraps the handler again for each request, so every middleware has one
	// allocation more.
	{"echo", "passing", func(testing.TB) (app, prometheus.Gatherer) {
		e := echo.New()
		e.Use(func(next echo.HandlerFunc) echo.HandlerFunc {
			return func(c echo.Context) error { return next(c) }
		})
		return echoRoutes(e, nil), nil
	}},
	{"echo", "shoal", func(tb testing.TB) (app, prometheus.Gatherer) {
		e, reg := echo.New(), connectedAsUsual(tb)
		shoalecho.Install(e, reg, shoalecho.Opts{})
		return echoRoutes(e, nil), reg
	}},
	{"echo", "slok", func(testing.TB) (app, prometheus.Gatherer) {
		m, page := slokMiddleware(false)
		return echoRoutes(echo.New(), &m), page
	}},
	{"echo", "slok-without-size", func(testing.TB) (app, prometheus.Gatherer) {
		m, page := slokMiddleware(true)
		return echoRoutes(echo.New(), &m), page
	}},
	{"echo", "echoprometheus", func(testing.TB) (app, prometheus.Gatherer) {
		e, page := echo.New(), prometheus.NewRegistry()
		e.Use(echoprometheus.NewMiddlewareWithConfig(echoprometheus.MiddlewareConfig{Registerer: page}))
		return echoRoutes(e, nil), page
	}},
}

func echoRoutes(e *echo.Echo, m *slok.Middleware) app {
	for _, pattern := range colons {
		h := func(c echo.Context) error {
			_, err := c.Response().Write(body)
			return err
		}
		if m == nil {
			e.GET(pattern, h)
		} else {
			e.GET(pattern, h, slokecho.Handler(pattern, *m))
		}
	}
	return httpApp{e}
}
