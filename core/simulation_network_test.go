// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"context"
	"fmt"
	"time"

	"github.com/shoal-metrics/shoal/core/internal/memstore"
	"github.com/shoal-metrics/shoal/core/internal/wire"
)

// operation is a method of the store.
type operation int

const (
	opRegister operation = iota
	opCommit
	opHold
	opRelease
	opWriteGauges
	opReadApp
	opReadFamilies
	opReadSeries
	opScan
	opReadGauges
	opHousekeep
	opMark
	opReadStarts
	opReadChanges
	opLineage
	opAwaitReplicas
	operations
)

var operationNames = [operations]string{
	memstore.OpRegister, memstore.OpCommit, memstore.OpHold, memstore.OpRelease,
	memstore.OpWriteGauges, memstore.OpReadApp, memstore.OpReadFamilies, memstore.OpReadSeries,
	memstore.OpScan, memstore.OpReadGauges, memstore.OpHousekeep, memstore.OpMark, memstore.OpReadStarts,
	memstore.OpReadChanges,
	memstore.OpLineage, memstore.OpAwaitReplicas,
}

const (
	slowest = 3 * time.Second  // the longest time of each way of a slow call
	latest  = 20 * time.Second // the longest time in which a delayed request arrives
)

// link is the network between one process and the store. Each call is a
// message of its own that arrives, or not, and is applied whether or not the
// caller still waits; so what a process sent can be applied after its death.
type link struct {
	w     *world
	p     *proc
	store wire.Store

	calls       [operations]int // guarded by w.mu, as all below
	sent        int
	arrived     int
	partitioned bool
	frozen      chan struct{} // closed when the process thaws; nil while it runs
	dead        bool
}

// fate is what becomes of one call.
type fate struct {
	fault fault
	out   time.Duration // until the server has it
	back  time.Duration // until the reply is here
	late  time.Duration // of the second, or the only, arrival
	items int           // how many of a pipeline arrive, or which one is refused
	size  int           // of the pipeline
}

// applied says what is applied of a pipeline that arrives: its first n calls, of
// which one may be refused.
func (f fate) applied() (n, refused int) {
	switch f.fault {
	case faultCut:
		return f.items, -1
	case faultRefusedOne:
		return f.size, f.items
	}
	return f.size, -1
}

// fate draws what becomes of the next call. The caller holds w.mu.
func (l *link) fate(op operation, size int) (f fate, number int) {
	w := l.w
	number = l.calls[op]
	l.calls[op]++
	d := newRNG(w.seed, uint64(l.p.number), uint64(op), uint64(number))
	f = fate{
		out:  d.between(20*time.Microsecond, time.Millisecond),
		back: d.between(20*time.Microsecond, time.Millisecond),
		late: d.between(time.Millisecond, time.Second),
		size: size,
	}
	if d.percent(50) {
		f.late = d.between(time.Second, latest)
	}
	f.items = d.below(size)
	bad := d.percent(w.faultRate)
	kind := pick(&d, callFaults)
	away := pick(&d, []fault{faultUnreachable, faultUnreachable, faultLostRequest, faultStalled})
	switch {
	case w.down || l.partitioned:
		f.fault = away
	case bad:
		f.fault = kind
	}
	if f.fault == faultSlow {
		f.out, f.back = d.between(0, slowest), d.between(0, slowest)
	}
	if f.fault == faultStalled && d.percent(50) {
		f.late = -1 // it never arrives
	}
	w.faults[f.fault]++
	return f, number
}

// roundTrip is one call. Run applies it at the server, under w.mu, as often as
// it arrives; failed makes the reply of an error.
func roundTrip[R any](ctx context.Context, l *link, op operation, size int, run func(fate) R, failed func(error) R) R {
	w := l.w
	l.awaitThaw()
	if err := ctx.Err(); err != nil {
		return failed(err)
	}
	w.mu.Lock()
	if l.dead {
		w.mu.Unlock()
		return failed(errBroken)
	}
	l.sent++
	order := l.sent
	f, number := l.fate(op, size)
	w.mark("%v calls %v, %v: %v", l.p, operationNames[op], number, f.fault)
	w.mu.Unlock()

	reply := make(chan R, 1)
	fail := func(after time.Duration, err error) {
		w.inFlight.Go(func() {
			time.Sleep(after)
			reply <- failed(err)
		})
	}
	deliver := func(after time.Duration, answered bool) {
		w.inFlight.Go(func() {
			time.Sleep(after)
			w.mu.Lock()
			var r R
			if w.down {
				r = failed(errBroken) // the server died with the request
			} else {
				if order < l.arrived {
					w.faults[faultReordered]++
				}
				l.arrived = max(l.arrived, order)
				r = run(f)
			}
			w.mu.Unlock()
			if answered {
				time.Sleep(f.back)
				reply <- r
			}
		})
	}
	switch f.fault {
	case faultRefused:
		fail(f.out+f.back, refusal)
	case faultUnreachable:
		fail(f.out, errUnreachable)
	case faultLostRequest:
		fail(f.out+f.back, errBroken)
	case faultLostReply:
		deliver(f.out, false)
		fail(f.out+f.back, errBroken)
	case faultStalled:
		if f.late > 0 {
			deliver(f.late, false)
		}
	case faultLate:
		deliver(f.out+f.late, false)
		fail(f.out+f.back, errBroken)
	case faultDuplicated:
		deliver(f.out, true)
		deliver(f.out+f.late, false)
	default:
		deliver(f.out, true)
	}
	var r R
	select {
	case r = <-reply:
	case <-ctx.Done():
		r = failed(context.Cause(ctx))
	}
	l.awaitThaw()
	return r
}

