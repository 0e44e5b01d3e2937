// SPDX-License-Identifier: Apache-2.0

package redistest

import (
	"net"
	"sync"
	"testing"
)

// Conns are the connections of a proxy. It ends with its test.
type Conns struct {
	Addr  string // where the proxy listens
	Group sync.WaitGroup

	mu   sync.Mutex
	open map[net.Conn]bool // guarded by mu
}

// Accept listens on a free port and calls serve for each client, in a goroutine of its own.
// serve enters the connections that it uses.
func Accept(t testing.TB, serve func(c *Conns, client net.Conn)) *Conns {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &Conns{Addr: listener.Addr().String(), open: map[net.Conn]bool{}}
	c.Group.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			c.Group.Go(func() { serve(c, client) })
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		c.HangUp()
		c.Group.Wait()
	})
	return c
}

// Enter registers a connection until leave is called, which closes it.
func (c *Conns) Enter(conn net.Conn) (leave func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.open[conn] = true
	return func() {
		_ = conn.Close()
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.open, conn)
	}
}

// HangUp closes all connections.
func (c *Conns) HangUp() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for conn := range c.open {
		_ = conn.Close()
	}
}
