// SPDX-License-Identifier: Apache-2.0

package hostile_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	shoal "github.com/shoal-metrics/shoal/core"

	"github.com/shoal-metrics/shoal/core/internal/wire"
)

const (
	rounds = 16 // of a seed

	patience     = 15 * time.Second       // how long to wait for something, on a busy machine
	flushTimeout = 60 * time.Millisecond  // of a flush during an attack
	pageTimeout  = 300 * time.Millisecond // of a page during an attack
	slack        = 2 * time.Second        // how late a call may be
	requestTime  = time.Second            // the longest time of a request's writes
	mostReports  = 1100                   // of one process in a session: a thousand kinds, and some more
)

// job says what a session does.
type job struct {
	Seed uint64
	// Round, if not negative, is the only round with an attack. Only lists its only writes; nil
	// means all.
	Round int
	Only  []int
	Tell  bool   // report an attack before it is made, since a process may die of it
	Skip  string // a pattern of writes to leave out
	// Patience is how long to wait for something; the constant patience if zero.
	Patience time.Duration
}

// failure is a broken promise.
type failure struct {
	Seed    uint64
	Round   int
	Promise string
	Detail  string
	Writes  string // the round's attack
	Number  int    // of writes
	Timed   bool   // a busy machine may have caused it
}

// size is the length of the report; a failure that the session did not report has no writes.
func (f failure) size() int {
	if f.Number == 0 {
		return mostWrites
	}
	return f.Number
}

func (f failure) String() string {
	return fmt.Sprintf("%s (seed %d, round %d)\n  %s\nafter\n%s", f.Promise, f.Seed, f.Round, f.Detail, f.Writes)
}

// session is one app.
type session struct {
	*runner
	job
	name     string
	apps     []*app // two processes that write
	reader   *shoal.Registry
	store    *wire.Redis // for housekeeping
	writers  []string    // their ids, read from the leases
	reports  []*reports
	base     map[string]float64 // by sample: what a page showed after the last attack
	since    float64            // events since then
	acked    float64            // those of them that Redis acknowledged
	unsure   map[string]bool    // families that are not in base
	round    int
	attack   *attack
	leftover map[string]bool // keys
	crowded  bool            // there are too many leases for a page
	ever     map[string]bool // families that any round attacked
	// lost are families that now have another type. The processes register them again only
	// once a minute, which is longer than a session.
	lost map[string]bool
}

// errFailed ends a session, since results after a failure mean nothing.
var errFailed = errors.New("a promise was not kept")

// run runs one seed, and leaves nothing of the app in Redis.
func run(r *runner, j job) {
	if j.Patience == 0 {
		j.Patience = patience
	}
	s := &session{
		runner: r, job: j, name: fmt.Sprintf("h.%d", j.Seed), base: map[string]float64{},
		unsure: map[string]bool{}, attack: &attack{}, leftover: map[string]bool{},
		ever: map[string]bool{}, lost: map[string]bool{},
	}
	defer s.end()
	if s.begin() != nil {
		return
	}
	last := rounds
	if j.Round >= 0 {
		last = j.Round + 1
	}
	for s.round = range last {
		if r.config.over() || s.once() != nil {
			return
		}
		r.note(func(sum *summary) { sum.Rounds++ })
	}
}

func (s *session) key(rest string) string { return "shoal:1:{" + s.name + rest }

// fails reports a broken promise.
func (s *session) fails(promise, format string, args ...any) error {
	return s.tell(false, promise, format, args...)
}

// overdue reports a promise that was not kept in time, which a busy machine may have caused.
func (s *session) overdue(promise, format string, args ...any) error {
	return s.tell(true, promise, format, args...)
}

func (s *session) tell(timed bool, promise, format string, args ...any) error {
	s.fail(failure{s.Seed, s.round, promise, fmt.Sprintf(format, args...), s.attack.String(), len(s.attack.writes), timed})
	return errFailed
}

// ownCalls is broken when Redis does not execute the test's own calls.
const ownCalls = "the test's own calls succeed"

// late reports a call that took too long.
func (s *session) late(promise string, took, limit time.Duration) error {
	if took <= limit {
		return nil
	}
	return s.overdue(promise, "took %v, want %v at most", took, limit)
}