// awaitThaw returns when the process is not frozen. Nothing in a frozen process goes on,
// even when the time of its calls is over.
func (l *link) awaitThaw() {
	for {
		l.w.mu.Lock()
		frozen := l.frozen
		l.w.mu.Unlock()
		if frozen == nil {
			return
		}
		<-frozen
	}
}

// answer is the reply of a call that is no pipeline.
type answer[R any] struct {
	reply R
	err   error
}

// whole is a call that is applied as a whole.
func whole[R any](ctx context.Context, l *link, op operation, run func(ctx context.Context) (R, error)) (R, error) {
	a := roundTrip(ctx, l, op, 1, func(f fate) (a answer[R]) {
		if n, refused := f.applied(); n == 0 || refused >= 0 {
			a.err = errBroken
			if refused >= 0 {
				a.err = refusal
			}
			return a
		}
		a.reply, a.err = run(context.Background())
		return a
	}, func(err error) (a answer[R]) {
		a.err = err
		return a
	})
	return a.reply, a.err
}

// pipelined is a call of several parts, each with a reply of its own. What comes
// after a cut does not arrive.
func pipelined[Q, R any](ctx context.Context, l *link, op operation, parts []Q, run func(part Q) R, failed func(error) R) []R {
	return roundTrip(ctx, l, op, len(parts), func(f fate) []R {
		replies := make([]R, len(parts))
		n, refused := f.applied()
		for i := range parts {
			switch {
			case i >= n:
				replies[i] = failed(errBroken)
			case i == refused:
				replies[i] = failed(refusal)
			default:
				replies[i] = run(parts[i])
			}
		}
		return replies
	}, func(err error) []R {
		replies := make([]R, len(parts))
		for i := range replies {
			replies[i] = failed(err)
		}
		return replies
	})
}

func (l *link) Timeout() time.Duration { return l.store.Timeout() }

func (l *link) Register(ctx context.Context, regs []wire.Registration) []wire.RegisterReply {
	return pipelined(ctx, l, opRegister, regs, func(r wire.Registration) wire.RegisterReply {
		reply := l.store.Register(context.Background(), []wire.Registration{r})[0]
		l.w.ledger.registered(l.p, r, reply)
		return reply
	}, func(err error) wire.RegisterReply { return wire.RegisterReply{Err: err} })
}

func (l *link) Commit(ctx context.Context, commits []wire.Commit) []wire.CommitReply {
	l.awaitThaw()
	l.p.audit()
	l.w.mu.Lock()
	changes := l.w.ledger.changes
	for _, c := range commits {
		l.w.ledger.sending(l.p, c)
	}
	l.w.mu.Unlock()
	replies := pipelined(ctx, l, opCommit, commits, func(c wire.Commit) wire.CommitReply {
		reply := l.store.Commit(context.Background(), []wire.Commit{c})[0]
		l.w.ledger.applies(l.p, c, reply)
		return reply
	}, func(err error) wire.CommitReply { return wire.CommitReply{Err: err} })
	l.w.mu.Lock()
	defer l.w.mu.Unlock()
	for i, r := range replies {
		l.w.ledger.answered(l.p, commits[i], r, changes)
	}
	return replies
}

func (l *link) Hold(ctx context.Context, req wire.HoldRequest) (wire.HoldReply, error) {
	l.p.audit()
	return whole(ctx, l, opHold, func(ctx context.Context) (wire.HoldReply, error) {
		reply, err := l.store.Hold(ctx, req)
		l.w.ledger.held(l.p, req, reply)
		return reply, err
	})
}

func (l *link) Lineage(ctx context.Context) (string, error) {
	return whole(ctx, l, opLineage, l.store.Lineage)
}

func (l *link) AwaitReplicas(ctx context.Context, verifications []wire.Commit, timeout time.Duration) (int, error) {
	return whole(ctx, l, opAwaitReplicas, func(ctx context.Context) (int, error) {
		return l.store.AwaitReplicas(ctx, verifications, timeout)
	})
}

func (l *link) Release(ctx context.Context, writer string, index int) error {
	return l.done(ctx, opRelease, func(ctx context.Context) error {
		l.w.ledger.released(l.p, index)
		return l.store.Release(ctx, writer, index)
	})
}

