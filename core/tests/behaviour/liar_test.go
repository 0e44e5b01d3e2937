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

// lie answers a request, or does not and returns false.
type lie func(request []byte, to io.Writer) bool

// liar sits on the line to a Redis. It passes for a server, for the only one of a
// Cluster and for the Sentinel that names it as the master, and what it does not
// lie about it passes on.
type liar struct {
	addr   string
	server string
	lie    atomic.Pointer[lie]

	mu    sync.Mutex
	conns map[net.Conn]bool // guarded by mu
	group sync.WaitGroup
}

// newLiar starts one before a server, and ends it with the test.
func newLiar(t testing.TB, server string) *liar {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	testkit.Must(t, err)
	l := &liar{addr: listener.Addr().String(), server: server, conns: map[net.Conn]bool{}}
	l.group.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			l.group.Go(func() { l.serve(client) })
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		l.mu.Lock()
		for conn := range l.conns {
			_ = conn.Close()
		}
		l.mu.Unlock()
		l.group.Wait()
	})
	return l
}

// says makes it tell lies from now on; with nil it is honest again.
func (l *liar) says(lie lie) {
	if lie == nil {
		l.lie.Store(nil)
		return
	}
	l.lie.Store(&lie)
}

// urls are those of all kinds under which it can be reached.
func (l *liar) urls() map[string]string {
	return map[string]string{
		"server":   "redis://" + l.addr,
		"cluster":  "redis://" + l.addr + "?addr=" + l.addr,
		"sentinel": "redis://" + l.addr + "?master_name=shop",
	}
}

func (l *liar) open(conn net.Conn) func() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.conns[conn] = true
	return func() {
		_ = conn.Close()
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.conns, conn)
	}
}

func (l *liar) serve(client net.Conn) {
	defer l.open(client)()
	server, err := net.Dial("tcp", l.server)
	if err != nil {
		return
	}
	defer l.open(server)()
	l.group.Go(func() {
		defer client.Close()
		_, _ = io.Copy(client, server)
	})
	request := make([]byte, 64<<10)
	for {
		n, err := client.Read(request)
		if err != nil {
			return
		}
		if lie := l.lie.Load(); lie != nil && (*lie)(request[:n], client) {
			continue
		}
		if l.leads(request[:n], client) {
			continue
		}
		if _, err := server.Write(request[:n]); err != nil {
			return
		}
	}
}

// leads answers who asks where the server is.
func (l *liar) leads(request []byte, to io.Writer) bool {
	host, port, _ := strings.Cut(l.addr, ":")
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
