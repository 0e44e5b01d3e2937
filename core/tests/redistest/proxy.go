// SPDX-License-Identifier: Apache-2.0

package redistest

import (
	"bytes"
	"net"
	"sync"
	"sync/atomic"
	"testing"
)

// LossyProxy stands between clients and a server. It can pass on a request, wait for
// the reply, and close the connection instead of passing on the reply, so that the client
// can't know whether the request was executed.
type LossyProxy struct {
	*Conns
	Lost atomic.Int64 // replies that were not passed on

	mu     sync.Mutex
	server string                    // where new connections lead; guarded by mu
	doomed func(request []byte) bool // whether the reply to a request is lost; guarded by mu
}

// StartLossyProxy starts a proxy before a server, and ends it with the test.
func StartLossyProxy(t testing.TB, server string) *LossyProxy {
	t.Helper()
	p := &LossyProxy{server: server}
	p.Conns = Accept(t, p.serve)
	return p
}

// Lose makes the proxy lose the replies to requests for which doomed returns true. With nil it
// loses none.
func (p *LossyProxy) Lose(doomed func(request []byte) bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.doomed = doomed
}

// Mentioning returns a function that is true for the first n requests that contain all texts.
func Mentioning(n int64, texts ...string) func(request []byte) bool {
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

// MoveTo closes all connections, and leads new ones to another server, as after a failover.
func (p *LossyProxy) MoveTo(server string) {
	p.mu.Lock()
	p.server = server
	p.mu.Unlock()
	p.HangUp()
}

func (p *LossyProxy) serve(c *Conns, client net.Conn) {
	defer c.Enter(client)()
	p.mu.Lock()
	addr := p.server
	p.mu.Unlock()
	server, err := net.Dial("tcp", addr)
	if err != nil {
		return
	}
	defer c.Enter(server)()
	var cut atomic.Bool // the next reply is lost
	c.Group.Go(func() {
		defer func() { _ = client.Close() }()
		pass(server, client, func([]byte) bool {
			if cut.Load() {
				p.Lost.Add(1)
				return false
			}
			return true
		})
	})
	pass(client, server, func(request []byte) bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.doomed != nil && p.doomed(request) {
			cut.Store(true)
		}
		return true
	})
}

// pass copies until the end, or until goesOn returns false.
func pass(from, to net.Conn, goesOn func(piece []byte) bool) {
	piece := make([]byte, 64<<10)
	for {
		n, err := from.Read(piece)
		if err != nil || !goesOn(piece[:n]) {
			return
		}
		if _, err := to.Write(piece[:n]); err != nil {
			return
		}
	}
}
