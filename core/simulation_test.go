// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"testing/cryptotest"
	"testing/synctest"
)

// The simulation runs the real registries of several processes, each with its
// writer goroutine, its reader, its page, its lease and its gauges, against
// the store in memory, and everything that can go wrong between and around
// them: see fault. A seed decides the schedule and the faults. It runs in a
// bubble of testing/synctest, so a minute of the fleet's life takes some
// milliseconds.
//
//	simulation_test.go            the seeds: how many, what a failure prints
//	simulation_rng_test.go        random numbers
//	simulation_world_test.go      a run: what a seed may do, the steps, the end
//	simulation_process_test.go    a process and what is counted in it
//	simulation_actions_test.go    what happens to the processes and the store
//	simulation_faults_test.go     what can go wrong
//	simulation_network_test.go    between a registry and the store
//	simulation_ledger_test.go     what the store must have, told independently
//	simulation_losses_test.go     which losses are allowed, after what happened to the store
//	simulation_leases_test.go     who is alive, as the store knows
//	simulation_marks_test.go      epochs, and by whom and when series were held last
//	simulation_lives_test.go      when series begin and are removed
//	simulation_held_test.go       what a process holds, and what it is told is gone
//	simulation_removal_test.go    series are removed that nobody holds
//	simulation_invariants_test.go what must hold, at each step and in the end
//	simulation_amounts_test.go    what series add up to
//	simulation_page_test.go       a scrape, and what a page shows
//	simulation_inside_test.go     all that is read of the fields of a registry and its writer
//
// To run more seeds, or one again with its trace:
//
//	go test -run 'TestSimulation$' . -simulation.seeds 20000
//	go test -run 'TestSimulation$' . -simulation.seed 4711
//
// In one of 20 seeds series are removed that no process holds any more. To run these alone:
//
//	go test -run 'TestSimulation$' . -simulation.first 20 -simulation.every 20 -simulation.seeds 60000
//
// A seed gives the same run again because nothing in it depends on the real
// time, each writer's jitter grows from its id, ids come from crypto/rand,
// whose source is seeded here, and every call takes a time of its own, so that
// at each moment one goroutine has something to do. The last of these is not
// certain: two calls may end at one moment, and Go may end a goroutine's turn
// early, so one seed in some hundreds may run differently;
// TestSimulation_SameSeedRunsTheSame watches that. The race detector makes the
// scheduler choose at random: with it, no seed is sure to run the same.
// Orders that come from Go's maps (that of the ops in a batch) are different
// each time and make no difference.
var (
	simulationSeed  = flag.Uint64("simulation.seed", 0, "run this seed of the simulation alone, with its trace")
	simulationSeeds = flag.Uint64("simulation.seeds", 0, "run so many seeds of the simulation; 0 for the usual number")
	simulationEvery = flag.Uint64("simulation.every", 1, "run one of so many seeds of the simulation")
	simulationFirst = flag.Uint64("simulation.first", 0, "the first seed of the simulation; 0 for the first of this release")
)

// firstSeed moves on with each release, as CHANGELOG.md lists them, so that in time many
// seeds are run.
func firstSeed() uint64 {
	if *simulationFirst > 0 {
		return *simulationFirst
	}
	changes, _ := os.ReadFile("../CHANGELOG.md") // which the module alone does not have
	return 1 + 10_000*uint64(strings.Count(string(changes), "\n## [")-strings.Count(string(changes), "\n## [Unreleased]"))
}

// usualSeeds is how many seeds a test of the package runs; the race detector
// makes each some ten times as long.
func usualSeeds() uint64 {
	switch {
	case *simulationSeeds > 0:
		return *simulationSeeds
	case raceDetector, testing.Short():
		return 100
	}
	return 2000
}

func TestSimulation(t *testing.T) {
	restore := steady()
	defer restore()
	if *simulationSeed > 0 {
		w := simulate(t, *simulationSeed, true)
		fmt.Fprint(os.Stderr, w.trace.String())
		for _, v := range w.violations {
			t.Error(v)
		}
		return
	}
	var seen [faultKinds]int
	first, n := firstSeed(), 0
	last := first + usualSeeds() - 1
	for seed := first; seed <= last; seed += *simulationEvery {
		w := simulate(t, seed, false)
		n++
		for kind, n := range w.faults {
			seen[kind] += n
		}
		if len(w.violations) == 0 {
			continue
		}
		for _, v := range w.violations {
			t.Errorf("seed %d: %s", seed, v)
		}
		t.Errorf("to replay it with its trace: go test -run 'TestSimulation$' . -simulation.seed %d", seed)
		return
	}
	var missing []string
	for kind, n := range seen {
		t.Logf("%6d times %v", n, fault(kind))
		if n == 0 {
			missing = append(missing, fault(kind).String())
		}
	}
	if len(missing) > 0 && n >= 100 {
		t.Errorf("never exercised: %q", missing)
	}
}

func TestSimulation_SameSeedRunsTheSame(t *testing.T) {
	if raceDetector {
		t.Skip("the race detector makes the scheduler choose at random")
	}
	restore := steady()
	defer restore()
	var differing []uint64
	const seeds = 20
	for seed := uint64(1); seed <= seeds; seed++ {
		if a, b := simulate(t, seed, false), simulate(t, seed, false); a.hash != b.hash {
			differing = append(differing, seed)
		}
	}
	if len(differing) > 1 { // one may differ: see above
		t.Errorf("the seeds %v of %d ran otherwise the second time", differing, seeds)
	}
}

// steady lets one goroutine run at a time, and makes the garbage collector run less often.
func steady() (undo func()) {
	procs, percent := runtime.GOMAXPROCS(1), debug.SetGCPercent(800)
	return func() {
		runtime.GOMAXPROCS(procs)
		debug.SetGCPercent(percent)
	}
}

// simulate runs one seed in a bubble of its own.
func simulate(t *testing.T, seed uint64, traced bool) *world {
	cryptotest.SetGlobalRandom(t, seed)
	var w *world
	synctest.Test(t, func(t *testing.T) {
		w = newWorld(t, seed, traced)
		w.run()
	})
	slices.Sort(w.violations)
	return w
}
