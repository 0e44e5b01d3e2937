// SPDX-License-Identifier: Apache-2.0

package hostile_test

import (
	"cmp"
	"flag"
	"maps"
	"os"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/shoal-metrics/shoal/core/tests/redistest"
)

var (
	oneSeed    = flag.Uint64("hostile.seed", 0, "run this seed alone, and make a failure smaller")
	firstSeed  = flag.Uint64("hostile.first", 1, "the first seed")
	seedsToRun = flag.Uint64("hostile.seeds", 0, "run so many seeds; 0 for as many as the time allows")
	timeToRun  = flag.Duration("hostile.time", 25*time.Second, "run for so long, where the number of seeds is not given")
	runners    = flag.Int("hostile.runners", runtime.NumCPU(), "processes that run seeds, each with a Redis")
	sessions   = flag.Int("hostile.sessions", 12, "seeds at once in each of them")
	memory     = flag.Uint64("hostile.memory", 1024, "that each of them may have resident, in MiB; not with the race detector")
	skip       = flag.String("hostile.skip", "", "a pattern of writes that are not made, where their failures are known")
	script     = flag.Duration("hostile.script", 250*time.Millisecond, "for which one call may keep Redis busy, on a busy machine")
)

func TestMain(m *testing.M) {
	if config := os.Getenv(runnerEnv); config != "" {
		os.Exit(runnerMain(config, os.Stdout))
	}
	flag.Parse()
	redistest.Main(m)
}

// Whatever somebody writes to the keys of an app: none of its processes dies, hangs or logs a forged
// line; pages are valid, or a 503 in time; families that were not attacked stay exact; the
// processes repair the keys that they need; other apps in the same Redis notice nothing; and the
// memory and the time that calls take in Redis are bounded.
func TestHostileContents_BreakNoPromise(t *testing.T) {
	f := &fuzz{t: t, failures: map[string][]failure{}}
	begin := time.Now()
	if *oneSeed != 0 {
		o := f.alone(job{Seed: *oneSeed, Round: -1})
		for _, r := range o.rounds {
			t.Logf("round %d writes\n%s", r.Round, r.Writes)
		}
		f.add(o.failures...)
		f.report(time.Since(begin))
		return
	}
	config := runnerConfig{Sessions: *sessions, Step: uint64(*runners), Job: job{Round: -1}} // a few
	switch limit := *timeToRun; {
	case *seedsToRun > 0:
		config.End = *firstSeed + *seedsToRun
	case raceDetector:
		config.Until = begin.Add(min(limit, 10*time.Second))
	default:
		config.Until = begin.Add(limit)
	}
	var all sync.WaitGroup
	for i := range *runners {
		all.Go(func() { f.drive(config.from(*firstSeed + uint64(i))) }) // a few
	}
	all.Wait()
	f.report(time.Since(begin))
}

// fuzz collects what the runners report.
type fuzz struct {
	t        *testing.T
	mu       sync.Mutex
	failures map[string][]failure // by promise; guarded by mu
	sum      summary              // guarded by mu
	idle     []*redistest.Server  // guarded by mu
}

func (f *fuzz) add(failures ...failure) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, fail := range failures {
		f.failures[fail.Promise] = append(f.failures[fail.Promise], fail)
	}
}

// report fails the test for each broken promise, with the smallest attack that
// shows it. A failure that a busy machine may have caused must happen when its seed is run again.
func (f *fuzz) report(took time.Duration) {
	sum := f.sum
	f.t.Logf("%d rounds in %v (%.0f/s), %d pages and %d times 503 during attacks, %d MiB at most, %d keys left, longest call %v, a neighbour's flush %v",
		sum.Rounds, took.Round(time.Second), float64(sum.Rounds)/took.Seconds(), sum.Pages, sum.Held, sum.Memory>>20, sum.Keys,
		sum.Longest, sum.NeighbourHeld.Round(time.Millisecond))
	if limit := *memory << 20; !raceDetector && sum.Memory > limit {
		f.t.Errorf("a process took %d MiB, and may take %d", sum.Memory>>20, *memory)
	}
	if sum.Longest > 50*time.Millisecond {
		f.t.Logf("the longest call: %.300s", sum.LongestCall)
	}
	for _, promise := range slices.Sorted(maps.Keys(f.failures)) {
		list := f.failures[promise]
		fail := slices.MinFunc(list, func(a, b failure) int { return cmp.Compare(a.size(), b.size()) })
		if fail.Timed {
			shown, ok := f.again(list)
			if !ok {
				f.t.Logf("once, and not when it was run again: %v", fail)
				continue
			}
			fail = shown
		}
		if fail.Seed != 0 {
			fail = f.shrink(fail)
		}
		f.t.Errorf("%d times: %v", len(list), fail)
	}
}
