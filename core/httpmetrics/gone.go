// SPDX-License-Identifier: Apache-2.0

package httpmetrics

import (
	"context"
	"errors"
	"net/http"
	"sync"
)

// StatusClientGone is recorded for a client that went away before it could have an
// answer: nothing was sent, or a 5xx after it left. It is nginx's number; nobody
// ever receives it.
const StatusClientGone = 499

// clientLeft says whether ctx, that of a request, ended because the client went away,
// and not by a deadline or by the server's shutdown. nothingSent says that the request
// has no answer at all: had net/http been able to send one, the client would have it.
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
	if context.Cause(ctx) != context.Canceled { //nolint:errorlint // a signal's cause says that it is context.Canceled too
		return false
	}
	group := drainGroupOf(ctx)
	if group != nil && group.base.Err() != nil {
		return false
	}
	if nothingSent && (group != nil || server.BaseContext == nil) && server.ConnContext == nil {
		return true // the connection is gone, or code further out ended ctx
	}
	_, drains := draining.Load(server)
	return !drains
}

// draining holds each *http.Server that [Graceful] is shutting down. It is global since
// from a request only its server can be found.
var draining sync.Map

// markDraining says that servers drain, until done is called.
func markDraining(all []part) (done func()) {
	for _, p := range all {
		if s, ok := p.(*serving); ok {
			draining.Store(s.Server, true)
		}
	}
	return func() {
		for _, p := range all {
			if s, ok := p.(*serving); ok {
				draining.Delete(s.Server)
			}
		}
	}
}
