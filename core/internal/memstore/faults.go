// SPDX-License-Identifier: Apache-2.0

package memstore

import (
	"maps"
	"slices"
	"time"
)

// The operations, as the hooks of [Server.Fail] and [Server.LoseReply] are told them. For an
// operation on one family, the family's name follows after a space: "commit orders_total".
const (
	OpRegister     = "register"
	OpCommit       = "commit"
	OpTouch        = "touch"
	OpHold         = "hold"
	OpLineage      = "lineage"
	OpRelease      = "release"
	OpWriteGauges  = "write-gauges"
	OpReadApp      = "read-app"
	OpReadFamilies = "read-families"
	OpReadSeries   = "read-series"
	OpScan         = "scan-series"
	OpReadGauges   = "read-gauges"
	OpMark         = "mark"
	OpReadStarts   = "read-starts"
	OpReadChanges  = "read-changes"
	OpHousekeep    = "housekeep" // asks for the turn
	OpPrune        = "prune"     // does the housekeeping

	OpAwaitReplicas = "await-replicas"
)

// RefusedError is the error reply of a server: nothing was applied. By its method RedisError
// go-redis recognises such replies.
type RefusedError string

func (e RefusedError) Error() string { return string(e) }

// RedisError marks the error as a server's reply.
func (RefusedError) RedisError() {}

// Fail sets a hook that is asked before each operation, or removes it if hook is nil. If it
// returns an error, the operation is not applied: a [RefusedError] is a server's refusal, any
// other error looks like a broken connection.
//
// Register, Commit and WriteGauges ask once for each of their
// items. No lock is held: a hook may use the server, or wait.
func (s *Server) Fail(hook func(op string) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fail = hook
}

// LoseReply sets a hook that is asked after an operation was applied, or removes it if hook is
// nil. If it returns an error, the caller gets that instead of the reply.
func (s *Server) LoseReply(hook func(op string) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lose = hook
}

// before asks the hook of Fail.
func (s *Server) before(op string) error {
	s.mu.Lock()
	hook := s.fail
	s.mu.Unlock()
	if hook == nil {
		return nil
	}
	return hook(op)
}

// after asks the hook of LoseReply.
func (s *Server) after(op string) error {
	s.mu.Lock()
	hook := s.lose
	s.mu.Unlock()
	if hook == nil {
		return nil
	}
	return hook(op)
}

// Wipe forgets everything, like FLUSHALL.
func (s *Server) Wipe() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.apps)
}

// Restart forgets everything and begins another lineage, like a restart without
// persistence.
func (s *Server) Restart() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.apps)
	s.history++
}

// HideLineage makes the server keep its lineage to itself, like one that refuses INFO, or tell
// it again.
func (s *Server) HideLineage(hidden bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hidden = hidden
}

// LoseControl forgets one family's registration and sequence numbers, as if
// that key alone had been evicted.
func (s *Server) LoseControl(app, name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f := s.of(app).families[name]; f != nil {
		f.control = nil
	}
}

// LoseValues forgets one family's series, as if that key alone had been
// evicted.
func (s *Server) LoseValues(app, name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f := s.of(app).families[name]; f != nil {
		f.values = nil
	}
}

// LoseMarks forgets when one family's series began and were held, as if that key alone had
// been evicted.
func (s *Server) LoseMarks(app, name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f := s.of(app).families[name]; f != nil {
		f.marks = nil
	}
}

// EndEpoch makes the present epoch of a family seem to have begun long ago: the next
// registration begins another one, if series of the family may become idle.
func (s *Server) EndEpoch(app, name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f := s.of(app).families[name]; f != nil && f.control != nil {
		f.control.epochBegan = time.Unix(0, 0)
	}
}

// LoseLeases forgets one app's leases, with the lineage beside them, as if that key
// alone had been evicted.
func (s *Server) LoseLeases(app string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.of(app)
	clear(a.leases)
	a.lineage, a.since, a.housekept, a.searched = "", time.Time{}, time.Time{}, false
	a.stamp, a.left = 0, time.Time{}
}

// List lists names of families as processes do that are about to register them.
func (s *Server) List(app string, names ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, name := range names {
		s.of(app).touched[name] = s.now()
	}
}

// SetText overwrites the stored text of a series, if its family has values.
func (s *Server) SetText(app, name, field, text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f := s.of(app).families[name]; f != nil && f.values != nil {
		f.values.series[field] = text
	}
}

// Snapshot is a copy of all that a server had at one moment.
type Snapshot struct {
	apps map[string]*app
}

// Snapshot copies all that the server has.
func (s *Server) Snapshot() *Snapshot {
	s.mu.Lock()
	defer s.mu.Unlock()
	return &Snapshot{cloneApps(s.apps)}
}

// Restore goes back to a snapshot and begins another lineage, like a failover to a replica
// that lagged, or a restart from an older file. The clock goes on. A snapshot can be restored
// any number of times.
func (s *Server) Restore(snapshot *Snapshot) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.apps = cloneApps(snapshot.apps)
	s.history++
}

func cloneApps(apps map[string]*app) map[string]*app {
	copies := make(map[string]*app, len(apps))
	for name, a := range apps {
		c := &app{
			families:  make(map[string]*family, len(a.families)),
			touched:   maps.Clone(a.touched),
			leases:    maps.Clone(a.leases),
			lineage:   a.lineage,
			since:     a.since,
			searched:  a.searched,
			next:      a.next,
			housekept: a.housekept,
			stamp:     a.stamp,
			left:      a.left,
			gauges:    make(map[string]*gaugeSet, len(a.gauges)),
		}
		for family, f := range a.families {
			c.families[family] = f.clone()
		}
		for writer, g := range a.gauges {
			c.gauges[writer] = &gaugeSet{g.version, g.deadline, maps.Clone(g.entries)}
		}
		copies[name] = c
	}
	return copies
}

func (f *family) clone() *family {
	c := &family{}
	if f.control != nil {
		control := *f.control
		control.definition.Bounds = slices.Clone(control.definition.Bounds)
		control.writers = maps.Clone(control.writers)
		control.changes = maps.Clone(control.changes)
		c.control = &control
	}
	if f.values != nil {
		c.values = &values{generation: f.values.generation, series: maps.Clone(f.values.series)}
	}
	if f.marks != nil {
		c.marks = &marks{f.marks.generation, maps.Clone(f.marks.of)}
	}
	return c
}