func (l *link) WriteGauges(ctx context.Context, writes []wire.GaugeWrite) []wire.GaugeWritten {
	l.p.audit()
	return pipelined(ctx, l, opWriteGauges, writes, func(g wire.GaugeWrite) wire.GaugeWritten {
		reply := l.store.WriteGauges(context.Background(), []wire.GaugeWrite{g})[0]
		l.w.ledger.wroteGauges(l.p, g, reply.Status)
		return reply
	}, func(err error) wire.GaugeWritten { return wire.GaugeWritten{Err: err} })
}

func (l *link) ReadApp(ctx context.Context) (wire.AppState, error) {
	return whole(ctx, l, opReadApp, l.store.ReadApp)
}

func (l *link) ReadFamilies(ctx context.Context, names []string) ([]wire.FamilyState, error) {
	return whole(ctx, l, opReadFamilies, func(ctx context.Context) ([]wire.FamilyState, error) {
		return l.store.ReadFamilies(ctx, names)
	})
}

func (l *link) ReadHead(ctx context.Context, last wire.Expected) (wire.Head, error) {
	head, err := wire.HeadInParts(ctx, l)
	if err == nil && len(last.Series) > 0 {
		head.Series, head.After, err = l.ReadSeries(ctx, last.Series, last.Room)
	}
	return head, err
}

func (l *link) ReadOwn(ctx context.Context, writer string, families []string) (wire.Head, error) {
	return wire.OwnInParts(ctx, l, writer, families)
}

func (l *link) ReadSeries(ctx context.Context, queries []wire.SeriesQuery, room int) ([]wire.SeriesReply, string, error) {
	replies, err := whole(ctx, l, opReadSeries, func(ctx context.Context) ([]wire.SeriesReply, error) {
		replies, _, err := l.store.ReadSeries(ctx, queries, room)
		return replies, err
	})
	if err != nil {
		return nil, "", err
	}
	lineage, err := l.Lineage(ctx)
	return replies, lineage, err
}

// Scan reads two series at a time, so that a scan is often cut.
func (l *link) Scan(ctx context.Context, scans []*wire.Scan, room int) error {
	for _, scan := range scans {
		for !scan.Done && scan.Err == nil {
			read, err := whole(ctx, l, opScan, func(ctx context.Context) (wire.Scan, error) {
				next := *scan
				err := memstore.ScanSlice(ctx, l.store, &next, &room, 2)
				return next, err
			})
			if err != nil {
				return err
			}
			*scan = read
		}
	}
	return nil
}

func (l *link) ReadGauges(ctx context.Context, writers []string) ([]wire.GaugesReply, error) {
	return whole(ctx, l, opReadGauges, func(ctx context.Context) ([]wire.GaugesReply, error) {
		return l.store.ReadGauges(ctx, writers)
	})
}

func (l *link) Housekeep(ctx context.Context, retention, pause time.Duration) (wire.Removed, error) {
	return whole(ctx, l, opHousekeep, func(ctx context.Context) (wire.Removed, error) {
		return l.w.ledger.removing("", func() (wire.Removed, error) { return l.store.Housekeep(ctx, retention, pause) })
	})
}

func (l *link) RemoveExpired(ctx context.Context, sweep *wire.Sweep) error {
	before := *sweep
	after, err := whole(ctx, l, opHousekeep, func(ctx context.Context) (wire.Sweep, error) {
		one := before
		one.Removed = wire.Removed{}
		_, err := l.w.ledger.removing(one.Family, func() (wire.Removed, error) {
			err := l.store.RemoveExpired(ctx, &one)
			return one.Removed, err
		})
		one.Idle += before.Idle
		one.Expired += before.Expired
		return one, err
	})
	if err == nil {
		*sweep = after
	}
	return err
}

func (l *link) Mark(ctx context.Context, marks []wire.Mark) []wire.MarkReply {
	replies := pipelined(ctx, l, opMark, marks, func(m wire.Mark) wire.MarkReply {
		reply := l.store.Mark(context.Background(), []wire.Mark{m})[0]
		l.w.ledger.markedBy(l.p, m, reply)
		return reply
	}, func(err error) wire.MarkReply { return wire.MarkReply{Err: err} })
	l.w.mu.Lock()
	defer l.w.mu.Unlock()
	for i, r := range replies {
		l.p.hears(marks[i], r)
	}
	return replies
}

func (l *link) ReadStarts(ctx context.Context, queries []wire.StartsQuery) ([][]int64, error) {
	return whole(ctx, l, opReadStarts, func(ctx context.Context) ([][]int64, error) {
		return l.store.ReadStarts(ctx, queries)
	})
}

func (l *link) ReadChanges(ctx context.Context, queries []wire.ChangesQuery) ([]wire.ChangesReply, error) {
	return whole(ctx, l, opReadChanges, func(ctx context.Context) ([]wire.ChangesReply, error) {
		return l.store.ReadChanges(ctx, queries)
	})
}

// done is a call whose reply says nothing.
func (l *link) done(ctx context.Context, op operation, run func(ctx context.Context) error) error {
	_, err := whole(ctx, l, op, func(ctx context.Context) (struct{}, error) { return struct{}{}, run(ctx) })
	return err
}

func (p *proc) String() string { return fmt.Sprintf("process %d", p.number) }
