// SPDX-License-Identifier: Apache-2.0

package memstore

import (
	"context"
	"maps"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/shoal-metrics/shoal/core/internal/wire"
)

// store is one application's view of a server.
type store struct {
	server *Server
	app    string
}

// Timeout is that of a usual client. It bounds nothing here.
func (s *store) Timeout() time.Duration { return 3 * time.Second }

// do executes one operation: it asks the hook of Fail, calls apply under the server's lock,
// and asks the hook of LoseReply.
func (s *store) do(ctx context.Context, op string, apply func(a *app, now time.Time) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := s.server.before(op); err != nil {
		return err
	}
	s.server.mu.Lock()
	err := apply(s.server.of(s.app), s.server.now())
	s.server.mu.Unlock()
	if err != nil {
		return err
	}
	return s.server.after(op)
}

func (s *store) Register(ctx context.Context, regs []wire.Registration) []wire.RegisterReply {
	replies := make([]wire.RegisterReply, len(regs))
	names := make([]string, len(regs))
	for i, r := range regs {
		names[i] = r.Family
	}
	// List them first, so that no family has data without being listed.
	if err := s.touch(ctx, names); err != nil {
		for i := range replies {
			replies[i].Err = err
		}
		return replies
	}
	for i, r := range regs {
		err := s.do(ctx, OpRegister+" "+r.Family, func(a *app, now time.Time) error {
			a.touched[r.Family] = now
			replies[i] = a.register(r, now)
			return nil
		})
		if err != nil {
			replies[i] = wire.RegisterReply{Err: err}
		}
	}
	return replies
}

func (s *store) Commit(ctx context.Context, commits []wire.Commit) []wire.CommitReply {
	replies := make([]wire.CommitReply, len(commits))
	for i, c := range commits {
		err := s.do(ctx, OpCommit+" "+c.Family, func(a *app, now time.Time) error {
			var err error
			replies[i], err = a.commit(c, now)
			return err
		})
		if err != nil {
			replies[i] = wire.CommitReply{Err: err}
		}
	}
	return replies
}

// touch lists families, or renews their times in the list.
func (s *store) touch(ctx context.Context, families []string) error {
	if len(families) == 0 {
		return nil
	}
	return s.do(ctx, OpTouch, func(a *app, now time.Time) error {
		for _, name := range families {
			a.touched[name] = now
		}
		return nil
	})
}

func (s *store) Hold(ctx context.Context, req wire.HoldRequest) (wire.HoldReply, error) {
	var reply wire.HoldReply
	err := s.do(ctx, OpHold, func(a *app, now time.Time) error {
		reply = a.hold(req, now)
		return nil
	})
	if err != nil {
		return wire.HoldReply{}, err
	}
	return reply, nil
}

func (s *store) Lineage(ctx context.Context) (string, error) {
	var name string
	err := s.do(ctx, OpLineage, func(*app, time.Time) error {
		if !s.server.hidden {
			name = "history-" + strconv.Itoa(s.server.history)
		}
		return nil
	})
	return name, err
}

// AwaitReplicas has no replicas to wait for.
func (s *store) AwaitReplicas(ctx context.Context, _ []wire.Commit, _ time.Duration) (int, error) {
	return 0, s.do(ctx, OpAwaitReplicas, func(*app, time.Time) error { return nil })
}

func (s *store) Release(ctx context.Context, writer string, index int) error {
	return s.do(ctx, OpRelease, func(a *app, now time.Time) error {
		if held, ok := a.leases[index]; ok && held.writer == writer {
			a.noteLeft(held, now)
			delete(a.leases, index)
		}
		delete(a.gauges, writer)
		return nil
	})
}

func (s *store) WriteGauges(ctx context.Context, writes []wire.GaugeWrite) []wire.GaugeWritten {
	replies := make([]wire.GaugeWritten, len(writes))
	for i, w := range writes {
		err := s.do(ctx, OpWriteGauges, func(a *app, now time.Time) error {
			replies[i].Status = a.writeGauges(w, now)
			return nil
		})
		if err != nil {
			replies[i] = wire.GaugeWritten{Err: err}
		}
	}
	return replies
}

// ReadHead reads one part after the other, so that a test can change something in between.
func (s *store) ReadHead(ctx context.Context, last wire.Expected) (wire.Head, error) {
	head, err := wire.HeadInParts(ctx, s)
	if err == nil && len(last.Series) > 0 {
		head.Series, head.After, err = s.ReadSeries(ctx, last.Series, last.Room)
	}
	return head, err
}

func (s *store) ReadOwn(ctx context.Context, writer string, families []string) (wire.Head, error) {
	return wire.OwnInParts(ctx, s, writer, families)
}

func (s *store) ReadApp(ctx context.Context) (wire.AppState, error) {
	var state wire.AppState
	err := s.do(ctx, OpReadApp, func(a *app, now time.Time) error {
		state = wire.AppState{
			Now:      now,
			Families: slices.Sorted(maps.Keys(a.touched)), // a simulation must run alike each time
			Lineage:  a.lineage,
			Since:    a.since,
			Left:     a.left,
		}
		state.Leases, state.Expired = a.listed(now)
		return nil
	})
	if err != nil {
		return wire.AppState{}, err
	}
	return state, nil
}

