// SPDX-License-Identifier: Apache-2.0

package differential

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/shoal-metrics/shoal/core/internal/wire"
)

var (
	families = []string{"counter", "histogram", "summary", "latest", "total"}
	kinds    = []string{wire.TypeCounter, wire.TypeHistogram, wire.TypeSummary, wire.TypeGauge, wire.TypeGauge}
	writers  = []string{"w1", "w2", "w3"}
)

// wantedOutcomes are outcomes that requests of all seeds together must have had, so that
// every rule is tested.
var wantedOutcomes = []string{
	"registered anew", "registered again", "orphan", "clash",
	"applied", "duplicate", "gap", "unknown", "malformed", "overflowed", "corrupt replaced",
	"marked", "gone", "aged", "idle removed", "expired removed",
	"filled", "the log tells what came", "the log tells what went", "the log tells what began earlier", "the log does not tell",
	"own index", "another index", "fenced", "inherited", "not the predecessor's", "many leases", "gauges OK", "gauges duplicate", "gauges want full", "gauges lost lease",
}

// request is something that is done to both stores.
type request struct {
	what  string
	ask   func(x *side) any // returns the answer, which must be equal on both sides
	learn func(answer any)  // updates the schedule
}

func newRequest[A any](what string, ask func(x *side) A, learn func(answer A)) request {
	return request{what, func(x *side) any { return ask(x) }, func(answer any) { learn(answer.(A)) }}
}

// nothing is for requests whose answer does not change the schedule.
func nothing[A any](A) {}

// schedule draws requests. It remembers what a writer remembers, so that most requests are
// valid.
type schedule struct {
	draw
	outcomes map[string]int
	nonce    int
	seq      map[string]uint64      // by writer and family: the last sequence number given
	last     map[string]uint64      // by writer and family: the last number that the store should have
	sent     map[string]wire.Commit // by writer and family: the last batch
	version  map[string]uint64      // by writer: the version of its gauges
	index    map[string]int         // by writer: the index of its lease
	large    bool                   // the first family is filled, and gets half of the batches
	crowds   int
}

func newSchedule(seed uint64, outcomes map[string]int) *schedule {
	s := &schedule{
		draw: newDraw(seed), outcomes: outcomes, seq: map[string]uint64{}, last: map[string]uint64{},
		sent: map[string]wire.Commit{}, version: map[string]uint64{}, index: map[string]int{},
		large: seed%6 == 0,
	}
	for _, w := range writers {
		s.index[w] = wire.NoIndex
	}
	return s
}

// next draws a request.
func (s *schedule) next() request {
	if s.large && s.oneIn(30) {
		return s.fill()
	}
	switch n := s.IntN(100); {
	case n < 15:
		return s.register()
	case n < 65:
		return s.commit()
	case n < 75:
		return s.hold()
	case n < 78:
		return s.release()
	case n < 86:
		return s.gauges()
	case n < 88:
		return s.housekeep()
	case n < 91:
		return s.mark()
	case n < 95:
		return s.age()
	case n < 96:
		return s.crowd()
	}
	return s.damage()
}

func (s *schedule) register() request {
	at := s.IntN(len(families))
	s.nonce++
	r := wire.Registration{
		Family: families[at], Writer: pick(s.draw, writers), Nonce: "n" + strconv.Itoa(s.nonce), Born: int64(s.IntN(4)),
		Definition: wire.Definition{
			Type: kinds[at], Help: "help " + strconv.Itoa(s.nonce), Retention: pick(s.draw, []time.Duration{0, time.Minute, time.Hour}),
		},
	}
	switch r.Type {
	case wire.TypeHistogram:
		r.Bounds = []string{"0.5", "1", strconv.Itoa(2 + s.IntN(3))}
	case wire.TypeGauge:
		r.Mode = families[at]
	}
	if s.oneIn(8) {
		r.Type = pick(s.draw, kinds)
	}
	return newRequest(fmt.Sprintf("register %+v", r), func(x *side) wire.RegisterReply {
		return x.register(r)
	}, func(reply wire.RegisterReply) {
		switch {
		case reply.Clash != "":
			s.outcomes["clash"]++
		case reply.Generation == r.Nonce:
			s.outcomes["registered anew"]++
		default:
			s.outcomes["registered again"]++
		}
		if reply.Orphan {
			s.outcomes["orphan"]++
		}
		if reply.Generation != "" {
			s.last[r.Writer+r.Family] = reply.Last
		}
	})
}

