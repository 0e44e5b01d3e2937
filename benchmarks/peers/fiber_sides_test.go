// SPDX-License-Identifier: Apache-2.0

package peers

import (
	"strconv"
	"testing"
	"time"

	"github.com/ansrivas/fiberprometheus/v2"
	fiberv2 "github.com/gofiber/fiber/v2"
	"github.com/gofiber/fiber/v3"
	"github.com/prometheus/client_golang/prometheus"
	shoalfiber "github.com/shoal-metrics/shoal/middleware/fiber"
	shoalfiberv2 "github.com/shoal-metrics/shoal/middleware/fiberv2"
	"github.com/valyala/fasthttp"
)

// fastApp serves as fasthttp does.
type fastApp struct{ fasthttp.RequestHandler }

func (a fastApp) caller() func(n int) {
	list := make([]*fasthttp.RequestCtx, sections)
	for i := range list {
		list[i] = fastRequest(i)
	}
	return func(n int) {
		ctx := list[n%sections]
		a.RequestHandler(ctx)
		// So does fasthttp between two requests of a connection.
		ctx.ResetUserValues()
		ctx.Response.Reset()
	}
}

func (a fastApp) answer(n int) (status int, body string) {
	ctx := fastRequest(n % sections)
	a.RequestHandler(ctx)
	return ctx.Response.StatusCode(), string(ctx.Response.Body())
}

func fastRequest(n int) *fasthttp.RequestCtx {
	ctx := new(fasthttp.RequestCtx)
	ctx.Init(new(fasthttp.Request), nil, nil)
	ctx.Request.SetRequestURI(target(n))
	ctx.Request.Header.SetHost("example.com")
	return ctx
}

var fiberV3 = []side{
	{"fiber", "bare", func(testing.TB) (app, prometheus.Gatherer) {
		return fiberV3Routes(fiber.New()), nil
	}},
	{"fiber", "shoal", func(tb testing.TB) (app, prometheus.Gatherer) {
		f, reg := fiber.New(), connectedAsUsual(tb)
		shoalfiber.Install(f, reg, shoalfiber.Opts{})
		return fiberV3Routes(f), reg
	}},
	// No middleware for fiber v3 could be downloaded. This one records with client_golang
	// what shoal's does, without its semantics: what one writes for one's own application.
	{"fiber", "by-hand", func(testing.TB) (app, prometheus.Gatherer) {
		f, page := fiber.New(), prometheus.NewRegistry()
		labels := []string{"method", "route", "code"}
		total := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "http_requests_total"}, labels)
		duration := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "http_request_duration_seconds"}, labels)
		inFlight := prometheus.NewGauge(prometheus.GaugeOpts{Name: "http_requests_in_flight"})
		page.MustRegister(total, duration, inFlight)
		f.Use(func(c fiber.Ctx) error {
			inFlight.Inc()
			defer inFlight.Dec()
			start := time.Now()
			err := c.Next()
			values := []string{c.Method(), c.Route().Path, strconv.Itoa(c.Response().StatusCode())}
			total.WithLabelValues(values...).Inc()
			duration.WithLabelValues(values...).Observe(time.Since(start).Seconds())
			return err
		})
		return fiberV3Routes(f), page
	}},
}

func fiberV3Routes(f *fiber.App) app {
	for _, pattern := range colons {
		f.Get(pattern, func(c fiber.Ctx) error { return c.Send(body) })
	}
	return fastApp{f.Handler()}
}

var fiberV2 = []side{
	{"fiberv2", "bare", func(testing.TB) (app, prometheus.Gatherer) {
		return fiberV2Routes(newFiberV2()), nil
	}},
	{"fiberv2", "shoal", func(tb testing.TB) (app, prometheus.Gatherer) {
		f, reg := newFiberV2(), connectedAsUsual(tb)
		shoalfiberv2.Install(f, reg, shoalfiberv2.Opts{})
		return fiberV2Routes(f), reg
	}},
	{"fiberv2", "fiberprometheus", func(testing.TB) (app, prometheus.Gatherer) {
		f, page := newFiberV2(), prometheus.NewRegistry()
		f.Use(fiberprometheus.NewWithRegistry(page, "shop", "http", "", nil).Middleware)
		return fiberV2Routes(f), page
	}},
}

func newFiberV2() *fiberv2.App {
	return fiberv2.New(fiberv2.Config{DisableStartupMessage: true})
}

func fiberV2Routes(f *fiberv2.App) app {
	for _, pattern := range colons {
		f.Get(pattern, func(c *fiberv2.Ctx) error { return c.Send(body) })
	}
	return fastApp{f.Handler()}
}