// begin starts the processes and brings their first values to Redis.
func (s *session) begin() error {
	opts := func() shoal.Opts {
		r := &reports{}
		s.reports = append(s.reports, r)
		return shoal.Opts{
			App: s.name, Interval: time.Hour, RefreshPeriod: 300 * time.Millisecond, LeaseDuration: 600 * time.Millisecond,
			SeriesLimit: 50, Host: "host", Version: "v", OnError: r.add,
		}
	}
	s.apps = []*app{newApp(), newApp()}
	if err := s.apps[0].reg.Open(s.config.URL, opts()); err != nil {
		return s.fails("a process starts", "%v", err)
	}
	if err := s.apps[1].reg.Connect(s.users, opts()); err != nil {
		return s.fails("a process starts", "%v", err)
	}
	o := opts()
	o.ReadOnly = true
	s.reader = shoal.New()
	err := s.reader.Connect(s.users, o)
	if s.Seed%4 == 0 {
		s.reader = shoal.New()
		err = s.reader.Open(s.config.URL, o)
	}
	if err != nil {
		return s.fails("a process starts", "%v", err)
	}
	s.store = wire.NewRedis(s.attacker, s.name)
	s.count(1)
	if err := s.flushAll(recovers); err != nil {
		return err
	}
	s.acked = s.since
	if err := s.checkExact(); err != nil {
		return err
	}
	return s.goOn()
}

// once is one round.
func (s *session) once() error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	s.attack = &attack{touched: map[string]bool{}}
	s.crowded = false
	if s.Round < 0 || s.round == s.Round {
		if err := s.findWriters(ctx); err != nil {
			return s.overdue(ownCalls, "%v", err)
		}
		a, err := s.plan(ctx, uint64(s.round))
		if err != nil {
			return s.overdue(ownCalls, "%v", err)
		}
		s.attack = a
		for _, key := range a.keys {
			s.leftover[key] = true
		}
		maps.Copy(s.ever, a.touched)
		if s.Tell {
			s.write(message{Writes: &failure{Seed: s.Seed, Round: s.round, Writes: a.String(), Number: len(a.writes)}})
		}
		if err := a.launch(ctx, s.attacker); err != nil {
			return s.overdue(ownCalls, "%v", err)
		}
	}
	d := roll(s.Seed, uint64(s.round), 1<<31)
	for _, step := range []func(rng) error{s.live, s.show, s.heal} {
		if err := step(d); err != nil {
			return err
		}
	}
	if err := s.clean(ctx); err != nil {
		return s.overdue(ownCalls, "%v", err)
	}
	if err := s.flushAll(recovers); err != nil {
		return err
	}
	s.acked = s.since
	if err := s.checkExact(); err != nil {
		return err
	}
	// Otherwise the next round shows whether counting goes on.
	if d.one(4) || s.round == rounds-1 || s.round == s.Round {
		if err := s.goOn(); err != nil {
			return err
		}
	}
	return s.checkReports()
}

// count counts events in all processes.
func (s *session) count(n int) {
	for _, a := range s.apps {
		a.count(n)
		s.since += float64(n)
	}
}

// findWriters reads the ids of the processes.
func (s *session) findWriters(ctx context.Context) error {
	entries, err := s.attacker.HGetAll(ctx, s.key("}:leases")).Result()
	s.writers = s.writers[:0]
	for _, index := range []string{"i:0", "i:1"} {
		if id, _, ok := strings.Cut(entries[index], " "); ok {
			s.writers = append(s.writers, id)
			s.leftover[s.key("}:g:"+id)] = true
		}
	}
	return err
}

// clean deletes the keys that the round wrote to, and all keys of each of their families.
func (s *session) clean(ctx context.Context) error {
	keys := append([]string(nil), s.attack.keys...)
	for name := range s.attack.touched {
		s.unsure[name] = true
		switch name {
		case "families", "leases", "g":
		default:
			for _, key := range s.keysOf(name) {
				keys = append(keys, key.key)
			}
		}
	}
	if len(keys) == 0 {
		return nil
	}
	return s.attacker.Unlink(ctx, keys...).Err()
}

// end stops the processes and removes the app.
func (s *session) end() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	var all sync.WaitGroup
	for _, a := range s.apps {
		all.Go(func() { _ = a.reg.Close(ctx) })
	}
	if s.reader != nil {
		_ = s.reader.Close(ctx)
	}
	all.Wait()
	var keys []string
	own, foreign := s.targets()
	used := slices.Concat(own, foreign)
	for _, f := range otherSelfNames {
		used = append(used, s.keysOf(f)...)
	}
	for _, t := range used {
		keys = append(keys, t.key)
	}
	for key := range s.leftover {
		keys = append(keys, key)
	}
	ctx, cancel = context.WithTimeout(context.Background(), patience)
	defer cancel()
	_ = s.attacker.Unlink(ctx, keys...).Err() // if that fails they stay: the next app has another name
}
