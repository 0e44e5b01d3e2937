// SPDX-License-Identifier: Apache-2.0

package shoalfiber_test

import (
	"testing"

	"github.com/gofiber/fiber/v2"
	"github.com/shoal-metrics/shoal/core/shoaltest"
	shoalfiber "github.com/shoal-metrics/shoal/middleware/fiberv2"
	"github.com/valyala/fasthttp"
)

func newApp() *fiber.App { return fiber.New() }

func ok(c *fiber.Ctx) error { return c.SendString("ok") }

func handlerOf(tb testing.TB, measured bool) func() {
	app := newApp()
	if measured {
		shoalfiber.Install(app, shoaltest.New(tb), shoalfiber.Opts{})
	}
	app.Get("/users/:id", ok)
	handler, ctx := app.Handler(), new(fasthttp.RequestCtx)
	ctx.Request.SetRequestURI("/users/7")
	return func() {
		ctx.ResetUserValues() // as the server does
		ctx.Response.Reset()
		handler(ctx)
	}
}

func BenchmarkMiddleware(b *testing.B) {
	for name, measured := range map[string]bool{"bare": false, "shoal": true} {
		b.Run(name, func(b *testing.B) {
			serve := handlerOf(b, measured)
			b.ReportAllocs()
			for b.Loop() {
				serve()
			}
		})
	}
}

func TestMiddlewareTakesAtMostTwoAllocations(t *testing.T) {
	bare, measured := testing.AllocsPerRun(1000, handlerOf(t, false)), testing.AllocsPerRun(1000, handlerOf(t, true))
	if measured > bare+2 {
		t.Errorf("%v allocations for a request, %v without the middleware", measured, bare)
	}
}
