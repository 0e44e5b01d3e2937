// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"math"
	"math/rand/v2"
	"strconv"

	"github.com/shoal-metrics/shoal/core/internal/wire"
)

// number reads the only number of a series.
func (f *fixture) number(text string) float64 {
	f.Helper()
	n, err := wire.ParseNumber(text)
	if err != nil {
		f.Fatalf("stored is %v", err)
	}
	return n
}

var numberTests = map[string]func(f *fixture){
	"Numbers_EdgesAddLikeFloat64": func(f *fixture) {
		gen := f.family("a", wire.TypeCounter)
		for i, sum := range []struct{ a, b float64 }{
			{0.1, 0.2},
			{1 << 53, 1},
			{1<<53 - 1, 1},
			{1 << 53, 2},
			{-(1 << 53), -2},
			{3e15, 0.5},
			{1e-5, 0},
			{1.5e-7, 1e-5},
			{1e308, 1e308},
			{-1e308, -1e308},
			{math.MaxFloat64, math.MaxFloat64},
			{math.MaxFloat64, -math.MaxFloat64},
			{math.SmallestNonzeroFloat64, 0},
			{math.SmallestNonzeroFloat64, math.SmallestNonzeroFloat64},
			{2.5e-310, 1e-320},
			{0, math.Copysign(0, -1)},
			{math.Copysign(0, -1), math.Copysign(0, -1)},
			{5, -5},
			{1e22, 1},
			{123456789012345678, 1},
			{1.0 / 3, 1e-17},
		} {
			want := clamp(sum.a+sum.b) + 0 // makes a negative zero positive
			field := strconv.Itoa(i)
			f.apply(batch("a", gen, uint64(2*i), uint64(2*i)+1, add(field, plain(sum.a))))
			r := f.apply(batch("a", gen, uint64(2*i)+1, uint64(2*i)+2, add(field, plain(sum.b))))
			for _, text := range []string{r.Totals[0], f.series("a")[field]} {
				got := f.number(text)
				if math.Float64bits(got) != math.Float64bits(want) {
					f.Errorf("%g + %g is stored as %q, want %g", sum.a, sum.b, text, want)
				}
			}
		}
	},
	"Numbers_WholeOnesStayReadable": func(f *fixture) {
		gen := f.family("a", wire.TypeCounter)
		f.apply(batch("a", gen, 0, 1, add("x", "9007199254740990"), add("y", "3e15"), add("z", "-0")))
		f.apply(batch("a", gen, 1, 2, add("x", "1"), add("y", "0"), add("z", "-0")))
		all := f.series("a")
		f.target.SetText(f.T, f.app, "a", "z", "-0")
		f.apply(batch("a", gen, 2, 3, add("z", "-0")))
		all["z"] = f.series("a")["z"]
		for field, want := range map[string]string{"x": "9007199254740991", "y": "3000000000000000", "z": "0"} {
			if all[field] != want {
				f.Errorf("stored %q, want %q", all[field], want)
			}
		}
	},
	"Numbers_ScriptAndProcessReadTheSameTexts": func(f *fixture) {
		// The store must add to exactly those texts that a scrape can read.
		gen := f.family("a", wire.TypeCounter)
		seed := rand.Uint64()
		random := rand.New(rand.NewPCG(seed, 2))
		const alphabet, texts = "0123456789999...+-eE: x_", 400
		stored := make(map[string]string)
		var plainOps, namedOps []wire.Op
		names := []string{"1", "+Inf", "sum", "1", "-2.5e3", "a", "count", "1x"}
		for i := range texts {
			text := make([]byte, random.IntN(9))
			for k := range text {
				text[k] = alphabet[random.IntN(len(alphabet))]
			}
			field := strconv.Itoa(i)
			if i%2 == 0 {
				stored[field] = string(text)
				plainOps = append(plainOps, add(field, "1"))
			} else {
				stored[field] = names[random.IntN(len(names))] + ":" + string(text)
				namedOps = append(namedOps, add(field, "3:1"))
			}
			f.target.SetText(f.T, f.app, "a", field, stored[field])
		}
		for n, ops := range [][]wire.Op{plainOps, namedOps} {
			for k, op := range ops {
				seq := uint64(n*texts + k)
				r := f.apply(batch("a", gen, seq, seq+1, op))
				vector, err := wire.ParseVector(nil, stored[op.Field])
				damaged := err != nil || (vector[0].Name == "") != (n == 0)
				if n == 1 && !damaged && !wire.Fits(vector, false) {
					continue // what the delta does not name is checked only now and then
				}
				if (r.Corrupt == 1) != damaged {
					f.Errorf("seed %d: %q counts %d times as corrupt; the process reads %v, %v",
						seed, stored[op.Field], r.Corrupt, vector, err)
				}
			}
			f.apply(batch("a", gen, uint64(n*texts+len(ops)), uint64((n+1)*texts)))
		}
	},
	"Numbers_RandomSumsEqualFloat64": func(f *fixture) {
		gen := f.family("a", wire.TypeSummary)
		seed := rand.Uint64()
		random := rand.New(rand.NewPCG(seed, 1))
		const rounds, fields = 30, 40
		var sums [fields][2]float64
		for n := range uint64(rounds) {
			ops := make([]wire.Op, fields)
			for i := range ops {
				delta := [2]float64{math.Abs(randomNumber(random)), randomNumber(random)} // counts don't fall
				ops[i] = add(strconv.Itoa(i), "count:"+plain(delta[0])+" sum:"+plain(delta[1]))
				for k := range delta {
					sums[i][k] = clamp(sums[i][k] + delta[k])
				}
			}
			f.apply(batch("a", gen, n, n+1, ops...))
		}
		all := f.series("a")
		for i := range sums {
			vector, err := wire.ParseVector(nil, all[strconv.Itoa(i)])
			if err != nil || len(vector) != 2 {
				f.Fatalf("seed %d: field %d: %q, %v", seed, i, all[strconv.Itoa(i)], err)
			}
			for k, c := range vector {
				if math.Float64bits(c.Value) != math.Float64bits(sums[i][k]+0) {
					f.Errorf("seed %d: field %d: %s is %g, want %g", seed, i, c.Name, c.Value, sums[i][k])
				}
			}
		}
	},
}

// clamp keeps a sum finite.
func clamp(sum float64) float64 {
	return max(-math.MaxFloat64, min(math.MaxFloat64, sum))
}

// plain formats a number as another implementation might: shortest form, also
// for negative zero.
func plain(n float64) string { return strconv.FormatFloat(n, 'g', -1, 64) }

// randomNumber mixes whole numbers, fractions of all sizes, and the extremes.
func randomNumber(random *rand.Rand) float64 {
	switch random.IntN(6) {
	case 0:
		return float64(random.IntN(1000))
	case 1:
		return float64(random.Int64() - random.Int64())
	case 2:
		return random.NormFloat64()
	case 3:
		return random.ExpFloat64() * 1e-9
	case 4:
		return math.Ldexp(random.Float64()-0.5, random.IntN(2040)-1020)
	}
	for {
		n := math.Float64frombits(random.Uint64())
		if !math.IsNaN(n) && !math.IsInf(n, 0) {
			return n
		}
	}
}
