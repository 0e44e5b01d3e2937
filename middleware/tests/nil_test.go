// SPDX-License-Identifier: Apache-2.0

package tests

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"
	"github.com/go-chi/chi/v5"
	"github.com/labstack/echo/v4"
	shoal "github.com/shoal-metrics/shoal/core"
	"github.com/shoal-metrics/shoal/core/shoaltest"
	shoalchi "github.com/shoal-metrics/shoal/middleware/chi"
	shoalecho "github.com/shoal-metrics/shoal/middleware/echo"
	shoalgin "github.com/shoal-metrics/shoal/middleware/gin"
	shoalhttp "github.com/shoal-metrics/shoal/middleware/nethttp"
)

// nilCall is a call that lacks an argument, and what it says.
type nilCall struct {
	says string
	call func()
}

func TestNilArgumentIsNamedWithWhatToGiveInstead(t *testing.T) {
	const registry, server, listener = "the registry is nil: give it shoal.Default()", "server 1 of 1 is nil: give", "listener is nil: see the error"
	reg := shoaltest.New(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // a Run that takes nil ends
	calls := map[string]nilCall{
		"nethttp Middleware":               {registry, func() { shoalhttp.Middleware(nil, shoalhttp.Opts{}) }},
		"nethttp Middleware, handler":      {"handler that the middleware is put around is nil", func() { shoalhttp.Middleware(reg, shoalhttp.Opts{})(nil) }},
		"nethttp Handler":                  {registry, func() { shoalhttp.Handler(nil, shoal.HandlerOpts{}) }},
		"nethttp Install":                  {registry, func() { shoalhttp.Install(http.NewServeMux(), nil, shoalhttp.Opts{}) }},
		"nethttp Install, mux":             {"the mux is nil: give it http.NewServeMux()", func() { shoalhttp.Install(nil, reg, shoalhttp.Opts{}) }},
		"nethttp Install, between":         {"between[0] is nil", func() { shoalhttp.Install(http.NewServeMux(), reg, shoalhttp.Opts{}, nil) }},
		"nethttp Run":                      {registry, func() { _ = shoalhttp.Run(ctx, &http.Server{}, nil) }},
		"nethttp Run, server":              {server, func() { _ = shoalhttp.Run(ctx, nil, reg) }},
		"nethttp Run, further server":      {"server 2 of 2 is nil: give", func() { _ = shoalhttp.Run(ctx, &http.Server{}, reg, nil) }},
		"nethttp RunListener":              {listener, func() { _ = shoalhttp.RunListener(ctx, &http.Server{}, nil, reg) }},
		"chi Middleware":                   {registry, func() { shoalchi.Middleware(nil, shoalchi.Opts{}) }},
		"chi Handler":                      {registry, func() { shoalchi.Handler(nil, shoal.HandlerOpts{}) }},
		"chi Install":                      {registry, func() { shoalchi.Install(chi.NewRouter(), nil, shoalchi.Opts{}) }},
		"chi Install, router":              {"the router is nil: give it chi.NewRouter()", func() { shoalchi.Install(nil, reg, shoalchi.Opts{}) }},
		"chi Install, router of a type":    {"the router is nil: give it chi.NewRouter()", func() { shoalchi.Install((*chi.Mux)(nil), reg, shoalchi.Opts{}) }},
		"chi Run":                          {registry, func() { _ = shoalchi.Run(ctx, chi.NewRouter(), "127.0.0.1:0", nil) }},
		"chi Run, handler":                 {"the handler is nil", func() { _ = shoalchi.Run(ctx, nil, "127.0.0.1:0", reg) }},
		"chi RunListener":                  {listener, func() { _ = shoalchi.RunListener(ctx, chi.NewRouter(), nil, reg) }},
		"gin Middleware":                   {registry, func() { shoalgin.Middleware(nil, shoalgin.Opts{}) }},
		"gin Handler":                      {registry, func() { shoalgin.Handler(nil, shoal.HandlerOpts{}) }},
		"gin Install":                      {registry, func() { shoalgin.Install(gin.New(), nil, shoalgin.Opts{}) }},
		"gin Install, engine":              {"the engine is nil: give it gin.New()", func() { shoalgin.Install(nil, reg, shoalgin.Opts{}) }},
		"gin Run":                          {registry, func() { _ = shoalgin.Run(ctx, gin.New(), "127.0.0.1:0", nil) }},
		"gin Run, engine":                  {"the engine is nil: give it gin.New()", func() { _ = shoalgin.Run(ctx, nil, "127.0.0.1:0", reg) }},
		"gin RunListener":                  {listener, func() { _ = shoalgin.RunListener(ctx, gin.New(), nil, reg) }},
		"echo Middleware":                  {registry, func() { shoalecho.Middleware(nil, shoalecho.Opts{}) }},
		"echo Handler":                     {registry, func() { shoalecho.Handler(nil, shoal.HandlerOpts{}) }},
		"echo Install":                     {registry, func() { shoalecho.Install(echo.New(), nil, shoalecho.Opts{}) }},
		"echo Install, Echo":               {"the Echo is nil: give it echo.New()", func() { shoalecho.Install(nil, reg, shoalecho.Opts{}) }},
		"echo Run":                         {registry, func() { _ = shoalecho.Run(ctx, echo.New(), "127.0.0.1:0", nil) }},
		"echo Run, Echo":                   {"the Echo is nil: give it echo.New()", func() { _ = shoalecho.Run(ctx, nil, "127.0.0.1:0", reg) }},
		"echo RunListener":                 {listener, func() { _ = shoalecho.RunListener(ctx, echo.New(), nil, reg) }},
		"echo RunListener, Echo":           {"the Echo is nil: give it echo.New()", func() { _ = shoalecho.RunListener(ctx, nil, nil, reg) }},
		"gin RunListener, engine":          {"the engine is nil: give it gin.New()", func() { _ = shoalgin.RunListener(ctx, nil, nil, reg) }},
		"nethttp RunListener, server":      {server, func() { _ = shoalhttp.RunListener(ctx, nil, nil, reg) }},
		"echo Run, network of no listener": {registry, func() { e := echo.New(); e.ListenerNetwork = "udp"; _ = shoalecho.Run(ctx, e, ":0", nil) }},
	}
	maps.Copy(calls, echoV5Nils(ctx, reg, registry, listener))
	maps.Copy(calls, fastNils(ctx, reg, registry, server, listener))
	for name, tt := range calls {
		t.Run(strings.ReplaceAll(name, " ", "_"), func(t *testing.T) {
			defer func() {
				if said := fmt.Sprint(recover()); !strings.Contains(said, tt.says) {
					t.Errorf("it panics with %q, want %q", said, tt.says)
				}
			}()
			tt.call()
		})
	}
}
