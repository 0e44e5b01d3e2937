// SPDX-License-Identifier: Apache-2.0

package tests

import (
	"strings"
	"testing"

	fiberv2 "github.com/gofiber/fiber/v2"
	"github.com/gofiber/fiber/v3"
	shoal "github.com/shoal-metrics/shoal/core"
	"github.com/shoal-metrics/shoal/core/shoaltest"
	shoalfasthttp "github.com/shoal-metrics/shoal/middleware/fasthttp"
	shoalfiber "github.com/shoal-metrics/shoal/middleware/fiber"
	shoalfiberv2 "github.com/shoal-metrics/shoal/middleware/fiberv2"
	"github.com/valyala/fasthttp"
)

func answers(c fiber.Ctx) error      { return c.SendString("ok") }
func answersV2(c *fiberv2.Ctx) error { return c.SendString("ok") }

// A request that passes several middlewares is recorded once, with the route of the
// outermost that knows one.
func TestFast_RequestIsRecordedOnceWhereMiddlewaresAreNested(t *testing.T) {
	around := func(reg *shoal.Registry) func(fasthttp.RequestHandler) fasthttp.RequestHandler {
		return shoalfasthttp.Middleware(reg, shoalfasthttp.Opts{})
	}
	for promise, tt := range map[string]struct {
		build func(reg *shoal.Registry) fasthttp.RequestHandler
		route string
	}{
		"fasthttp twice": {func(reg *shoal.Registry) fasthttp.RequestHandler {
			return around(reg)(around(reg)(says("ok")))
		}, "unmatched"},
		"fasthttp around fiber": {func(reg *shoal.Registry) fasthttp.RequestHandler {
			app := fiber.New()
			shoalfiber.Install(app, reg, shoalfiber.Opts{})
			app.Get("/api/:id", answers)
			return around(reg)(app.Handler())
		}, "/api/:id"},
		"fasthttp around fiber v2": {func(reg *shoal.Registry) fasthttp.RequestHandler {
			app := fiberv2.New()
			shoalfiberv2.Install(app, reg, shoalfiberv2.Opts{})
			app.Get("/api/:id", answersV2)
			return around(reg)(app.Handler())
		}, "/api/:id"},
		"fiber, Install twice": {func(reg *shoal.Registry) fasthttp.RequestHandler {
			app := fiber.New()
			shoalfiber.Install(app, reg, shoalfiber.Opts{})
			shoalfiber.Install(app, reg, shoalfiber.Opts{})
			app.Get("/api/:id", answers)
			return app.Handler()
		}, "/api/:id"},
		"fiber, on the app and a group": {func(reg *shoal.Registry) fasthttp.RequestHandler {
			app := fiber.New()
			shoalfiber.Install(app, reg, shoalfiber.Opts{})
			app.Group("/api", shoalfiber.Middleware(reg, shoalfiber.Opts{})).Get("/:id", answers)
			return app.Handler()
		}, "/api/:id"},
		"fiber, on the app and one mounted in it": {func(reg *shoal.Registry) fasthttp.RequestHandler {
			app, inner := fiber.New(), fiber.New()
			shoalfiber.Install(app, reg, shoalfiber.Opts{})
			shoalfiber.Install(inner, reg, shoalfiber.Opts{})
			inner.Get("/:id", answers)
			app.Use("/api", inner)
			return app.Handler()
		}, "/api/:id"},
		"fiber, restarted": {func(reg *shoal.Registry) fasthttp.RequestHandler {
			app := fiber.New()
			shoalfiber.Install(app, reg, shoalfiber.Opts{})
			app.Get("/api/:id", func(c fiber.Ctx) error {
				c.Path("/new/7")
				return c.RestartRouting()
			})
			app.Get("/new/:id", answers)
			return app.Handler()
		}, "/new/:id"},
		"fiber v2, Install twice": {func(reg *shoal.Registry) fasthttp.RequestHandler {
			app := fiberv2.New()
			shoalfiberv2.Install(app, reg, shoalfiberv2.Opts{})
			shoalfiberv2.Install(app, reg, shoalfiberv2.Opts{})
			app.Get("/api/:id", answersV2)
			return app.Handler()
		}, "/api/:id"},
		"fiber v2, on the app and one mounted in it": {func(reg *shoal.Registry) fasthttp.RequestHandler {
			app, inner := fiberv2.New(), fiberv2.New()
			shoalfiberv2.Install(app, reg, shoalfiberv2.Opts{})
			shoalfiberv2.Install(inner, reg, shoalfiberv2.Opts{})
			inner.Get("/:id", answersV2)
			app.Mount("/api", inner)
			return app.Handler()
		}, "/api/:id"},
		"fiber v2 in fiber": {func(reg *shoal.Registry) fasthttp.RequestHandler {
			app, inner := fiber.New(), fiberv2.New()
			shoalfiber.Install(app, reg, shoalfiber.Opts{})
			shoalfiberv2.Install(inner, reg, shoalfiberv2.Opts{})
			inner.Get("/api/:id", answersV2)
			handler := inner.Handler()
			app.Use(func(c fiber.Ctx) error { handler(c.RequestCtx()); return nil })
			return app.Handler()
		}, "/api/:id"},
	} {
		t.Run(strings.ReplaceAll(promise, " ", "_"), func(t *testing.T) {
			reg := shoaltest.New(t)
			s := fastSiteOf(t, reg, tt.build(reg))
			if status, body := s.do("GET", "/api/7", nil); status != 200 || body != "ok" {
				t.Errorf("the client got %d %q", status, body)
			}
			s.finish()
			s.wantOnly("GET", tt.route, "200")
		})
	}
}

// Middlewares that record in other metrics each record.
func TestFast_RequestIsRecordedInAllOtherMetrics(t *testing.T) {
	reg := shoaltest.New(t)
	app := fiber.New()
	app.Use(shoalfiber.Middleware(reg, shoalfiber.Opts{Namespace: "outer", Labels: []shoalfiber.Label{{Name: "tenant"}}}))
	shoalfiber.Install(app, reg, shoalfiber.Opts{Labels: []shoalfiber.Label{{Name: "tenant"}}})
	app.Get("/x", func(c fiber.Ctx) error { shoalfiber.SetLabel(c, "tenant", "acme"); return nil })
	s := fastSiteOf(t, reg, app.Handler())
	s.do("GET", "/x", nil)
	s.do("GET", "/metrics", nil)
	s.finish()
	for _, name := range []string{"http_requests_total", "outer_http_requests_total"} {
		if n := shoaltest.Value(t, reg, name, "method", "GET", "route", "/x", "code", "200", "tenant", "acme"); n != 1 {
			t.Errorf("%s is %v, want 1", name, n)
		}
	}
	if n := shoaltest.Value(t, reg, "outer_http_requests_in_flight", "gauge_index", "0"); n != 0 {
		t.Errorf("%v in flight in the outer metrics, want 0", n)
	}
}
