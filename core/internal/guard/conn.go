// SPDX-License-Identifier: Apache-2.0

package guard

import (
	"fmt"
	"net"
	"sync/atomic"
	"syscall"
)

// Error says that something was read which no server says that shoal asks. It
// holds nothing of what was read but numbers.
type Error struct {
	Addr string // of who said it
	What string
}

func (e *Error) Error() string {
	return fmt.Sprintf("what answers at %s is no Redis, or it is broken: %s", e.Addr, e.What)
}

// Timeout makes it a [net.Error], as which it counts, with Temporary.
func (*Error) Timeout() bool { return false }

// Temporary is part of [net.Error].
func (*Error) Temporary() bool { return false }

// Limits bounds what the replies take that one client reads. Its connections
// share it.
type Limits struct {
	// Redirect, if there is any, is asked whether the client may learn of a server
	// from a redirection.
	Redirect func(addr string) bool

	taken atomic.Int64
}

// Taken tells what the replies under way take: it is 0 when no connection is open.
func (l *Limits) Taken() int64 { return l.taken.Load() }

// Conn is a guarded connection. Like that under it, it is read by one goroutine
// at a time; the other methods may be called at the same time.
type Conn struct {
	net.Conn

	addr   string
	limits *Limits
	stale  func() error
	taken  atomic.Int64 // of the replies since the last request; it is in limits before
	closed atomic.Bool

	replies replies
	ready   []byte // to be read before anything else; part of small
	small   [2 * maxHeld]byte
}

// New guards a connection to addr. A socket keeps showing that it is one, so that
// the client can look whether the server has closed it. Stale is asked before each
// use, and says why the connection is not to be used any more; it may be nil.
func New(conn net.Conn, addr string, limits *Limits, stale func() error) net.Conn {
	if stale == nil {
		stale = func() error { return nil }
	}
	c := &Conn{Conn: conn, addr: addr, limits: limits, stale: stale}
	c.replies.conn = c
	if _, socket := conn.(syscall.Conn); socket {
		return socketConn{c}
	}
	return c
}

// socketConn is a Conn over a socket.
type socketConn struct{ *Conn }

// SyscallConn is asked by the client before each use.
func (c socketConn) SyscallConn() (syscall.RawConn, error) {
	if err := c.stale(); err != nil {
		return nil, err
	}
	return c.Conn.Conn.(syscall.Conn).SyscallConn()
}

// Write sends requests. The client has read all replies to those before.
func (c *Conn) Write(b []byte) (int, error) {
	if err := c.stale(); err != nil {
		return 0, err
	}
	c.release()
	return c.Conn.Write(b)
}

// Close closes the connection under it.
func (c *Conn) Close() error {
	err := c.Conn.Close()
	c.closed.Store(true)
	c.release()
	return err
}

func (c *Conn) release() { c.limits.taken.Add(-c.taken.Swap(0)) }

// take enters what the client will need for something of that size.
func (c *Conn) take(size int64) {
	c.limits.taken.Add(size)
	c.taken.Add(size)
	if c.closed.Load() { // while it was read
		c.release()
	}
}

// Read reads what may pass. It works in place: what goes on is never longer than
// what came in. It may read often before something passes, always under the
// deadline that was set.
func (c *Conn) Read(p []byte) (int, error) {
	for {
		switch {
		case len(c.ready) > 0:
			n := copy(p, c.ready)
			c.ready = c.ready[n:]
			return n, nil
		case c.replies.err != nil:
			return 0, c.replies.err
		case len(p) == 0:
			return 0, nil
		}
		into := p
		if len(p) < len(c.small) { // what was held back may not fit
			into = c.small[:]
		}
		held := c.replies.unhold(into)
		read, err := c.Conn.Read(into[held:])
		passed := c.replies.filter(into[:held+read])
		switch {
		case passed == 0 && err != nil:
			return 0, err
		case passed == 0:
		case len(into) == len(p):
			return passed, nil // an error comes again
		default:
			c.ready = into[:passed]
		}
	}
}
