// SPDX-License-Identifier: Apache-2.0

package httpmetrics

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync"
)

// StatusClientGone is recorded for a client that went away before it could have an
// answer: nothing was sent, or a 5xx after it left. It is nginx's number; nobody
// ever receives it.
const StatusClientGone = 499

// clientLeft says whether ctx, that of a request, ended because the client went
// away. A deadline is no such end, nor is that of the server. nothingSent says
// that the request has no answer at all: where net/http could have sent one, the
// client would have had it.
func clientLeft(ctx context.Context, nothingSent bool) bool {
	if !errors.Is(ctx.Err(), context.Canceled) {
		return false
	}
	server, ok := ctx.Value(http.ServerContextKey).(*http.Server)
	if !ok {
		return true
	}
	// net/http gives no cause when a client leaves. signal.NotifyContext, as the
	// base of all requests, does.
	if context.Cause(ctx) != context.Canceled {
		return false
	}
	base, known := ctx.Value(baseKey{}).(context.Context)
	if known && base.Err() != nil {
		return false
	}
	if nothingSent && (known || server.BaseContext == nil) && server.ConnContext == nil {
		return true // the connection is gone: nothing else can have ended ctx
	}
	_, drains := draining.Load(server)
	return !drains
}

// draining holds each *http.Server that is being shut down by [Graceful]. It is
// global since a request leads to its server and to nothing else.
var draining sync.Map

// markDraining says that servers drain, until done is called.
func markDraining(servers []*http.Server) (done func()) {
	for _, s := range servers {
		draining.Store(s, true)
	}
	return func() {
		for _, s := range servers {
			draining.Delete(s)
		}
	}
}

// baseKey is where the requests of a server find the context that they all have
// in common, which may end before they do.
type baseKey struct{}

// carryBase has the requests of s carry the context that s.BaseContext gives. It
// must be called before s serves.
func carryBase(s *http.Server) {
	baseOf := s.BaseContext
	if baseOf == nil {
		return // they have context.Background, which never ends
	}
	s.BaseContext = func(l net.Listener) context.Context {
		base := baseOf(l)
		if base == nil {
			return nil // net/http panics and says so
		}
		return context.WithValue(base, baseKey{}, base)
	}
}
