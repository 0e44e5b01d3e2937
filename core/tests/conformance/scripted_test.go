// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/alicebob/miniredis/v2/server"
)

// scriptedServer is a server that stores nothing. It records the batches that it gets, and
// answers scripts as the test says. It is a single server, the only node of a
// Cluster, and the only Sentinel of a set whose master it is.
// Like a server before Redis 6 it does not know HELLO.
type scriptedServer struct {
	addr string

	mu     sync.Mutex                  // guards all below
	asked  []string                    // the numbers of the batches
	script func(n int, p *server.Peer) // the n-th call, from 1
}

// startScripted starts a server and ends it with the test.
func startScripted(t *testing.T, script func(n int, p *server.Peer)) *scriptedServer {
	t.Helper()
	s, err := server.NewServer("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	x := &scriptedServer{addr: s.Addr().String(), script: script}
	host, port, _ := strings.Cut(x.addr, ":")
	strs := func(list ...string) func(*server.Peer, []string) {
		return func(p *server.Peer, _ []string) { p.WriteStrings(list) }
	}
	answer(t, s, "SELECT", func(p *server.Peer, _ []string) { p.WriteOK() })
	answer(t, s, "EVALSHA", x.called)
	answer(t, s, "EVAL", x.called)
	answer(t, s, "ASKING", func(p *server.Peer, _ []string) { p.WriteOK() })
	answer(t, s, "CLUSTER", func(p *server.Peer, _ []string) {
		p.WriteLen(1)
		p.WriteLen(3)
		p.WriteInt(0)
		p.WriteInt(16383)
		p.WriteLen(3)
		p.WriteBulk(host)
		p.WriteRaw(":" + port + "\r\n")
		p.WriteBulk("node")
	})
	answer(t, s, "SENTINEL", func(p *server.Peer, args []string) {
		if strings.EqualFold(args[0], "get-master-addr-by-name") {
			strs(host, port)(p, nil)
			return
		}
		p.WriteLen(0) // no other Sentinels
	})
	answer(t, s, "SUBSCRIBE", func(p *server.Peer, args []string) {
		for i, channel := range args {
			p.WriteLen(3)
			p.WriteBulk("subscribe")
			p.WriteBulk(channel)
			p.WriteInt(i + 1)
		}
	})
	return x
}

func answer(t *testing.T, s *server.Server, command string, f func(*server.Peer, []string)) {
	t.Helper()
	err := s.Register(command, func(p *server.Peer, _ string, args []string) { f(p, args) })
	if err != nil {
		t.Fatal(err)
	}
}

// called is a commit: hash, 3, three keys, generation, writer, previous number, number.
func (x *scriptedServer) called(p *server.Peer, args []string) {
	x.mu.Lock()
	x.asked = append(x.asked, args[8])
	n, script := len(x.asked), x.script
	x.mu.Unlock()
	script(n, p)
}

// batches lists the numbers of the batches that it got.
func (x *scriptedServer) batches() []string {
	x.mu.Lock()
	defer x.mu.Unlock()
	return slices.Clone(x.asked)
}

// How the server may answer a script.
func hangsUp(_ int, p *server.Peer) { p.Close() }

func replies(text string) func(int, *server.Peer) {
	return func(_ int, p *server.Peer) { p.WriteError(text) }
}

// applied answers that the batch was applied.
func applied(n int, p *server.Peer) {
	p.WriteLen(5)
	p.WriteBulk("OK")
	p.WriteBulk(strconv.Itoa(n))
	for range 3 {
		p.WriteInt(0)
	}
}
