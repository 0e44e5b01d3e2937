// SPDX-License-Identifier: Apache-2.0

// Package memstore keeps an application's metrics in memory by the same rules
// as Redis does for [wire.Redis]: the same states of a commit in the same
// order, the same leases, the same deadlines. Unit tests of applications run
// on it without a server, and shoal's fault simulation runs on it because its
// clock, its refusals and its lost replies are in the test's hands.
//
// It favours the plain reading of the rules over speed.
package memstore

import (
	"sync"
	"time"

	"github.com/shoal-metrics/shoal/core/internal/wire"
)

// Server stands for one Redis that any number of processes share.
type Server struct {
	mu    sync.Mutex // guards all below, and every state reachable from apps
	apps  map[string]*app
	clock func() time.Time
	ahead time.Duration // by which the server's time is before the clock's
	// history counts the times that the data may have stepped back.
	history int
	hidden  bool // the lineage is not told
	fail    func(op string) error
	lose    func(op string) error
}

// app is all that the server holds of one application.
type app struct {
	families map[string]*family
	touched  map[string]time.Time // the listed families and their last sign of life
	leases   map[int]lease
	lineage  string               // as writers recorded it; empty if none did
	since    time.Time            // when it became another; zero if it never did
	gauges   map[string]*gaugeSet // by writer

	housekept time.Time // when somebody last began to keep house
}

// New returns an empty server that follows the real time.
func New() *Server {
	return &Server{apps: make(map[string]*app), clock: time.Now}
}

// Store gives access to one application's metrics. Stores of the same name
// share them; stores of different names never meet.
func (s *Server) Store(app string) wire.Store {
	return &store{server: s, app: app}
}

// SetClock makes the server take its time from now, plus what Advance added.
func (s *Server) SetClock(now func() time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clock = now
}

// Advance puts the server's time forward, or back if d is negative.
func (s *Server) Advance(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ahead += d
}

// now is the server's time in Redis's resolution. The caller holds mu.
func (s *Server) now() time.Time {
	return s.clock().Add(s.ahead).Truncate(time.Microsecond)
}

// of returns an application's state, empty at first. The caller holds mu.
func (s *Server) of(name string) *app {
	a := s.apps[name]
	if a == nil {
		a = &app{
			families: make(map[string]*family),
			touched:  make(map[string]time.Time),
			leases:   make(map[int]lease),
			gauges:   make(map[string]*gaugeSet),
		}
		s.apps[name] = a
	}
	return a
}
