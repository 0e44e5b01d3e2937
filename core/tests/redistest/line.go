// SPDX-License-Identifier: Apache-2.0

package redistest

import (
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Line is a network line between clients and a server, with a delay and a limited bandwidth. It
// counts what passes, so that a benchmark can tell round trips and bytes.
type Line struct {
	*Conns
	Trips    atomic.Int64 // how often a client sent something after an answer, or at first
	Sent     atomic.Int64 // bytes to the server
	Received atomic.Int64 // bytes from the server

	server   string
	delay    time.Duration // in each direction
	up, down bandwidth

	mu     sync.Mutex
	resets func() bool   // whether a request meets a reset; guarded by mu
	silent chan struct{} // closed by Silence; guarded by mu
}

// Packets of a narrow line are small, so that its connections share it evenly.
const packet = 1460

// StartLine starts a line to a server. A round trip takes this much longer than without it, and
// in each direction at most so many bytes pass in a second, 0 for any number. It ends with the
// test.
func StartLine(t testing.TB, server string, roundTrip time.Duration, bytesPerSecond int) *Line {
	t.Helper()
	l := &Line{server: server, delay: roundTrip / 2, silent: make(chan struct{})}
	l.Narrow(bytesPerSecond)
	l.Conns = Accept(t, l.serve)
	return l
}

// URL is that of the server behind the line.
func (l *Line) URL() string { return "redis://" + l.Addr + "/0" }

// Narrow changes how many bytes pass in each direction in a second, 0 for any number.
func (l *Line) Narrow(bytesPerSecond int) {
	l.up.bytesPerSecond.Store(int64(bytesPerSecond))
	l.down.bytesPerSecond.Store(int64(bytesPerSecond))
}

// Reset makes the line ask for each request whether it meets a reset: then its connection ends
// and the server does not get the request. With nil none does.
func (l *Line) Reset(resets func() bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.resets = resets
}

// Silence makes all open connections dead: they stay open, and nothing passes any more, as after
// a firewall has forgotten them. New ones are alive.
func (l *Line) Silence() {
	l.mu.Lock()
	defer l.mu.Unlock()
	close(l.silent)
	l.silent = make(chan struct{})
}

func (l *Line) serve(c *Conns, client net.Conn) {
	defer c.Enter(client)()
	// The kernel's buffers would hide for how long a narrow line has been full.
	_ = client.(*net.TCPConn).SetReadBuffer(64 << 10)
	server, err := net.Dial("tcp", l.server)
	if err != nil {
		return
	}
	defer c.Enter(server)()
	l.mu.Lock()
	silent := l.silent
	l.mu.Unlock()
	var answered atomic.Bool // the client has received something since it sent something
	answered.Store(true)
	c.Group.Go(func() {
		defer func() { _ = client.Close() }()
		l.carry(server, client, &l.down, silent, func(n int) bool { return true }, func(n int) {
			l.Received.Add(int64(n))
			answered.Store(true)
		})
	})
	l.carry(client, server, &l.up, silent, func(n int) bool {
		l.Sent.Add(int64(n))
		if !answered.Swap(false) {
			return true
		}
		l.Trips.Add(1)
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.resets != nil && l.resets() {
			_ = client.(*net.TCPConn).SetLinger(0)
			return false
		}
		return true
	}, func(int) {})
}

// carry passes on what comes from one side, until that ends or enters returns false. It calls
// enters when something enters the line and leaves when it has left it.
func (l *Line) carry(from, to net.Conn, width *bandwidth, silent <-chan struct{}, enters func(n int) bool, leaves func(n int)) {
	type piece struct {
		bytes []byte
		due   time.Time
	}
	onTheWay := make(chan piece, 1<<12)
	var arrivals sync.WaitGroup
	arrivals.Go(func() {
		for p := range onTheWay {
			time.Sleep(time.Until(p.due))
			// Before the write: the other side may answer before this goroutine goes on.
			leaves(len(p.bytes))
			if _, err := to.Write(p.bytes); err != nil {
				_ = from.Close()
			}
		}
	})
	defer arrivals.Wait()
	defer close(onTheWay)
	buffer := make([]byte, 64<<10)
	for {
		most := len(buffer)
		if width.bytesPerSecond.Load() > 0 {
			most = packet
		}
		n, err := from.Read(buffer[:most])
		if err != nil {
			return
		}
		select {
		case <-silent:
			continue
		default:
		}
		if !enters(n) {
			return
		}
		onTheWay <- piece{append([]byte(nil), buffer[:n]...), width.wait(n).Add(l.delay)}
	}
}

// bandwidth is that of one direction, which all connections share.
type bandwidth struct {
	bytesPerSecond atomic.Int64 // 0: no limit

	mu   sync.Mutex
	free time.Time // when all that was sent before has entered the line; guarded by mu
}

// wait returns when n bytes have entered the line.
func (w *bandwidth) wait(n int) time.Time {
	now := time.Now()
	rate := w.bytesPerSecond.Load()
	if rate == 0 {
		return now
	}
	w.mu.Lock()
	if w.free.Before(now) {
		w.free = now
	}
	w.free = w.free.Add(time.Duration(n) * time.Second / time.Duration(rate))
	entered := w.free
	w.mu.Unlock()
	time.Sleep(time.Until(entered))
	return entered
}
