// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"hash/fnv"
	mathrand "math/rand/v2"
	"time"
)

// jitter spreads the times at which a writer does things, so that processes
// started together do not stay in step. Its source is the writer's own, seeded by
// the writer's random id: a simulation that chooses the ids can be repeated.
type jitter struct{ source *mathrand.Rand }

func newJitter(id string) jitter {
	hash := fnv.New64a()
	_, _ = hash.Write([]byte(id)) // never fails: package hash documents it
	return jitter{mathrand.New(mathrand.NewPCG(hash.Sum64(), 0))}
}

// below returns a duration from 0 up to d, which is positive, without d.
func (j jitter) below(d time.Duration) time.Duration {
	return time.Duration(j.source.Int64N(int64(d)))
}

// around returns d give or take a tenth.
func (j jitter) around(d time.Duration) time.Duration {
	return d*9/10 + j.below(d/5+1)
}

// early returns d less up to a fifth.
func (j jitter) early(d time.Duration) time.Duration {
	return d - j.below(d/5+1)
}
