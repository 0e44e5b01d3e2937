// SPDX-License-Identifier: Apache-2.0

// Package memstore is a [wire.Store] in memory, by the rules of docs/protocol.md: what the
// scripts do for [wire.Redis], in plain Go. Unit tests of applications use it without a
// server. shoal's simulation uses it since a test controls its clock, its refusals and its
// lost replies. Its code follows the rules closely rather than being fast.
package memstore

import (
	"sync"
	"time"

	"github.com/shoal-metrics/shoal/core/internal/wire"
)

// Server takes the place of one Redis, which any number of processes share.
type Server struct {
	mu      sync.Mutex // guards all below, and all that is reachable from apps
	apps    map[string]*app
	clock   func() time.Time
	ahead   time.Duration // added to the clock
	history int           // names the lineage; counts how often the data may have stepped back
	hidden  bool          // whether the server does not tell its lineage
	large   int           // how many series a family has at most that keeps no log of changes
	fail    func(op string) error
	lose    func(op string) error
}

// app is all that the server holds of one application.
type app struct {
	families map[string]*family
	large    int                  // as in Server
	touched  map[string]time.Time // the listed families, and when they were touched last
	leases   map[int]lease
	lineage  string               // the recorded one; empty if there is none
	since    time.Time            // when it changed; zero if it never did
	searched bool                 // whether a free index was searched for, and next is stored
	next     int                  // where the next search goes on
	gauges   map[string]*gaugeSet // by writer
	stamp    int64                // the last one that a candidate was given
	left     time.Time            // when a candidate went last; zero if none did

	housekept time.Time // when the last housekeeping began
}

// New returns an empty server that follows the real time.
func New() *Server {
	return &Server{apps: make(map[string]*app), clock: time.Now, large: wire.LargeFamily}
}

// Store gives access to one app's metrics. All stores of one name share them; a store sees
// nothing of other names.
func (s *Server) Store(app string) wire.Store {
	return &store{server: s, app: app}
}

// SetClock makes the server take its time from now. What Advance added stays.
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

// of returns an app's state, which is empty at first. The caller holds mu.
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
	a.large = s.large
	return a
}
