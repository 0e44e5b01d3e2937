// SPDX-License-Identifier: Apache-2.0

package behaviour_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/shoal-metrics/shoal/core/tests/redistest"
)

// spoofingProxy stands between clients and a server. It passes requests on, or answers them
// itself with forged replies.
type spoofingProxy struct {
	*redistest.Conns
	server string
	forge  atomic.Pointer[forger] // nil where requests are passed on
}

// forger answers a request in place of the server, or returns false and does not.
type forger func(request []byte, to io.Writer) bool

// startSpoofingProxy starts a proxy before a server and ends it with the test.
func startSpoofingProxy(t testing.TB, server string) *spoofingProxy {
	t.Helper()
	p := &spoofingProxy{server: server}
	p.Conns = redistest.Accept(t, p.serve)
	return p
}

// answerBy makes the proxy send forged replies from now on.
func (p *spoofingProxy) answerBy(forge forger) { p.forge.Store(&forge) }

// passOn makes the proxy pass requests on to the server again.
func (p *spoofingProxy) passOn() { p.forge.Store(nil) }

// urlsOf are the URLs of a proxy for each kind of client: it also passes for the only server
// of a Cluster, and for a Sentinel that names it as the master.
func urlsOf(addr string) map[string]string {
	return map[string]string{
		"server":   "redis://" + addr,
		"cluster":  "redis://" + addr + "?addr=" + addr,
		"sentinel": "redis://" + addr + "?master_name=shop",
	}
}

func (p *spoofingProxy) serve(c *redistest.Conns, client net.Conn) {
	defer c.Enter(client)()
	server, err := net.Dial("tcp", p.server)
	if err != nil {
		return
	}
	defer c.Enter(server)()
	c.Group.Go(func() {
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
		if forge := p.forge.Load(); forge != nil && (*forge)(request[:n], client) || namesProxy(c.Addr, request[:n], client) {
			continue
		}
		if _, err := server.Write(request[:n]); err != nil {
			return
		}
	}
}

// namesProxy answers those who ask where the server is: at the proxy.
func namesProxy(addr string, request []byte, to io.Writer) bool {
	host, port, _ := strings.Cut(addr, ":")
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
