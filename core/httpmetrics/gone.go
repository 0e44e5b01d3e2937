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

// draining holds each *http.Server that is being shut down by [Graceful]. It is
// global since a request leads to its server and to nothing else.
var draining sync.Map

// markDraining says that servers drain, until done is called.
func markDraining(servers []*serving) (done func()) {
	for _, s := range servers {
		draining.Store(s.Server, true)
	}
	return func() {
		for _, s := range servers {
			draining.Delete(s.Server)
		}
	}
}
