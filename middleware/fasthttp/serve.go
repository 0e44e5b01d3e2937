// SPDX-License-Identifier: Apache-2.0

package shoalfasthttp

import (
	"context"
	"net"
	"net/http"
	"time"

	shoal "github.com/shoal-metrics/shoal/core"
	"github.com/shoal-metrics/shoal/core/httpmetrics"
	"github.com/valyala/fasthttp"
)

const (
	// headerTimeout bounds how long a client may take to send a request's header.
	headerTimeout = 10 * time.Second
	// bodyTimeout bounds how long a client may take to send a request's body: no handler is
	// called before it is there, and fasthttp asks for some limit.
	bodyTimeout = 24 * time.Hour
	// idleTimeout bounds how long a connection lives on which no request comes. It is
	// longer than the ten minutes for which some load balancers keep connections.
	idleTimeout = 11 * time.Minute
)

// Serve is [Run] for adapters: o serves server, by the functions of its framework.
//
// When ctx is done, the listener is closed, connections on which no request is being
// served are closed, and the other ones after their answer, up to
// [httpmetrics.DefDrainTimeout]. Answers tell that by Connection: close. Then the registry
// is closed, up to [httpmetrics.DefCloseTimeout]. fasthttp does not wait for hijacked
// connections, and it can't cut off requests that outlast the timeout: they go on until
// the process ends.
//
// A server without a ReadTimeout gets one of 10 s for the header of a request alone, unless
// it has a HeaderReceived, and one without an IdleTimeout one of 11 min. What you set stays,
// negative values too, which mean no limit.
func Serve(ctx context.Context, reg *shoal.Registry, server *fasthttp.Server, o httpmetrics.Other, also ...*http.Server) error {
	limit(server)
	server.CloseOnShutdown = true
	return httpmetrics.Graceful{Others: []httpmetrics.Other{o}}.Serve(ctx, reg, also...)
}

// limit gives a server the limits that it lacks.
func limit(server *fasthttp.Server) {
	if server.IdleTimeout == 0 && server.ReadTimeout == 0 {
		server.IdleTimeout = idleTimeout
	}
	if server.ReadTimeout == 0 && server.HeaderReceived == nil {
		server.ReadTimeout = headerTimeout
		server.HeaderReceived = func(h *fasthttp.RequestHeader) (config fasthttp.RequestConfig) {
			if n := h.ContentLength(); n > 0 || n == -1 {
				config.ReadTimeout = bodyTimeout
			}
			return config
		}
	}
}

// MustListen panics if l is nil. It is for the RunListener of adapters.
func MustListen(l net.Listener) {
	if l == nil {
		panic("shoalfasthttp: the listener is nil: see the error of what should have opened it")
	}
}