// register registers a family, and puts into the reply what both sides have in common.
func (x *side) register(r wire.Registration) wire.RegisterReply {
	reply := x.store.Register(x.ctx, []wire.Registration{r})[0]
	if now := reply.Generation; now != "" && now != x.generation[r.Family] {
		x.former[r.Family], x.generation[r.Family] = x.generation[r.Family], now
	}
	reply.Generation = nonceOf(reply.Generation)
	changed := x.removed[r.Family] != reply.Removed
	x.removed[r.Family] = reply.Removed
	if reply.Removed != "0" { // a time of the side's own clock
		reply.Removed = fmt.Sprint("changed: ", changed)
	}
	return reply
}

// commitAnswer is a reply whose error is equal on both sides.
type commitAnswer struct {
	wire.CommitReply
	failed string
}

// commit mostly sends the next batch; otherwise one that was sent before, one that
// leaves a gap in the numbers, or one of another generation.
func (s *schedule) commit() request {
	at := s.IntN(len(families))
	if s.large && s.oneIn(2) {
		at = 0
	}
	writer, family := pick(s.draw, writers), families[at]
	key := writer + family
	c := wire.Commit{Family: family, Writer: writer, Totals: s.oneIn(2), Overflow: "k\xffover"}
	if s.oneIn(3) {
		c.Limit = 1 + s.IntN(4)
	}
	c.Prev, c.Seq = s.last[key], max(s.seq[key], s.last[key])+1
	c.Ops = s.ops(at)
	again, ok := s.sent[key]
	switch s.IntN(10) {
	case 0:
		if ok {
			c = again // an old batch
		}
	case 1:
		c.Prev += uint64(s.IntN(3))
	case 2:
		c.Ops, c.Seq = nil, max(c.Prev, 1) // a batch without ops, to verify
	}
	former := s.oneIn(20)
	s.sent[key] = c
	s.seq[key] = max(s.seq[key], c.Seq)
	what := fmt.Sprintf("commit %+v to %s of %s, %d after %d, cap %d", c.Ops, family, writer, c.Seq, c.Prev, c.Limit)
	return newRequest(what, func(x *side) commitAnswer {
		c := c
		if c.Generation = x.generation[family]; former {
			c.Generation = x.former[family]
		}
		if c.Generation == "" {
			c.Generation = "never"
		}
		reply := x.store.Commit(x.ctx, []wire.Commit{c})[0]
		for i, text := range reply.Totals {
			reply.Totals[i] = canonical(text)
		}
		answer := commitAnswer{reply, meaning(reply.Err)}
		answer.Err = nil
		return answer
	}, func(answer commitAnswer) {
		outcome := "unknown"
		switch {
		case answer.failed != "":
			outcome = "malformed"
		case answer.Status == wire.CommitOK:
			outcome, s.last[key] = "applied", c.Seq
		case answer.Status == wire.CommitDuplicate:
			outcome, s.last[key] = "duplicate", answer.Last
		case answer.Status == wire.CommitGap:
			outcome, s.last[key] = "gap", answer.Last
		}
		s.outcomes[outcome]++
		if answer.Overflowed > 0 {
			s.outcomes["overflowed"]++
		}
		if answer.Corrupt > 0 {
			s.outcomes["corrupt replaced"]++
		}
	})
}

