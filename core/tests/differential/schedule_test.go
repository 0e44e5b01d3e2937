// SPDX-License-Identifier: Apache-2.0

package differential

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/shoal-metrics/shoal/core/internal/wire"
)

var (
	families = []string{"counter", "histogram", "summary", "latest", "total"}
	kinds    = []string{wire.TypeCounter, wire.TypeHistogram, wire.TypeSummary, wire.TypeGauge, wire.TypeGauge}
	writers  = []string{"w1", "w2", "w3"}
	fields   = []string{"", wire.TotalMark, "k\xffa", "k\xffb", "k\xffb\xffl\xffx y\n\"", "gen", "w:w1"}
	texts    = []string{"", "garbage", "nan", "1e999", "1 2", "1:", ":1", "a:1  b:2", "0x10", "5 six 7", "1:1 1",
		strings.Repeat("1:1 ", wire.MaxText/4) + "1:1", strings.Repeat("a", 2000), strings.Repeat("9", 30)}
)

// schedule draws requests and sends each to both sides.
type schedule struct {
	t     *testing.T
	rng   *rand.Rand
	sides [2]side
	nonce int

	generations [2]map[string]string   // by family, as each side names them
	former      [2]map[string]string   // those before
	seq         map[string]uint64      // by writer and family: the last number given
	last        map[string]uint64      // by writer and family: what the store is believed to have
	sent        map[string]wire.Commit // the last batch
	versions    map[string]uint64      // of the writers' gauges
	indexes     map[string]int
	shapes      [2]map[string]string // by family, as each side showed them last
}

func newSchedule(t *testing.T, seed uint64, memory, scripts side) *schedule {
	s := &schedule{
		t: t, rng: rand.New(rand.NewPCG(seed, 1)), sides: [2]side{memory, scripts},
		seq: map[string]uint64{}, last: map[string]uint64{}, sent: map[string]wire.Commit{},
		versions: map[string]uint64{}, indexes: map[string]int{},
	}
	for i := range s.sides {
		s.generations[i], s.former[i], s.shapes[i] = map[string]string{}, map[string]string{}, map[string]string{}
	}
	for _, w := range writers {
		s.indexes[w] = wire.NoIndex
	}
	return s
}

func pick[T any](s *schedule, list []T) T { return list[s.rng.IntN(len(list))] }

func (s *schedule) oneIn(n int) bool { return s.rng.IntN(n) == 0 }

// step does one thing and says what, and in what the two sides differ.
func (s *schedule) step() (what, differs string) {
	n := s.rng.IntN(100)
	switch {
	case n < 15:
		return s.register()
	case n < 65:
		return s.commit()
	case n < 75:
		return s.hold()
	case n < 78:
		return s.release()
	case n < 90:
		return s.gauges()
	case n < 92:
		return s.housekeep()
	default:
		return s.damage(), ""
	}
}

func (s *schedule) register() (what, differs string) {
	at := s.rng.IntN(len(families))
	s.nonce++
	r := wire.Registration{
		Family: families[at], Writer: pick(s, writers), Nonce: "n" + strconv.Itoa(s.nonce), Born: int64(s.rng.IntN(4)),
		Definition: wire.Definition{Type: kinds[at], Help: "help " + strconv.Itoa(s.nonce)},
	}
	switch r.Type {
	case wire.TypeHistogram:
		r.Bounds = []string{"0.5", "1", strconv.Itoa(2 + s.rng.IntN(3))}
	case wire.TypeGauge:
		r.Mode = families[at]
	}
	if s.oneIn(8) {
		r.Type = pick(s, kinds)
	}
	var named [2]string
	i := 0
	reply, differs := both(s, func(x side) wire.RegisterReply {
		reply := x.store.Register(context.Background(), []wire.Registration{r})[0]
		named[i] = reply.Generation
		reply.Generation = nonceOf(reply.Generation)
		i++
		return reply
	}, func(a, b wire.RegisterReply) string { return sameText(a, b) })
	switch {
	case reply.Clash != "":
		outcomes["clash"]++
	case reply.Generation == r.Nonce:
		outcomes["registered anew"]++
		for i := range s.sides {
			s.former[i][r.Family] = s.generations[i][r.Family]
		}
	default:
		outcomes["registered again"]++
	}
	if reply.Orphan {
		outcomes["orphan"]++
	}
	if named[0] != "" {
		for i := range s.sides {
			s.generations[i][r.Family] = named[i]
		}
		s.last[r.Writer+r.Family] = reply.Last
	}
	return fmt.Sprintf("register %+v", r), differs
}

