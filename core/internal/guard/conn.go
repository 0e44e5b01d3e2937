// SPDX-License-Identifier: Apache-2.0

package guard

import (
	"fmt"
	"net"
	"sync/atomic"
	"syscall"
)

// Error says that something was read which no Redis replies to shoal. It quotes nothing of
// that but numbers.
type Error struct {
	Addr string // of the server that replied
	What string // what is wrong
}

func (e *Error) Error() string {
	return fmt.Sprintf("what answers at %s is no Redis, or it is broken: %s", e.Addr, e.What)
}

// Timeout, with Temporary, makes it a [net.Error]: trouble of the connection.
func (*Error) Timeout() bool { return false }

// Temporary is part of [net.Error].
func (*Error) Temporary() bool { return false }

// Limits is shared by the connections of one client, and counts the memory of their replies.
type Limits struct {
	// Redirect, if not nil, says whether the client may learn of a server from a
	// redirection.
	Redirect func(addr string) bool

	taken atomic.Int64 // in bytes
}

// Taken returns how many bytes the replies take: 0 when no connection is open.
func (l *Limits) Taken() int64 { return l.taken.Load() }

// Conn is a guarded connection. One goroutine at a time may read it; other methods may be
// called at the same time.
type Conn struct {
	net.Conn

	addr   string
	limits *Limits
	stale  func() error
	taken  atomic.Int64 // by the replies since the last request; limits counts it too
	closed atomic.Bool

	replies replies
	ready   []byte // what Read returns first; part of small
	small   [2 * maxHeld]byte
}

// New guards a connection to addr. Over a socket, the result is a [syscall.Conn] as well, by
// which go-redis finds out whether the server has closed it. Before each use, stale says
// whether the connection may still be used, by an error if not; it may be nil.
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

// SyscallConn is called by go-redis before each use.
func (c socketConn) SyscallConn() (syscall.RawConn, error) {
	if err := c.stale(); err != nil {
		return nil, err
	}
	return c.Conn.Conn.(syscall.Conn).SyscallConn()
}

// Write sends requests. The client has read the replies to all earlier ones.
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

// release subtracts the memory of the replies so far: the client is done with them.
func (c *Conn) release() { c.limits.taken.Add(-c.taken.Swap(0)) }

// take counts memory that the client will take.
func (c *Conn) take(size int64) {
	c.limits.taken.Add(size)
	c.taken.Add(size)
	if c.closed.Load() { // while Read was running
		c.release()
	}
}

// Read returns what passes. It filters in place, since what passes is never longer than what
// was read. It may read from the connection several times before anything passes, always
// under the deadline that was set.
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
			return passed, nil // the next Read returns the error again
		default:
			c.ready = into[:passed]
		}
	}
}