func (s *store) ReadFamilies(ctx context.Context, names []string) ([]wire.FamilyState, error) {
	states := make([]wire.FamilyState, len(names))
	err := s.do(ctx, OpReadFamilies, func(a *app, _ time.Time) error {
		for i, name := range names {
			states[i] = a.families[name].state(name)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return states, nil
}

func (s *store) ReadSeries(ctx context.Context, queries []wire.SeriesQuery, room int) ([]wire.SeriesReply, string, error) {
	replies := make([]wire.SeriesReply, len(queries))
	err := s.do(ctx, OpReadSeries, func(a *app, _ time.Time) error {
		for i, q := range queries {
			replies[i].Values = a.families[q.Family].read(q.Fields)
			for _, v := range replies[i].Values {
				replies[i].Texts += len(v.Text)
			}
			if replies[i].Texts > room/2 {
				replies[i] = wire.SeriesReply{Err: wire.ErrTooLarge}
			}
			if q.Generation != "" && a.families[q.Family].valuesGeneration() != q.Generation {
				replies[i] = wire.SeriesReply{Err: wire.ErrGeneration}
			}
			room -= replies[i].Texts
		}
		return nil
	})
	if err != nil {
		return nil, "", err
	}
	lineage, err := s.Lineage(ctx)
	return replies, lineage, err
}

// Scan reads each family at once.
func (s *store) Scan(ctx context.Context, scans []*wire.Scan, room int) error {
	for _, scan := range scans {
		room -= costOf(scan)
	}
	for _, scan := range scans {
		if scan.Done || scan.Err != nil {
			continue
		}
		if err := ScanSlice(ctx, s, scan, &room, math.MaxInt); err != nil {
			return err
		}
	}
	return nil
}

// ScanSlice reads the next series of a scan, so many at most, from a store that memstore made.
func ScanSlice(ctx context.Context, of wire.Store, scan *wire.Scan, room *int, most int) error {
	s := of.(*store)
	return s.do(ctx, OpScan+" "+scan.Family, func(a *app, _ time.Time) error {
		before, series := costOf(scan), a.families[scan.Family].scan()
		if n := len(scan.Series); n > 0 { // they are in order
			series = slices.DeleteFunc(series, func(one wire.Series) bool { return one.Field <= scan.Series[n-1].Field })
		}
		scan.Done = len(series) <= most
		scan.Series = append(scan.Series, series[:min(most, len(series))]...)
		if *room -= costOf(scan) - before; costOf(scan) > *room {
			*room += costOf(scan)
			scan.Series, scan.Err = nil, wire.ErrTooLarge
		}
		return nil
	})
}

func costOf(scan *wire.Scan) (cost int) {
	for _, one := range scan.Series {
		cost += wire.Cost(one.Field, one.Text)
	}
	return cost
}

func (s *store) ReadGauges(ctx context.Context, writers []string) ([]wire.GaugesReply, error) {
	gauges := make([]wire.GaugesReply, len(writers))
	err := s.do(ctx, OpReadGauges, func(a *app, now time.Time) error {
		for i, writer := range writers {
			gauges[i].Entries = a.gauges[writer].living(now)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return gauges, nil
}

func (s *store) Housekeep(ctx context.Context, retention, pause time.Duration) (removed wire.Removed, err error) {
	ours, late := false, false
	err = s.do(ctx, OpHousekeep, func(a *app, now time.Time) error {
		ours, late = a.takeTurn(pause, now)
		return nil
	})
	if err != nil || !ours {
		return removed, err
	}
	err = s.do(ctx, OpPrune, func(a *app, now time.Time) error {
		a.lapse(now)
		if !late {
			removed = a.housekeep(retention, now)
		}
		return nil
	})
	return removed, err
}

func (s *store) RemoveExpired(ctx context.Context, sweep *wire.Sweep) error {
	return s.do(ctx, OpPrune, func(a *app, now time.Time) error {
		a.families[sweep.Family].sweep(sweep, now, a.large)
		return nil
	})
}

func (s *store) Mark(ctx context.Context, marks []wire.Mark) []wire.MarkReply {
	replies := make([]wire.MarkReply, len(marks))
	for i, m := range marks {
		err := s.do(ctx, OpMark+" "+m.Family, func(a *app, _ time.Time) error {
			replies[i] = a.mark(m)
			return nil
		})
		if err != nil {
			replies[i] = wire.MarkReply{Err: err}
		}
	}
	return replies
}

func (s *store) ReadChanges(ctx context.Context, queries []wire.ChangesQuery) ([]wire.ChangesReply, error) {
	replies := make([]wire.ChangesReply, len(queries))
	err := s.do(ctx, OpReadChanges, func(a *app, _ time.Time) error {
		for i, q := range queries {
			replies[i] = a.families[q.Family].changesSince(q)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return replies, nil
}

func (s *store) ReadStarts(ctx context.Context, queries []wire.StartsQuery) ([][]int64, error) {
	starts := make([][]int64, len(queries))
	err := s.do(ctx, OpReadStarts, func(a *app, _ time.Time) error {
		for i, q := range queries {
			starts[i] = a.families[q.Family].starts(q)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return starts, nil
}
