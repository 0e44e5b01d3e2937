// SPDX-License-Identifier: Apache-2.0

package behaviour_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/shoal-metrics/shoal/core/tests/testkit"
)

// spoofingProxy stands between clients and a server. It passes requests on, or answers them
// itself with forged replies.
type spoofingProxy struct {
	addr   string
	server string
	forge  atomic.Pointer[forger] // nil where requests are passed on

	mu    sync.Mutex
	conns map[net.Conn]bool // guarded by mu
	group sync.WaitGroup
}

// forger answers a request in place of the server, or returns false and does not.
type forger func(request []byte, to io.Writer) bool

// startSpoofingProxy starts a proxy before a server and ends it with the test.
func startSpoofingProxy(t testing.TB, server string) *spoofingProxy {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	testkit.Must(t, err)
	p := &spoofingProxy{addr: listener.Addr().String(), server: server, conns: map[net.Conn]bool{}}
	p.group.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			p.group.Go(func() { p.serve(client) })
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		p.mu.Lock()
		for conn := range p.conns {
			_ = conn.Close()
		}
		p.mu.Unlock()
		p.group.Wait()
	})
	return p
}

// answerBy makes the proxy send forged replies from now on.
func (p *spoofingProxy) answerBy(forge forger) { p.forge.Store(&forge) }

// passOn makes the proxy pass requests on to the server again.
func (p *spoofingProxy) passOn() { p.forge.Store(nil) }

// urls are the URLs of the proxy for each kind of client: it also passes for the only server
// of a Cluster, and for a Sentinel that names it as the master.
func (p *spoofingProxy) urls() map[string]string {
	return map[string]string{
		"server":   "redis://" + p.addr,
		"cluster":  "redis://" + p.addr + "?addr=" + p.addr,
		"sentinel": "redis://" + p.addr + "?master_name=shop",
	}
}

func (p *spoofingProxy) enter(conn net.Conn) (leave func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.conns[conn] = true
	return func() {
		_ = conn.Close()
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.conns, conn)
	}
}

func (p *spoofingProxy) serve(client net.Conn) {
	defer p.enter(client)()
	server, err := net.Dial("tcp", p.server)
	if err != nil {
		return
	}
	defer p.enter(server)()
	p.group.Go(func() {
		defer client.Close()
		defer server.Close()
		_, _ = io.Copy(client, server)
	})
	request := make([]byte, 64<<10)
	for {
		n, err := client.Read(request)
		if err != nil {
			return
		}
		if forge := p.forge.Load(); forge != nil && (*forge)(request[:n], client) || p.namesItself(request[:n], client) {
			continue
		}
		if _, err := server.Write(request[:n]); err != nil {
			return
		}
	}
}

// namesItself answers those who ask where the server is: at the proxy.
func (p *spoofingProxy) namesItself(request []byte, to io.Writer) bool {
	host, port, _ := strings.Cut(p.addr, ":")
	switch {
	case contains(request, "cluster"):
		_, _ = fmt.Fprintf(to, "*1\r\n*3\r\n:0\r\n:16383\r\n*3\r\n+%s\r\n:%s\r\n+node\r\n", host, port)
	case contains(request, "sentinel"):
		_, _ = fmt.Fprintf(to, "*2\r\n+%s\r\n+%s\r\n", host, port)
	default:
		return false
	}
	return true
}

// contains says whether a request has this word.
func contains(request []byte, word string) bool {
	return bytes.Contains(request, []byte("\r\n"+word+"\r\n"))
}

// always gives the same reply to every request.
func always(text string) forger {
	return func(_ []byte, to io.Writer) bool {
		_, _ = io.WriteString(to, text)
		return true
	}
}

// endless repeats a text after a first one, until the client hangs up. It ends after 64 MiB,
// so that a test that fails ends too.
func endless(first, repeated string) forger {
	const enough = 64 << 20
	piece := strings.Repeat(repeated, 64<<10/len(repeated))
	return func(_ []byte, to io.Writer) bool {
		_, err := io.WriteString(to, first)
		for n := 0; err == nil && n < enough; n += len(piece) {
			_, err = io.WriteString(to, piece)
		}
		return true
	}
}

// afterHello answers every request but HELLO, by which a client greets.
func afterHello(forge forger) forger {
	return func(request []byte, to io.Writer) bool {
		return !contains(request, "hello") && forge(request, to)
	}
}

// toRequestsOf answers only requests with this word.
func toRequestsOf(word string, forge forger) forger {
	return func(request []byte, to io.Writer) bool {
		return contains(request, word) && forge(request, to)
	}
}
