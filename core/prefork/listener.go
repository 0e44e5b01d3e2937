// SPDX-License-Identifier: Apache-2.0

package prefork

import (
	"errors"
	"net"
	"os"
	"sync"
	"time"
)

// firstRequest is how long a worker that is to end goes on before it tells its servers, without
// accepting. A connection that it has just accepted brings its first request in this time.
// Once a net/http server shuts down, it closes such a connection without an answer.
const firstRequest = 250 * time.Millisecond

// stopAccepting leaves new connections to other workers, and waits for the first requests
// of those that this one has.
func (w *Worker) stopAccepting() {
	some := false
	for _, l := range w.Listeners {
		if g, ok := l.(interface{ stop() bool }); ok && g.stop() {
			some = true
		}
	}
	if some {
		<-time.After(firstRequest)
	}
}

// gate is what a worker's listener has beside its own methods.
type gate struct {
	accepting func()        // called before each Accept
	stopped   chan struct{} // closed when it is to accept no more
	closed    chan struct{} // closed by Close
	once      sync.Once     // for closed
}

// gated returns the listener with a gate. Of the two
// types that workers inherit, it keeps all methods.
func gated(l net.Listener, g *gate) net.Listener {
	switch l := l.(type) {
	case *net.TCPListener:
		return tcpListener{l, g}
	case *net.UnixListener:
		return unixListener{l, g}
	}
	return l
}

// accept calls an Accept. After stop it waits until the listener is closed: a server that got an
// error before would take it for a failure.
func accept[C any](g *gate, call func() (C, error)) (C, error) {
	g.accepting()
	conn, err := call()
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		return conn, err
	}
	select {
	case <-g.stopped:
	default:
		return conn, err // a deadline of the application's own
	}
	<-g.closed
	return call()
}

// stop makes accept wait. Its deadline ends a call that is under way.
func (g *gate) stop(l interface{ SetDeadline(time.Time) error }) bool {
	select {
	case <-g.closed:
		return false
	default:
	}
	close(g.stopped)
	return l.SetDeadline(time.Unix(1, 0)) == nil
}

func (g *gate) close(l net.Listener) error {
	err := l.Close()
	g.once.Do(func() { close(g.closed) })
	return err
}

type tcpListener struct {
	*net.TCPListener
	gate *gate
}

func (l tcpListener) Accept() (net.Conn, error) { return accept(l.gate, l.TCPListener.Accept) }
func (l tcpListener) Close() error              { return l.gate.close(l.TCPListener) }
func (l tcpListener) stop() bool                { return l.gate.stop(l.TCPListener) }

// AcceptTCP is [net.TCPListener.AcceptTCP].
func (l tcpListener) AcceptTCP() (*net.TCPConn, error) {
	return accept(l.gate, l.TCPListener.AcceptTCP)
}

type unixListener struct {
	*net.UnixListener
	gate *gate
}

func (l unixListener) Accept() (net.Conn, error) { return accept(l.gate, l.UnixListener.Accept) }
func (l unixListener) Close() error              { return l.gate.close(l.UnixListener) }
func (l unixListener) stop() bool                { return l.gate.stop(l.UnixListener) }

// AcceptUnix is [net.UnixListener.AcceptUnix].
func (l unixListener) AcceptUnix() (*net.UnixConn, error) {
	return accept(l.gate, l.UnixListener.AcceptUnix)
}