// commit sends the next batch, most of the time; else one that was sent, one
// that leaves a hole, or one of another generation.
func (s *schedule) commit() (what, differs string) {
	at := s.rng.IntN(len(families))
	writer, family := pick(s, writers), families[at]
	key := writer + family
	c := wire.Commit{Family: family, Writer: writer, Totals: s.oneIn(2), Overflow: "k\xffover"}
	if s.oneIn(3) {
		c.Limit = 1 + s.rng.IntN(4)
	}
	c.Prev, c.Seq = s.last[key], max(s.seq[key], s.last[key])+1
	c.Ops = s.ops(at)
	again, ok := s.sent[key]
	switch s.rng.IntN(10) {
	case 0:
		if ok {
			c = again // a late one
		}
	case 1:
		c.Prev += uint64(s.rng.IntN(3))
	case 2:
		c.Ops, c.Seq = nil, max(c.Prev, 1) // to verify
	}
	names := &s.generations
	if s.oneIn(20) {
		names = &s.former
	}
	s.sent[key] = c
	s.seq[key] = max(s.seq[key], c.Seq)
	i := 0
	reply, differs := both(s, func(x side) wire.CommitReply {
		c := c
		c.Generation = names[i][family]
		if c.Generation == "" {
			c.Generation = "never"
		}
		i++
		reply := x.store.Commit(context.Background(), []wire.Commit{c})[0]
		for j, text := range reply.Totals {
			reply.Totals[j] = canonical(text)
		}
		return reply
	}, func(a, b wire.CommitReply) string {
		if d := sameError(a.Err, b.Err); d != "" {
			return d + fmt.Sprintf("\n%v\n%v", a.Err, b.Err)
		}
		a.Err, b.Err = nil, nil
		return sameText(a, b)
	})
	switch {
	case reply.Err != nil:
		outcomes["malformed"]++
	case reply.Status == wire.CommitOK:
		outcomes["applied"]++
		s.last[key] = c.Seq
	case reply.Status == wire.CommitDuplicate:
		outcomes["duplicate"]++
		s.last[key] = reply.Last
	case reply.Status == wire.CommitGap:
		outcomes["gap"]++
		s.last[key] = reply.Last
	default:
		outcomes["unknown"]++
	}
	if reply.Overflowed > 0 {
		outcomes["overflowed"]++
	}
	if reply.Corrupt > 0 {
		outcomes["corrupt replaced"]++
	}
	return fmt.Sprintf("commit %+q to %s of %s, %d after %d, cap %d", c.Ops, family, writer, c.Seq, c.Prev, c.Limit), differs
}

// ops draws a batch, which names each field at most once.
func (s *schedule) ops(at int) []wire.Op {
	var ops []wire.Op
	if s.oneIn(25) {
		ops = append(ops, wire.Op{Kind: wire.OpClear})
	}
	chosen := slices.Clone(fields)
	s.rng.Shuffle(len(chosen), func(i, j int) { chosen[i], chosen[j] = chosen[j], chosen[i] })
	for _, field := range chosen[:s.rng.IntN(4)] {
		op := wire.Op{Kind: wire.OpAdd, Field: field, Value: s.vector(at)}
		if families[at] == wire.ModeLatest || families[at] == wire.ModeTotal && s.oneIn(20) {
			op.Kind = wire.OpLatest
		}
		if s.oneIn(8) {
			op.Kind, op.Value = wire.OpDelete, ""
		}
		if s.oneIn(60) {
			op.Value = pick(s, texts)
		}
		if s.oneIn(150) {
			op.Kind = '?'
		}
		ops = append(ops, op)
	}
	return ops
}

