// SPDX-License-Identifier: Apache-2.0

package embedded

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"sync"

	"github.com/alicebob/miniredis/v2"
)

// Server is a running in-process Redis.
type Server struct {
	addr       string
	redis      *miniredis.Miniredis
	endScripts func()
	closeOnce  sync.Once
}

// Start runs a server that listens on addr, a loopback address and a port such
// as "127.0.0.1:6379". Port 0 takes a free port, and so does the empty addr,
// on 127.0.0.1. Any other address is an error: the server has no password, so
// it must not be reachable from another machine.
func Start(addr string) (*Server, error) {
	listen, err := loopback(addr)
	if err != nil {
		return nil, err
	}
	m := miniredis.NewMiniRedis()
	// Keys expire by the time that the command TIME tells. No goroutine does that: each
	// command first removes what has expired since the one before.
	m.ClockTTL(true)
	m.SetError("LOADING the embedded server starts") // so that no command is executed before the hook is set
	if err := m.StartAddr(listen); err != nil {
		return nil, fmt.Errorf("embedded: start: %w", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	m.Server().SetPreHook(newScripting(ctx, m.Server()).hook)
	return &Server{addr: m.Addr(), redis: m, endScripts: cancel}, nil
}

// Addr is the host and port that the server listens on.
func (s *Server) Addr() string { return s.addr }

// URL is the server's address as a Redis URL, as Registry.Open and
// redis.ParseURL take it.
func (s *Server) URL() string { return "redis://" + s.addr + "/0" }

// Close ends the server with all its connections and waits for its goroutines.
// What it held is lost. Closing again does nothing.
func (s *Server) Close() {
	s.closeOnce.Do(func() {
		s.endScripts()
		s.redis.Close()
	})
}

// loopback checks an address and fills in what it lacks. It takes no name but localhost,
// which it does not look up: a resolver may give any address for a name.
func loopback(addr string) (string, error) {
	if addr == "" {
		return "127.0.0.1:0", nil
	}
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return "", fmt.Errorf("embedded: the address %q is not usable: %w; give 127.0.0.1 and a port", addr, err)
	}
	if host == "localhost" {
		host = "127.0.0.1"
	}
	if ip, err := netip.ParseAddr(host); err != nil || !ip.IsLoopback() {
		return "", fmt.Errorf("embedded: refusing to listen on %q: this Redis has no password, "+
			"so it listens on a loopback address only, such as 127.0.0.1:%s", addr, port)
	}
	return net.JoinHostPort(host, port), nil
}
