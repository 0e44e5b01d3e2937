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

	"github.com/redis/go-redis/v9"

	"github.com/shoal-metrics/shoal/core/tests/testkit"
)

// proxy stands between clients and a server, and spoils what it is told to.
type proxy struct {
	addr   string
	server string
	lie    atomic.Pointer[lie]                       // answers in place of the server
	doom   atomic.Pointer[func(request []byte) bool] // has the server's answer lost
	lost   atomic.Int64                              // answers that were cut off

	mu    sync.Mutex
	conns map[net.Conn]bool // guarded by mu
	group sync.WaitGroup
}

// lie answers a request, or does not and returns false.
type lie func(request []byte, to io.Writer) bool

// newProxy starts a proxy before a server and ends it with the test.
func newProxy(t testing.TB, server string) *proxy {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	testkit.Must(t, err)
	p := &proxy{addr: listener.Addr().String(), server: server, conns: map[net.Conn]bool{}}
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

// says makes it tell lies from now on; with nil it is honest again.
func (p *proxy) says(lie lie) {
	if lie == nil {
		p.lie.Store(nil)
		return
	}
	p.lie.Store(&lie)
}

// lose lets requests through for which doom holds, waits until the server has answered,
// and cuts the line instead of passing the answer on: the client can't tell whether it was
// done. With nil it loses nothing any more.
func (p *proxy) lose(doom func(request []byte) bool) {
	if doom == nil {
		p.doom.Store(nil)
		return
	}
	p.doom.Store(&doom)
}

// client returns a client that comes through the proxy.
func (p *proxy) client(t testing.TB) redis.UniversalClient {
	opts := &redis.Options{Addr: p.addr}
	impatient(opts)
	client := redis.NewClient(opts)
	t.Cleanup(func() { _ = client.Close() })
	return client
}

// urls are those of all kinds under which it can be reached: it passes for a server, for
// the only one of a Cluster and for the Sentinel that names it as the master.
func (p *proxy) urls() map[string]string {
	return map[string]string{
		"server":   "redis://" + p.addr,
		"cluster":  "redis://" + p.addr + "?addr=" + p.addr,
		"sentinel": "redis://" + p.addr + "?master_name=shop",
	}
}

func (p *proxy) open(conn net.Conn) func() {
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

func (p *proxy) serve(client net.Conn) {
	defer p.open(client)()
	server, err := net.Dial("tcp", p.server)
	if err != nil {
		return
	}
	defer p.open(server)()
	var cut atomic.Bool // the next answer is lost
	p.group.Go(func() {
		defer client.Close()
		defer server.Close()
		each(server, func(answer []byte) bool {
			if cut.Load() {
				p.lost.Add(1)
				return false
			}
			_, err := client.Write(answer)
			return err == nil
		})
	})
	each(client, func(request []byte) bool {
		if lie := p.lie.Load(); lie != nil && (*lie)(request, client) || p.leads(request, client) {
			return true
		}
		if doom := p.doom.Load(); doom != nil && (*doom)(request) {
			cut.Store(true)
		}
		_, err := server.Write(request)
		return err == nil
	})
}

// each reads pieces until the end, or until do says no.
func each(from io.Reader, do func(piece []byte) bool) {
	piece := make([]byte, 64<<10)
	for {
		n, err := from.Read(piece)
		if n > 0 && !do(piece[:n]) || err != nil {
			return
		}
	}
}

// leads answers who asks where the server is.
func (p *proxy) leads(request []byte, to io.Writer) bool {
	host, port, _ := strings.Cut(p.addr, ":")
	switch {
	case asks(request, "cluster"):
		_, _ = fmt.Fprintf(to, "*1\r\n*3\r\n:0\r\n:16383\r\n*3\r\n+%s\r\n:%s\r\n+node\r\n", host, port)
	case asks(request, "sentinel"):
		_, _ = fmt.Fprintf(to, "*2\r\n+%s\r\n+%s\r\n", host, port)
	default:
		return false
	}
	return true
}

// asks says whether a word stands in a request.
func asks(request []byte, word string) bool {
	return bytes.Contains(request, []byte("\r\n"+word+"\r\n"))
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

// always says the same, whatever is asked.
func always(text string) lie {
	return func(_ []byte, to io.Writer) bool {
		_, _ = io.WriteString(to, text)
		return true
	}
}

// endless begins with one thing and repeats another, until it is cut off. It does
// not go on for ever, so that a test ends where it fails.
func endless(begin, again string) lie {
	const enough = 64 << 20
	piece := strings.Repeat(again, 64<<10/len(again))
	return func(_ []byte, to io.Writer) bool {
		_, err := io.WriteString(to, begin)
		for n := 0; err == nil && n < enough; n += len(piece) {
			_, err = io.WriteString(to, piece)
		}
		return true
	}
}

// greeted is polite to who connects, and then lies.
func greeted(lie lie) lie {
	return func(request []byte, to io.Writer) bool {
		return !asks(request, "hello") && lie(request, to)
	}
}

// asked lies only to a question that holds a word.
func asked(word string, lie lie) lie {
	return func(request []byte, to io.Writer) bool {
		return asks(request, word) && lie(request, to)
	}
}
