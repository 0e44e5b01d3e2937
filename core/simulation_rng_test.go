// SPDX-License-Identifier: Apache-2.0

package shoal

import "time"

// rng is the simulation's random number generator (splitmix64). What happens to
// a call is drawn from an rng of its own, made from the seed, the process, the
// operation and the call's number. So one call more or less of one process
// changes nothing for the others, and a seed gives the same run again.
type rng uint64

func newRNG(words ...uint64) rng {
	var d rng
	for _, w := range words {
		d ^= rng(w)
		d = rng(d.next())
	}
	return d
}

func (d *rng) next() uint64 {
	*d += 0x9E3779B97F4A7C15
	z := uint64(*d)
	z = (z ^ z>>30) * 0xBF58476D1CE4E5B9
	z = (z ^ z>>27) * 0x94D049BB133111EB
	return z ^ z>>31
}

// below returns a number from 0 up to n, without n.
func (d *rng) below(n int) int { return int(d.next() % uint64(n)) }

// percent is true in n of 100 cases.
func (d *rng) percent(n int) bool { return d.below(100) < n }

// between returns a duration of this range, to the nanosecond, so that two things
// hardly ever happen at the same moment.
func (d *rng) between(from, to time.Duration) time.Duration {
	return from + time.Duration(d.next()%uint64(to-from))
}

// pick returns one of a list.
func pick[T any](d *rng, list []T) T { return list[d.below(len(list))] }
