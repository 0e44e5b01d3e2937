// SPDX-License-Identifier: Apache-2.0

package httpmetrics

import (
	"context"
	"errors"
	"fmt"
	"net"
)

// Other is a server of another kind than net/http's, such as fasthttp's, which
// [Graceful] serves.
type Other struct {
	// Addr is where it listens, unless there is a Listener.
	Addr string
	// Listener is where it is served. [Graceful.Serve] closes it before it returns,
	// whatever happens. Defaults to one on Addr.
	Listener net.Listener
	// Serve serves the listener until it is closed, or Shutdown is called.
	Serve func(net.Listener) error
	// Shutdown waits until the requests being served have their answers, or its context
	// is done. It is called once the listener is closed and Serve has returned.
	Shutdown func(context.Context) error
}

// otherServing is an Other that Serve serves.
type otherServing struct {
	Other
	ended chan struct{} // closed when serve returns
}

func (o *otherServing) listen(ctx context.Context) (err error) {
	if o.Listener == nil {
		o.Listener, err = listenTCP(ctx, o.Addr)
	}
	return err
}

func (o *otherServing) unlisten() error { return closeListener(o.Listener) }

func (o *otherServing) serve() error {
	defer close(o.ended)
	err := o.Serve(o.Listener)
	closed := closeListener(o.Listener)
	if err == nil || errors.Is(err, net.ErrClosed) {
		return nil
	}
	return fmt.Errorf("httpmetrics: serve %s: %w", o.Listener.Addr(), errors.Join(err, closed))
}

// drain closes the listener itself: a Shutdown that comes before Serve has begun ends
// nothing in fasthttp.
func (o *otherServing) drain(ctx context.Context) error {
	err := o.unlisten()
	select {
	case <-o.ended:
	case <-ctx.Done():
	}
	if err := errors.Join(err, ignoreClosed(o.Shutdown(ctx))); err != nil {
		return fmt.Errorf("httpmetrics: drain the server on %q: %w", o.Listener.Addr(), err)
	}
	return nil
}
