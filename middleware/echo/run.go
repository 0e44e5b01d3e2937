// SPDX-License-Identifier: Apache-2.0

package shoalecho

import (
	"context"
	"errors"
	"net"
	"net/http"

	"github.com/labstack/echo/v4"
	shoal "github.com/shoal-metrics/shoal/core"
	"github.com/shoal-metrics/shoal/core/httpmetrics"
)

// Run serves e until ctx is done, then drains the requests and closes the
// registry, in this order; see [httpmetrics.Serve]. Further servers, such as
// [httpmetrics.PageServer], start and end with it.
//
// What is set on e counts as in e.Start and e.StartTLS:
//
//   - It serves e.Server with its timeouts and its Handler, which is e unless
//     you set one that wraps it. If only e.TLSServer has a TLSConfig, it serves
//     that one. Timeouts that the server lacks it gets from httpmetrics.Serve.
//     It serves TLS if the server's TLSConfig has certificates. For automatic
//     certificates set that to e.AutoTLSManager.TLSConfig().
//   - It listens on addr with e.ListenerNetwork. If e.Listener is set, it serves
//     e.Server on that, and if e.TLSListener is set, e.TLSServer on that; addr is
//     not used then. It closes both in any case.
//   - e.DisableHTTP2, e.StdLogger and e.Debug are heeded. It prints no banner.
//
// For HTTP/2 without TLS set e.Server.Protocols, in place of e.StartH2CServer.
// It panics if e, reg or a server is nil.
func Run(ctx context.Context, e *echo.Echo, addr string, reg *shoal.Registry, also ...*http.Server) error {
	mustHave(e)
	if e.Debug {
		e.Logger.SetLevel(1) // DEBUG of gommon/log, which only echo itself depends on
	}
	own := map[*http.Server]net.Listener{}
	var servers []*http.Server
	if e.Listener != nil {
		servers, own[e.Server] = append(servers, e.Server), e.Listener
	}
	if e.TLSListener != nil {
		servers, own[e.TLSServer] = append(servers, e.TLSServer), e.TLSListener
	}
	if len(servers) == 0 {
		server, err := listen(ctx, e, addr, own)
		if err != nil {
			return errors.Join(err, httpmetrics.Graceful{}.Shutdown(ctx, reg))
		}
		servers = append(servers, server)
	}
	for _, s := range servers {
		s.ErrorLog = e.StdLogger
		if s.Handler == nil {
			s.Handler = e
		}
	}
	return httpmetrics.Graceful{Listeners: own}.Serve(ctx, reg, append(servers, also...)...)
}

// RunListener is [Run] with e.Listener set to l, or e.TLSListener if only
// e.TLSServer has a TLSConfig. l may be a unix socket, one that systemd opened, one
// with SO_REUSEPORT. It closes l in any case. See [httpmetrics.Graceful] for listeners
// of further servers.
func RunListener(ctx context.Context, e *echo.Echo, l net.Listener, reg *shoal.Registry, also ...*http.Server) error {
	mustHave(e)
	if l == nil {
		panic("shoalecho: RunListener: the listener is nil: see the error of what should have opened it")
	}
	if serverOf(e) == e.TLSServer {
		e.TLSListener = l
	} else {
		e.Listener = l
	}
	return Run(ctx, e, "", reg, also...)
}

// serverOf returns the server of e that serves addr.
func serverOf(e *echo.Echo) *http.Server {
	if e.Server.TLSConfig == nil && e.TLSServer.TLSConfig != nil {
		return e.TLSServer
	}
	return e.Server
}

// listen prepares the server for addr. If e.ListenerNetwork is one that httpmetrics.Serve
// does not use by itself, it opens a listener and puts it into own.
func listen(ctx context.Context, e *echo.Echo, addr string, own map[*http.Server]net.Listener) (*http.Server, error) {
	server := serverOf(e)
	server.Addr = addr
	if e.DisableHTTP2 && server.Protocols == nil {
		server.Protocols = new(http.Protocols)
		server.Protocols.SetHTTP1(true)
	}
	switch e.ListenerNetwork {
	case "", "tcp":
		return server, nil
	case "tcp4", "tcp6":
	default:
		return nil, echo.ErrInvalidListenerNetwork
	}
	if addr == "" {
		addr = ":http"
		if server.TLSConfig != nil {
			addr = ":https"
		}
	}
	var config net.ListenConfig
	l, err := config.Listen(context.WithoutCancel(ctx), e.ListenerNetwork, addr)
	own[server] = l
	return server, err
}

func mustHave(e *echo.Echo) {
	if e == nil {
		panic("shoalecho: the Echo is nil: give it echo.New()")
	}
}