func (s *schedule) hold() request {
	w := pick(s.draw, writers)
	req := wire.HoldRequest{
		Writer: w, Index: s.index[w], Wanted: wire.NoIndex, TTL: time.Hour,
		Info: wire.Info{Host: "h " + w, Version: pick(s.draw, []string{"", "1.0"}), Started: 5},
	}
	if s.oneIn(4) {
		req.Index = s.IntN(4) - 1
	}
	if s.oneIn(4) {
		req.Wanted = s.IntN(3)
		if s.oneIn(2) {
			req.Predecessor = pick(s.draw, writers)
		}
	}
	req.Candidate = s.oneIn(2)
	if s.oneIn(2) {
		req.Current = pick(s.draw, []string{"l1", "l1", "l2"})
		req.Lineage = pick(s.draw, []string{"", "l1", req.Current})
		req.Changed = s.oneIn(4)
	}
	return newRequest(fmt.Sprintf("hold %+v", req), func(x *side) wire.HoldReply {
		reply, err := x.store.Hold(x.ctx, req)
		x.must(err)
		reply.Now = time.Time{}
		return reply
	}, func(reply wire.HoldReply) {
		switch {
		case req.Predecessor != "" && reply.Fenced == req.Predecessor:
			s.outcomes["inherited"]++
		case req.Predecessor != "" && req.Index == wire.NoIndex && reply.Index != req.Wanted:
			s.outcomes["not the predecessor's"]++
		case reply.Fenced != "":
			s.outcomes["fenced"]++
		case reply.Index == req.Index:
			s.outcomes["own index"]++
		default:
			s.outcomes["another index"]++
		}
		s.index[w] = reply.Index
	})
}

// crowd has so many writers take leases that most indexes are not looked at any more.
func (s *schedule) crowd() request {
	s.crowds++
	return newRequest(fmt.Sprint("crowd ", s.crowds), func(x *side) []int {
		var list []int
		for i := range 40 {
			reply, err := x.store.Hold(x.ctx, wire.HoldRequest{
				Writer: fmt.Sprintf("crowd-%d-%d", s.crowds, i), Index: wire.NoIndex, Wanted: wire.NoIndex, TTL: time.Hour,
			})
			x.must(err)
			list = append(list, reply.Index)
		}
		return list
	}, func(list []int) {
		if slices.Max(list) >= 64 {
			s.outcomes["many leases"]++
		}
	})
}

func (s *schedule) release() request {
	w := pick(s.draw, writers)
	index := max(0, s.index[w])
	return newRequest(fmt.Sprintf("release %s %d", w, index), func(x *side) string {
		return meaning(x.store.Release(x.ctx, w, index))
	}, nothing)
}

func (s *schedule) gauges() request {
	w := pick(s.draw, writers)
	write := wire.GaugeWrite{Writer: w, Index: max(0, s.index[w]), Full: s.oneIn(3)}
	if s.oneIn(10) {
		write.Index = s.IntN(3)
	}
	switch s.IntN(6) {
	case 0:
		write.Version = s.version[w] // a second time
	case 1:
		write.Version = s.version[w] + 2
	default:
		write.Version = s.version[w] + 1
	}
	for _, field := range []string{"g", wire.GaugeField("g", "k\xffa"), "h"} {
		if s.oneIn(2) {
			write.Ops = append(write.Ops, wire.GaugeOp{
				Field: field, Value: pick(s.draw, []string{"1", "NaN", "-Inf"}), Expire: time.Hour, Delete: s.oneIn(4),
			})
		}
	}
	return newRequest(fmt.Sprintf("gauges %+v", write), func(x *side) wire.GaugeStatus {
		reply := x.store.WriteGauges(x.ctx, []wire.GaugeWrite{write})[0]
		x.must(reply.Err)
		return reply.Status
	}, func(status wire.GaugeStatus) {
		if status == wire.GaugesOK {
			s.version[w] = write.Version
		}
		s.outcomes["gauges "+[]string{"", "OK", "duplicate", "want full", "lost lease"}[status]]++
	})
}

// damage changes both sides as no script does.
func (s *schedule) damage() request {
	family, field, text := pick(s.draw, families), pick(s.draw, fields), pick(s.draw, texts)
	kind := pick(s.draw, []string{"lose the control hash", "lose the values", "lose the marks", "spoil a series"})
	what := fmt.Sprintf("%s of %s, field %q, text %q", kind, family, field, text)
	return newRequest(what, func(x *side) string {
		delete(x.pasts, family) // what is lost is not in the log
		switch kind {
		case "lose the control hash":
			x.target.LoseControl(x.t, x.app, family)
		case "lose the values":
			x.target.LoseValues(x.t, x.app, family)
		case "lose the marks":
			x.target.LoseMarks(x.t, x.app, family)
		default:
			// Only existing fields: a new one would not change the series version.
			if slices.ContainsFunc(x.series(family), func(o wire.Series) bool { return o.Field == field }) {
				x.target.SetText(x.t, x.app, family, field, text)
			}
		}
		return ""
	}, nothing)
}
