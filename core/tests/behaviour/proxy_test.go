// SPDX-License-Identifier: Apache-2.0

package behaviour_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/shoal-metrics/shoal/core/tests/testkit"
)

// lossyProxy stands between clients and a server. It can let a request through,
// wait until the server has answered it, and cut the line instead of passing
// the answer on: the client can't tell whether it was done.
type lossyProxy struct {
	addr string

	mu     sync.Mutex
	server string                    // where new lines lead; guarded by mu
	doom   func(request []byte) bool // whose answers are lost; guarded by mu
	conns  map[net.Conn]bool         // guarded by mu

	lost  atomic.Int64 // answers that were cut off
	group sync.WaitGroup
}

// newLossyProxy starts a proxy before a server and ends it with the test.
func newLossyProxy(t testing.TB, server string) *lossyProxy {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	testkit.Must(t, err)
	c := &lossyProxy{addr: listener.Addr().String(), server: server, conns: map[net.Conn]bool{}}
	c.group.Go(func() { c.accept(listener) })
	t.Cleanup(func() {
		_ = listener.Close()
		c.hangUp()
		c.group.Wait()
	})
	return c
}

// client returns a client that comes through the proxy.
func (c *lossyProxy) client(t testing.TB) redis.UniversalClient {
	opts := &redis.Options{Addr: c.addr}
	impatient(opts)
	client := redis.NewClient(opts)
	t.Cleanup(func() { _ = client.Close() })
	return client
}

// lose makes the answers to requests lost for which doom holds.
func (c *lossyProxy) lose(doom func(request []byte) bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.doom = doom
}

// moveTo leads to another server from now on, as a failover does.
func (c *lossyProxy) moveTo(server string) {
	c.mu.Lock()
	c.server = server
	c.mu.Unlock()
	c.hangUp()
}

// mentioning holds for the first n requests that hold all of the texts.
func mentioning(n int64, texts ...string) func([]byte) bool {
	var seen atomic.Int64
	return func(request []byte) bool {
		for _, text := range texts {
			if !bytes.Contains(request, []byte(text)) {
				return false
			}
		}
		return seen.Add(1) <= n
	}
}

// hangUp cuts every line.
func (c *lossyProxy) hangUp() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for conn := range c.conns {
		_ = conn.Close()
	}
}

func (c *lossyProxy) doomed(request []byte) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.doom != nil && c.doom(request)
}

func (c *lossyProxy) enter(conn net.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.conns[conn] = true
}

func (c *lossyProxy) leave(conn net.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	_ = conn.Close()
	delete(c.conns, conn)
}

func (c *lossyProxy) accept(listener net.Listener) {
	for {
		client, err := listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue
		}
		c.mu.Lock()
		addr := c.server
		c.mu.Unlock()
		server, err := net.Dial("tcp", addr)
		if err != nil {
			_ = client.Close()
			continue
		}
		c.enter(client)
		c.enter(server)
		var cut atomic.Bool // the next answer is lost
		c.group.Go(func() {
			defer c.leave(server)
			pass(client, server, func(request []byte) bool {
				if c.doomed(request) {
					cut.Store(true)
				}
				return true
			})
		})
		c.group.Go(func() {
			defer c.leave(client)
			defer c.leave(server)
			pass(server, client, func([]byte) bool {
				if cut.Load() {
					c.lost.Add(1)
					return false
				}
				return true
			})
		})
	}
}

// pass copies until the end, or until look says no to a piece.
func pass(from io.Reader, to io.Writer, look func([]byte) bool) {
	piece := make([]byte, 64<<10)
	for {
		n, err := from.Read(piece)
		if n > 0 {
			if !look(piece[:n]) {
				return
			}
			if _, err := to.Write(piece[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}
