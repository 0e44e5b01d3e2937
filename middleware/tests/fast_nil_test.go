// SPDX-License-Identifier: Apache-2.0

package tests

import (
	"context"

	fiberv2 "github.com/gofiber/fiber/v2"
	"github.com/gofiber/fiber/v3"
	shoal "github.com/shoal-metrics/shoal/core"
	shoalfasthttp "github.com/shoal-metrics/shoal/middleware/fasthttp"
	shoalfiber "github.com/shoal-metrics/shoal/middleware/fiber"
	shoalfiberv2 "github.com/shoal-metrics/shoal/middleware/fiberv2"
	"github.com/valyala/fasthttp"
)

// fastNils are calls of the adapters for frameworks on fasthttp that lack an argument.
func fastNils(ctx context.Context, reg *shoal.Registry, registry, server, listener string) map[string]nilCall {
	return map[string]nilCall{
		"fasthttp Middleware":          {registry, func() { shoalfasthttp.Middleware(nil, shoalfasthttp.Opts{}) }},
		"fasthttp Middleware, handler": {"handler that the middleware is put around is nil", func() { shoalfasthttp.Middleware(reg, shoalfasthttp.Opts{})(nil) }},
		"fasthttp Handler":             {registry, func() { shoalfasthttp.Handler(nil, shoal.HandlerOpts{}) }},
		"fasthttp Install":             {registry, func() { shoalfasthttp.Install(says("ok"), nil, shoalfasthttp.Opts{}) }},
		"fasthttp Run":                 {registry, func() { _ = shoalfasthttp.Run(ctx, &fasthttp.Server{}, "127.0.0.1:0", nil) }},
		"fasthttp Run, server":         {"the server is nil: give it &fasthttp.Server{", func() { _ = shoalfasthttp.Run(ctx, nil, "127.0.0.1:0", reg) }},
		"fasthttp Run, further server": {server, func() { _ = shoalfasthttp.Run(ctx, &fasthttp.Server{}, "127.0.0.1:0", reg, nil) }},
		"fasthttp RunListener":         {listener, func() { _ = shoalfasthttp.RunListener(ctx, &fasthttp.Server{}, nil, reg) }},
		"fasthttp RunListener, server": {"the server is nil", func() { _ = shoalfasthttp.RunListener(ctx, nil, nil, reg) }},
		"fiber Middleware":             {registry, func() { shoalfiber.Middleware(nil, shoalfiber.Opts{}) }},
		"fiber Handler":                {registry, func() { shoalfiber.Handler(nil, shoal.HandlerOpts{}) }},
		"fiber Install":                {registry, func() { shoalfiber.Install(fiber.New(), nil, shoalfiber.Opts{}) }},
		"fiber Install, app":           {"the app is nil: give it fiber.New()", func() { shoalfiber.Install(nil, reg, shoalfiber.Opts{}) }},
		"fiber Run":                    {registry, func() { _ = shoalfiber.Run(ctx, fiber.New(), "127.0.0.1:0", nil) }},
		"fiber Run, app":               {"the app is nil: give it fiber.New()", func() { _ = shoalfiber.Run(ctx, nil, "127.0.0.1:0", reg) }},
		"fiber RunListener":            {listener, func() { _ = shoalfiber.RunListener(ctx, fiber.New(), nil, reg) }},
		"fiber RunListener, app":       {"the app is nil: give it fiber.New()", func() { _ = shoalfiber.RunListener(ctx, nil, nil, reg) }},
		"fiber v2 Middleware":          {registry, func() { shoalfiberv2.Middleware(nil, shoalfiberv2.Opts{}) }},
		"fiber v2 Handler":             {registry, func() { shoalfiberv2.Handler(nil, shoal.HandlerOpts{}) }},
		"fiber v2 Install":             {registry, func() { shoalfiberv2.Install(fiberv2.New(), nil, shoalfiberv2.Opts{}) }},
		"fiber v2 Install, app":        {"the app is nil: give it fiber.New()", func() { shoalfiberv2.Install(nil, reg, shoalfiberv2.Opts{}) }},
		"fiber v2 Run":                 {registry, func() { _ = shoalfiberv2.Run(ctx, fiberv2.New(), "127.0.0.1:0", nil) }},
		"fiber v2 Run, app":            {"the app is nil: give it fiber.New()", func() { _ = shoalfiberv2.Run(ctx, nil, "127.0.0.1:0", reg) }},
		"fiber v2 RunListener":         {listener, func() { _ = shoalfiberv2.RunListener(ctx, fiberv2.New(), nil, reg) }},
	}
}
