// SPDX-License-Identifier: Apache-2.0

package hostile_test

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/shoal-metrics/shoal/core/tests/redistest"
)

var (
	oneSeed    = flag.Uint64("hostile.seed", 0, "run this seed alone, and make a failure smaller")
	firstSeed  = flag.Uint64("hostile.first", 1, "the first seed")
	seedsToRun = flag.Uint64("hostile.seeds", 0, "run so many seeds; 0 for as many as the time allows")
	timeToRun  = flag.Duration("hostile.time", 40*time.Second, "run for so long, where the number of seeds is not given")
	runners    = flag.Int("hostile.runners", runtime.NumCPU(), "processes that run seeds, each with a Redis")
	sessions   = flag.Int("hostile.sessions", 12, "seeds at once in each of them")
	memory     = flag.Uint64("hostile.memory", 1024, "that each of them may have resident, in MiB; not with the race detector")
	skip       = flag.String("hostile.skip", "", "a pattern of writes that are not made, where their failures are known")
	script     = flag.Duration("hostile.script", 250*time.Millisecond, "for which one call may keep Redis busy, on a busy machine")
)

// mostKinds of failures are looked into.
const mostKinds = 12

func TestMain(m *testing.M) {
	if config := os.Getenv(runnerEnv); config != "" {
		os.Exit(runnerMain(config, os.Stdin, os.Stdout))
	}
	flag.Parse()
	redistest.Main(m)
}

// Whatever somebody writes to the keys of an app: no process of it dies, waits or forges
// its logs, pages are valid or a 503 in time, what nobody touched stays exact, the
// processes mend what they need, other apps in the same Redis notice nothing, and memory
// and the time that Redis is kept busy are bounded.
func TestHostileContents_BreakNoPromise(t *testing.T) {
	f := &fuzz{t: t, kinds: map[string][]failure{}}
	if *oneSeed != 0 {
		f.alone(*oneSeed)
		return
	}
	limit := *timeToRun
	if raceDetector && *seedsToRun == 0 {
		limit = min(limit, 10*time.Second)
	}
	deadline := time.Now().Add(limit)
	next := *firstSeed
	take := func() (seed uint64, ok bool) {
		f.mu.Lock()
		defer f.mu.Unlock()
		if len(f.kinds) >= mostKinds || *seedsToRun > 0 && next >= *firstSeed+*seedsToRun || *seedsToRun == 0 && time.Now().After(deadline) {
			return 0, false
		}
		next++
		return next - 1, true
	}
	begin := time.Now()
	var all sync.WaitGroup
	for range *runners {
		all.Go(func() { f.drive(take, *sessions) })
	}
	all.Wait()
	f.report(time.Since(begin))
}

// fuzz gathers what the runners tell.
type fuzz struct {
	t     *testing.T
	mu    sync.Mutex
	kinds map[string][]failure // by what they have in common; guarded by mu
	sums  []summary            // guarded by mu
	died  []string             // guarded by mu
	idle  []*redistest.Server  // guarded by mu
}

// kindOf is what failures have in common that are the same: the promise, and what failed
// without its numbers and names.
func kindOf(f failure) string {
	detail, most := f.Detail, 300
	if f.Promise == reportPromise { // where a stored text begins, nobody knows
		detail, most = strings.NewReplacer(`\`, "", `"`, "").Replace(detail), 26
	}
	detail = varying.ReplaceAllString(detail, "_")
	return f.Promise + ": " + detail[:min(len(detail), most)]
}

var varying = regexp.MustCompile(`\\+"[^"]*"|\b[0-9a-f]{8,}\b|[0-9.]+|\b(` +
	strings.Join(slices.Concat(honestNames, selfNames), "|") + `)\b|counter|gauge|histogram|summary`)

func (f *fuzz) add(fail failure) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.kinds[kindOf(fail)] = append(f.kinds[kindOf(fail)], fail)
}

// report looks into each kind of failure, and fails the test for those that are one when
// run again, if time may have been the reason, or for all others.
func (f *fuzz) report(took time.Duration) {
	var sum summary
	for _, s := range f.sums {
		sum.Rounds += s.Rounds
		sum.Pages += s.Pages
		sum.Held += s.Held
		sum.Keys += s.Keys
		sum.Memory = max(sum.Memory, s.Memory)
		sum.NeighbourHeld = max(sum.NeighbourHeld, s.NeighbourHeld)
		if s.Longest > sum.Longest {
			sum.Longest, sum.LongestCall = s.Longest, s.LongestCall
		}
	}
	f.t.Logf("%d rounds in %v (%.0f/s), %d pages and %d times 503 amid them, %d MiB at most, %d keys left, longest call %v, a neighbour's flush %v",
		sum.Rounds, took.Round(time.Second), float64(sum.Rounds)/took.Seconds(), sum.Pages, sum.Held, sum.Memory>>20, sum.Keys,
		sum.Longest, sum.NeighbourHeld.Round(time.Millisecond))
	if limit := *memory << 20; !raceDetector && sum.Memory > limit {
		f.t.Errorf("a process took %d MiB, and may take %d", sum.Memory>>20, *memory)
	}
	if sum.Longest > 50*time.Millisecond {
		f.t.Logf("the longest call: %.300s", sum.LongestCall)
	}
	kinds := make([]string, 0, len(f.kinds))
	for kind := range f.kinds {
		kinds = append(kinds, kind)
	}
	slices.Sort(kinds)
	for _, kind := range kinds {
		list := f.kinds[kind]
		fail := list[0]
		for _, other := range list[1:] {
			if len(other.Writes) > 0 && strings.Count(other.Writes, "\n") < strings.Count(fail.Writes, "\n") {
				fail = other
			}
		}
		if fail.Timed {
			guilty, ok := f.guilty(list)
			if !ok {
				f.t.Logf("once, and not when it was run again: %s", describe(fail))
				continue
			}
			fail = guilty
		}
		small, ok := f.shrink(fail)
		if !ok {
			small = fail
		}
		f.t.Errorf("%d times: %s", len(list), describe(small))
	}
	for _, text := range f.died {
		f.t.Error(text)
	}
}

func describe(f failure) string {
	return fmt.Sprintf("%s (seed %d, round %d)\n  %s\nafter\n%s", f.Promise, f.Seed, f.Round, f.Detail, f.Writes)
}
