// SPDX-License-Identifier: Apache-2.0

package shoalecho

import (
	"context"
	"log/slog"
	"net"
	"net/http"

	"github.com/labstack/echo/v5"
	shoal "github.com/shoal-metrics/shoal/core"
	"github.com/shoal-metrics/shoal/core/httpmetrics"
)

// Run serves e on addr until ctx is done, then drains the requests and closes the
// registry, in this order; see [httpmetrics.Serve]. Further servers, such as
// [httpmetrics.PageServer], start and end with it. The server reports errors to
// e.Logger. For TLS, or other settings of a server, use httpmetrics.Serve. An
// echo.StartConfig drains too, but does not close the registry; the README shows what
// does after it.
//
// It panics if e, reg or a server is nil.
func Run(ctx context.Context, e *echo.Echo, addr string, reg *shoal.Registry, also ...*http.Server) error {
	return httpmetrics.Serve(ctx, reg, append([]*http.Server{newServer(e, addr)}, also...)...)
}

// RunListener is [Run] on a listener in place of an address: a unix socket, one that
// systemd opened, one with SO_REUSEPORT. It closes l in any case. See
// [httpmetrics.Graceful] for listeners of further servers.
func RunListener(ctx context.Context, e *echo.Echo, l net.Listener, reg *shoal.Registry, also ...*http.Server) error {
	server := newServer(e, "")
	own := map[*http.Server]net.Listener{server: l}
	return httpmetrics.Graceful{Listeners: own}.Serve(ctx, reg, append([]*http.Server{server}, also...)...)
}

// newServer makes a server for e that reports as that of an echo.StartConfig does.
func newServer(e *echo.Echo, addr string) *http.Server {
	mustHave(e)
	server := httpmetrics.NewServer(addr, e)
	if e.Logger != nil {
		server.ErrorLog = slog.NewLogLogger(e.Logger.Handler(), slog.LevelError)
	}
	return server
}

func mustHave(e *echo.Echo) {
	if e == nil {
		panic("shoalecho: the Echo is nil: give it echo.New()")
	}
}
