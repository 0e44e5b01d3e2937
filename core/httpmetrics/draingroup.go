// SPDX-License-Identifier: Apache-2.0

package httpmetrics

import (
	"context"
	"fmt"
	"net"
	"sync"
)

// drainGroup counts the requests that are served over HTTP/2 without TLS.
// h2c.NewHandler hijacks their connections, so http.Server.Shutdown does not wait for
// them. A request finds here the base context of its server, which may end before the
// request does.
type drainGroup struct {
	base     context.Context // set before the server serves
	byServer bool            // http.Server.Shutdown waits for them; set before the server serves

	mu       sync.Mutex
	inFlight int           // guarded by mu
	idle     chan struct{} // guarded by mu; made by stop, closed when none is left
}

// drainGroupKey finds a server's drainGroup in the contexts of its requests.
type drainGroupKey struct{}

func drainGroupOf(ctx context.Context) *drainGroup {
	g, _ := ctx.Value(drainGroupKey{}).(*drainGroup)
	return g
}

// baseContext is a http.Server.BaseContext that has g. The contexts of a
// connection that was hijacked, and of the requests on it, descend from it.
func (g *drainGroup) baseContext(of func(net.Listener) context.Context) func(net.Listener) context.Context {
	return func(l net.Listener) context.Context {
		g.base = context.Background()
		if of != nil {
			g.base = of(l)
		}
		if g.base == nil {
			return nil // net/http panics and says so
		}
		return context.WithValue(g.base, drainGroupKey{}, g)
	}
}

// begin counts a request. It says false if the server waits for its requests by itself:
// the server also knows when one is answered before its handler returns, as by an
// http.TimeoutHandler. It also says false during the shutdown: a client that is not told
// to go away may send new requests without end.
func (g *drainGroup) begin() bool {
	if g.byServer {
		return false
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.idle != nil {
		return false
	}
	g.inFlight++
	return true
}

// end is called once for each begin that said true.
func (g *drainGroup) end() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.inFlight--
	if g.idle != nil && g.inFlight == 0 {
		close(g.idle)
	}
}

// stop begins the shutdown.
func (g *drainGroup) stop() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.idle != nil {
		return
	}
	g.idle = make(chan struct{})
	if g.inFlight == 0 {
		close(g.idle)
	}
}

// wait returns when those requests that began before stop have ended.
func (g *drainGroup) wait(ctx context.Context) error {
	select {
	case <-g.idle:
		return nil
	case <-ctx.Done():
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.inFlight == 0 {
		return nil
	}
	return fmt.Errorf("%d requests over HTTP/2 without TLS are still being served: %w", g.inFlight, ctx.Err())
}