func (s *schedule) vector(at int) string {
	if s.oneIn(30) {
		// Of another type, but what a histogram and a summary have of each other is
		// not found by every batch.
		named := []string{wire.TypeHistogram, wire.TypeSummary}
		if other := s.rng.IntN(len(kinds)); !slices.Contains(named, kinds[at]) || !slices.Contains(named, kinds[other]) {
			at = other
		}
	}
	switch kinds[at] {
	case wire.TypeHistogram:
		text := "sum:" + s.number()
		for _, bound := range []string{"0.5", "1", "+Inf"} {
			if s.oneIn(2) {
				text += " " + bound + ":" + strconv.Itoa(1+s.rng.IntN(9))
			}
		}
		return text
	case wire.TypeSummary:
		return "sum:" + s.number() + " count:" + strconv.Itoa(1+s.rng.IntN(9))
	case wire.TypeGauge:
		if families[at] == wire.ModeTotal {
			n := s.number()
			if s.oneIn(2) && !strings.HasPrefix(n, "-") {
				n = "-" + n
			}
			return n
		}
		return pick(s, []string{"1", "2.5", "NaN", "+Inf"}) + " " + strconv.Itoa(1+s.rng.IntN(20)) + " 0"
	}
	return s.number()
}

// number draws numbers of all sizes.
func (s *schedule) number() string {
	f := float64(s.rng.IntN(100))
	switch s.rng.IntN(8) {
	case 0:
		f /= 7
	case 1:
		f *= 1 << 53
	case 2:
		f = pick(s, []float64{1e308, -1e308, math.MaxFloat64, 5e-324, 1.5e-7, 1e22, 3e15, 1<<53 - 1, -0.1})
	case 3:
		f = math.Float64frombits(s.rng.Uint64())
	}
	if math.IsNaN(f) || math.IsInf(f, 0) {
		f = 1
	}
	return strconv.FormatFloat(f, 'g', -1, 64)
}

func (s *schedule) hold() (what, differs string) {
	w := pick(s, writers)
	req := wire.HoldRequest{
		Writer: w, Index: s.indexes[w], Wanted: wire.NoIndex, TTL: time.Hour,
		Info: wire.Info{Host: "h " + w, Version: pick(s, []string{"", "1.0"}), Started: 5},
	}
	if s.oneIn(4) {
		req.Index = s.rng.IntN(4) - 1
	}
	if s.oneIn(4) {
		req.Wanted = s.rng.IntN(3)
	}
	if s.oneIn(2) {
		req.Current = pick(s, []string{"l1", "l1", "l2"})
		req.Lineage = pick(s, []string{"", "l1", req.Current})
		req.Changed = s.oneIn(4)
	}
	reply, differs := both(s, func(x side) wire.HoldReply {
		reply, err := x.store.Hold(context.Background(), req)
		if err != nil {
			s.t.Fatal(err)
		}
		reply.Now = time.Time{}
		return reply
	}, func(a, b wire.HoldReply) string { return sameText(a, b) })
	switch {
	case reply.Fenced != "":
		outcomes["fenced"]++
	case reply.Index == req.Index:
		outcomes["own index"]++
	default:
		outcomes["another index"]++
	}
	s.indexes[w] = reply.Index
	return fmt.Sprintf("hold %+v", req), differs
}

func (s *schedule) release() (what, differs string) {
	w := pick(s, writers)
	index := max(0, s.indexes[w])
	_, differs = both(s, func(x side) error { return x.store.Release(context.Background(), w, index) }, sameError)
	return fmt.Sprintf("release %s %d", w, index), differs
}

