// SPDX-License-Identifier: Apache-2.0

package conformance_test

import (
	"bytes"
	"net"
	"sync"
	"testing"
	"time"
)

// proxy stands between a client and a server. Armed, it forwards the next
// request that holds a given text, waits until the server has answered it, and
// cuts the connection instead of passing the answer on.
type proxy struct {
	listener net.Listener
	server   string
	wg       sync.WaitGroup

	mu      sync.Mutex // guards all below
	text    []byte     // what the next victim holds; nil when not armed
	cuts    int        // how many are still to come
	victims int
	conns   map[net.Conn]bool
}

func startProxy(t *testing.T, server string) *proxy {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{listener: listener, server: server, conns: make(map[net.Conn]bool)}
	p.wg.Go(p.accept)
	t.Cleanup(func() {
		_ = listener.Close()
		p.mu.Lock()
		for c := range p.conns {
			_ = c.Close()
		}
		p.mu.Unlock()
		p.wg.Wait()
	})
	return p
}

// arm makes the next cuts requests with text lose their replies.
func (p *proxy) arm(text string, cuts int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.text, p.cuts = []byte(text), cuts
}

// lost tells how many replies were lost so far.
func (p *proxy) lost() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.victims
}

func (p *proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", p.server)
		if err != nil {
			_ = client.Close()
			continue
		}
		p.mu.Lock()
		p.conns[client], p.conns[server] = true, true
		p.mu.Unlock()
		p.wg.Go(func() { p.serve(client, server) })
	}
}

func (p *proxy) serve(client, server net.Conn) {
	defer func() {
		_, _ = client.Close(), server.Close()
	}()
	var doomed sync.Once
	cut := make(chan struct{})
	p.wg.Go(func() {
		// The replies.
		buf := make([]byte, 64<<10)
		for {
			n, err := server.Read(buf)
			if err != nil {
				_ = client.Close()
				return
			}
			select {
			case <-cut: // executed, and nobody hears of it
				_, _ = client.Close(), server.Close()
				return
			default:
			}
			if _, err := client.Write(buf[:n]); err != nil {
				return
			}
		}
	})
	buf := make([]byte, 64<<10)
	for {
		n, err := client.Read(buf)
		if err != nil {
			return
		}
		if p.hit(buf[:n]) {
			doomed.Do(func() { close(cut) })
		}
		if _, err := server.Write(buf[:n]); err != nil {
			return
		}
	}
}

func (p *proxy) hit(request []byte) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cuts == 0 || !bytes.Contains(request, p.text) {
		return false
	}
	p.cuts--
	p.victims++
	return true
}

// within fails the test unless done in time.
func within(t *testing.T, what string, done func() bool) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for !done() {
		if time.Now().After(deadline) {
			t.Fatalf("not within 10 s: %s", what)
		}
		time.Sleep(2 * time.Millisecond)
	}
}
