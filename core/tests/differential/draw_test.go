// SPDX-License-Identifier: Apache-2.0

package differential

import (
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"

	"github.com/shoal-metrics/shoal/core/internal/wire"
)

var (
	fields = []string{"", wire.TotalMark, "k\xffa", "k\xffb", "k\xffb\xffl\xffx y\n\"", "gen", "w:w1"}
	texts  = []string{"", "garbage", "nan", "1e999", "1 2", "1:", ":1", "a:1  b:2", "0x10", "5 six 7", "1:1 1",
		strings.Repeat("1:1 ", wire.MaxText/4) + "1:1", strings.Repeat("a", 2000), strings.Repeat("9", 30)}
)

// draw draws the contents of requests.
type draw struct{ *rand.Rand }

func newDraw(seed uint64) draw { return draw{rand.New(rand.NewPCG(seed, 1))} }

func pick[T any](d draw, list []T) T { return list[d.IntN(len(list))] }

func (d draw) oneIn(n int) bool { return d.IntN(n) == 0 }

// ops draws a batch, which names each field at most once.
func (d draw) ops(at int) []wire.Op {
	var ops []wire.Op
	if d.oneIn(25) {
		ops = append(ops, wire.Op{Kind: wire.OpClear})
	}
	chosen := slices.Clone(fields)
	d.Shuffle(len(chosen), func(i, j int) { chosen[i], chosen[j] = chosen[j], chosen[i] })
	for _, field := range chosen[:d.IntN(4)] {
		op := wire.Op{Kind: wire.OpAdd, Field: field, Value: d.vector(at)}
		if families[at] == wire.ModeLatest || families[at] == wire.ModeTotal && d.oneIn(20) {
			op.Kind = wire.OpLatest
		}
		if d.oneIn(3) {
			op.Born = pick(d, []int64{1, 2, 3, 4, 5, 6, 1 << 52})
		}
		if d.oneIn(8) {
			op.Kind, op.Value, op.Born = wire.OpDelete, "", 0
		}
		if d.oneIn(60) {
			op.Value = pick(d, texts)
		}
		if d.oneIn(150) {
			op.Kind = '?'
		}
		ops = append(ops, op)
	}
	return ops
}

func (d draw) vector(at int) string {
	if d.oneIn(30) {
		// A vector of another type. Not between histogram and summary: not every batch
		// would find the components of the other type.
		named := []string{wire.TypeHistogram, wire.TypeSummary}
		if other := d.IntN(len(kinds)); !slices.Contains(named, kinds[at]) || !slices.Contains(named, kinds[other]) {
			at = other
		}
	}
	switch kinds[at] {
	case wire.TypeHistogram:
		text := "sum:" + d.number()
		for _, bound := range []string{"0.5", "1", "+Inf"} {
			if d.oneIn(2) {
				text += " " + bound + ":" + strconv.Itoa(1+d.IntN(9))
			}
		}
		return text
	case wire.TypeSummary:
		return "sum:" + d.number() + " count:" + strconv.Itoa(1+d.IntN(9))
	case wire.TypeGauge:
		if families[at] == wire.ModeTotal {
			n := d.number()
			if d.oneIn(2) && !strings.HasPrefix(n, "-") {
				n = "-" + n
			}
			return n
		}
		return pick(d, []string{"1", "2.5", "NaN", "+Inf"}) + " " + strconv.Itoa(1+d.IntN(20)) + pick(d, []string{" 0", " 0", " 30"})
	}
	return d.number()
}

// number draws numbers of all sizes.
func (d draw) number() string {
	f := float64(d.IntN(100))
	switch d.IntN(8) {
	case 0:
		f /= 7
	case 1:
		f *= 1 << 53
	case 2:
		f = pick(d, []float64{1e308, -1e308, math.MaxFloat64, 5e-324, 1.5e-7, 1e22, 3e15, 1<<53 - 1, -0.1})
	case 3:
		f = math.Float64frombits(d.Uint64())
	}
	if math.IsNaN(f) || math.IsInf(f, 0) {
		f = 1
	}
	return strconv.FormatFloat(f, 'g', -1, 64)
}