func (s *schedule) gauges() (what, differs string) {
	w := pick(s, writers)
	write := wire.GaugeWrite{Writer: w, Index: max(0, s.indexes[w]), Full: s.oneIn(3)}
	if s.oneIn(10) {
		write.Index = s.rng.IntN(3)
	}
	switch s.rng.IntN(6) {
	case 0:
		write.Version = s.versions[w] // comes again
	case 1:
		write.Version = s.versions[w] + 2
	default:
		write.Version = s.versions[w] + 1
	}
	for _, field := range []string{"g", wire.GaugeField("g", "k\xffa"), "h"} {
		if s.oneIn(2) {
			write.Ops = append(write.Ops, wire.GaugeOp{
				Field: field, Value: pick(s, []string{"1", "NaN", "-Inf"}), Expire: time.Hour, Delete: s.oneIn(4),
			})
		}
	}
	status, differs := both(s, func(x side) wire.GaugeStatus {
		status, err := x.store.WriteGauges(context.Background(), write)
		if err != nil {
			s.t.Fatal(err)
		}
		return status
	}, func(a, b wire.GaugeStatus) string { return sameText(a, b) })
	if status == wire.GaugesOK {
		s.versions[w] = write.Version
	}
	outcomes["gauges "+[]string{"", "OK", "duplicate", "want full", "lost lease"}[status]]++
	return fmt.Sprintf("gauges %+v", write), differs
}

func (s *schedule) housekeep() (what, differs string) {
	_, differs = both(s, func(x side) error { return x.store.Housekeep(context.Background(), time.Hour, 0) }, sameError)
	return "housekeep", differs
}

// damage does something to both sides behind the scripts' back.
func (s *schedule) damage() string {
	family, field, text := pick(s, families), pick(s, fields), pick(s, texts)
	kind := pick(s, []string{"lose the control hash", "lose the values", "spoil a series"})
	for _, x := range s.sides {
		switch kind {
		case "lose the control hash":
			x.target.LoseControl(s.t, x.app, family)
		case "lose the values":
			x.target.LoseValues(s.t, x.app, family)
		default:
			list, err := x.store.ScanSeries(context.Background(), family, wire.MaxPage)
			if err != nil {
				s.t.Fatal(err)
			}
			// Only a text that is there: a new field would be a change behind the
			// shape's back.
			if slices.ContainsFunc(list, func(o wire.Series) bool { return o.Field == field }) {
				x.target.SetText(s.t, x.app, family, field, text)
			}
		}
	}
	return fmt.Sprintf("%s of %s, field %q, text %q", kind, family, field, text)
}

// compareShapes wants both sides to say of the same families that series came
// or went.
func (s *schedule) compareShapes() string {
	i := 0
	_, differs := both(s, func(x side) []bool {
		states, err := x.store.ReadFamilies(context.Background(), families)
		if err != nil {
			s.t.Fatal(err)
		}
		changed := make([]bool, len(states))
		for j, f := range states {
			changed[j] = s.shapes[i][families[j]] != f.SeriesVersion
			s.shapes[i][families[j]] = f.SeriesVersion
		}
		i++
		return changed
	}, func(a, b []bool) string { return sameText(a, b) })
	if differs != "" {
		return "whether series came or went:\n" + differs
	}
	return ""
}

// nonceOf is the part of a generation's name that both sides have in common.
func nonceOf(generation string) string {
	nonce, _, _ := strings.Cut(generation, "-")
	return nonce
}

// canonical writes a vector the same whoever stored it: in order, each number by
// its bits. What is no vector stays.
func canonical(text string) string {
	vector, err := wire.ParseVector(nil, text)
	if err != nil {
		return text
	}
	parts := make([]string, len(vector))
	for i, c := range vector {
		parts[i] = fmt.Sprintf("%s:%x", c.Name, math.Float64bits(c.Value+0))
	}
	slices.Sort(parts)
	return strings.Join(parts, " ")
}
