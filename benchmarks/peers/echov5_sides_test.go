// SPDX-License-Identifier: Apache-2.0

package peers

import (
	"testing"

	"github.com/labstack/echo-contrib/v5/echoprometheus"
	"github.com/labstack/echo/v5"
	"github.com/prometheus/client_golang/prometheus"
	shoalecho "github.com/shoal-metrics/shoal/middleware/echov5"
)

// slok's has no middleware for echo v5.
var echoV5Router = []side{
	{"echov5", "bare", func(testing.TB) (app, prometheus.Gatherer) {
		return echoV5Routes(echo.New()), nil
	}},
	{"echov5", "shoal", func(tb testing.TB) (app, prometheus.Gatherer) {
		e, reg := echo.New(), connectedAsUsual(tb)
		shoalecho.Install(e, reg, shoalecho.Opts{})
		return echoV5Routes(e), reg
	}},
	{"echov5", "echoprometheus", func(testing.TB) (app, prometheus.Gatherer) {
		e, page := echo.New(), prometheus.NewRegistry()
		e.Use(echoprometheus.NewMiddlewareWithConfig(echoprometheus.MiddlewareConfig{Registerer: page}))
		return echoV5Routes(e), page
	}},
}

func echoV5Routes(e *echo.Echo) app {
	for _, pattern := range colons {
		e.GET(pattern, func(c *echo.Context) error {
			_, err := c.Response().Write(body)
			return err
		})
	}
	return httpApp{e}
}
