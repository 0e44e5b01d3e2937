// SPDX-License-Identifier: Apache-2.0

package hostile_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"sync"
	"time"

	"github.com/shoal-metrics/shoal/core/tests/redistest"
)

// drive starts a runner and gives it seeds as long as there are some. A runner that dies
// takes the seeds with it that were under way: each of these is run alone then.
func (f *fuzz) drive(take func() (uint64, bool), atOnce int) {
	for {
		running, stderr, err := f.process(func() (job, bool) {
			seed, ok := take()
			return wholeSeed(seed), ok
		}, atOnce, f.add)
		if err == nil {
			return
		}
		slices.Sort(running)
		guilty := false
		for _, seed := range running {
			if fail, ok := f.try(wholeSeed(seed), diedPromise); ok {
				guilty = true
				f.add(fail)
			}
		}
		if guilty {
			continue
		}
		// Together they may have taken more than the limit; then they do it again.
		again := slices.Clone(running)
		_, _, twice := f.process(func() (job, bool) {
			if len(again) == 0 {
				return job{}, false
			}
			j := wholeSeed(again[0])
			again = again[1:]
			return j, true
		}, atOnce, func(failure) {})
		if twice == nil {
			f.t.Logf("a process died once (%v), of none of the seeds %v:\n%.1000s", err, running, stderr)
		} else {
			f.mu.Lock()
			f.died = append(f.died, fmt.Sprintf("a process died (%v), and does so of the seeds %v together:\n%.3000s", err, running, stderr))
			f.mu.Unlock()
			return
		}
	}
}

// server returns an empty Redis that nobody uses.
func (f *fuzz) server() *redistest.Server {
	f.mu.Lock()
	defer f.mu.Unlock()
	if n := len(f.idle); n > 0 {
		s := f.idle[n-1]
		f.idle = f.idle[:n-1]
		return s
	}
	return redistest.Start(f.t, "--slowlog-log-slower-than", "10000", "--slowlog-max-len", "256", "--maxmemory", "1gb")
}

func (f *fuzz) release(s *redistest.Server) {
	s.Restart(f.t)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.idle = append(f.idle, s)
}

func wholeSeed(seed uint64) job { return job{Seed: seed, Round: -1, Skip: *skip} }

const diedPromise = "no process dies"

// once gives one job.
func once(j job) func() (job, bool) {
	given := false
	return func() (job, bool) {
		defer func() { given = true }()
		return j, !given
	}
}

// process runs jobs in a process of their own, with a Redis of its own. The error is that
// it died; then running are the seeds that were under way.
func (f *fuzz) process(next func() (job, bool), atOnce int, failed func(failure)) (running []uint64, stderr string, err error) {
	server := f.server()
	defer f.release(server)
	config := runnerConfig{URL: server.URL(), Script: *script, Sessions: atOnce}
	if !raceDetector {
		config.Memory = *memory << 20
	}
	text, err := json.Marshal(config)
	if err != nil {
		return nil, "", err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, "", err
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), runnerEnv+"="+string(text), "GORACE=atexit_sleep_ms=0")
	var log bytes.Buffer
	cmd.Stderr = &log
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, "", err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, "", err
	}
	if err := cmd.Start(); err != nil {
		return nil, "", err
	}
	var mu sync.Mutex
	under := map[uint64]bool{}
	slots := make(chan struct{}, atOnce)
	ended := make(chan struct{})
	var feeder sync.WaitGroup
	feeder.Go(func() {
		defer func() { _ = in.Close() }()
		for {
			select {
			case slots <- struct{}{}:
			case <-ended:
				return
			}
			j, ok := next()
			if !ok {
				return
			}
			mu.Lock()
			under[j.Seed] = true
			mu.Unlock()
			line, _ := json.Marshal(j)
			if _, err := in.Write(append(line, '\n')); err != nil {
				return
			}
		}
	})
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 64<<20)
	for lines.Scan() {
		var m message
		if json.Unmarshal(lines.Bytes(), &m) != nil {
			continue // a line of the test framework
		}
		switch {
		case m.Failed != nil:
			failed(*m.Failed)
		case m.Begun != nil:
			failed(*m.Begun) // without a promise: what comes next
		case m.Sum != nil:
			f.mu.Lock()
			f.sums = append(f.sums, *m.Sum)
			f.mu.Unlock()
		case m.Done != nil:
			mu.Lock()
			delete(under, *m.Done)
			mu.Unlock()
			<-slots
		}
	}
	close(ended)
	err = cmd.Wait()
	feeder.Wait()
	for seed := range under {
		running = append(running, seed)
	}
	return running, log.String(), err
}

// try runs one job alone and returns its failure of a kind.
func (f *fuzz) try(j job, promise string) (found failure, ok bool) {
	var mu sync.Mutex
	j.Tell = true
	var last failure // its writes, if the process dies
	_, stderr, err := f.process(once(j), 1, func(fail failure) {
		mu.Lock()
		defer mu.Unlock()
		if fail.Promise == "" {
			last = fail
		} else if fail.Promise == promise && !ok {
			found, ok = fail, true
		}
	})
	if err != nil && promise == diedPromise {
		last.Seed, last.Promise, last.Detail = j.Seed, promise, fmt.Sprintf("%v: %.1500s", err, stderr)
		return last, true
	}
	return found, ok
}

// guilty looks for a failure that may be the machine's, or another seed's, and is one two
// more times when its seed is run alone.
func (f *fuzz) guilty(list []failure) (failure, bool) {
	tried := map[uint64]bool{}
	for _, fail := range list {
		if tried[fail.Seed] || len(tried) == 2*(*sessions) {
			continue
		}
		tried[fail.Seed] = true
		if found, ok := f.try(wholeSeed(fail.Seed), fail.Promise); ok {
			if _, ok := f.try(wholeSeed(fail.Seed), fail.Promise); ok {
				return found, true
			}
		}
	}
	return failure{}, false
}

// shrink looks for fewer writes of one round that are enough for the failure.
func (f *fuzz) shrink(fail failure) (failure, bool) {
	const wait = 4 * time.Second
	small, ok := fail, false
	one := job{Seed: fail.Seed, Round: max(fail.Round, 0), Skip: *skip, Patience: wait}
	for last := max(fail.Round, rounds-1); !ok; one.Round++ { // of which round it is, may not be known
		if small, ok = f.try(one, fail.Promise); ok || fail.Round >= 0 || one.Round == last {
			break
		}
	}
	if !ok {
		return fail, false
	}
	enough := func(writes []int) bool {
		less := one
		less.Only = writes
		found, ok := f.try(less, fail.Promise)
		if ok {
			one, small = less, found
		}
		return ok
	}
	if small.Number == 0 { // it was not the session that told
		small.Number = mostWrites
	}
	limit := time.Now().Add(time.Minute)
	all := make([]int, small.Number)
	for i := range all {
		all[i] = i
	}
	alone := slices.IndexFunc(all, func(i int) bool { return time.Now().Before(limit) && enough([]int{i}) })
	if alone < 0 {
		one.Only = all
	}
	for len(one.Only) > 1 && time.Now().Before(limit) {
		before := len(one.Only)
		for i := 0; i < len(one.Only) && time.Now().Before(limit); {
			if !enough(slices.Delete(slices.Clone(one.Only), i, i+1)) {
				i++
			}
		}
		if len(one.Only) == before {
			break
		}
	}
	small.Detail += fmt.Sprintf("\n  the writes %v of the round %d are enough", one.Only, one.Round)
	return small, true
}

// alone runs one seed and prints what fails.
func (f *fuzz) alone(seed uint64) {
	begin := time.Now()
	var last failure
	j := wholeSeed(seed)
	j.Tell = true
	_, stderr, err := f.process(once(j), 1, func(fail failure) {
		if fail.Promise == "" {
			f.t.Logf("round %d writes\n%s", fail.Round, fail.Writes)
			last = fail
			return
		}
		f.add(fail)
	})
	if err != nil {
		last.Seed, last.Promise, last.Detail = seed, diedPromise, fmt.Sprintf("%v: %.1500s", err, stderr)
		f.add(last)
	}
	f.report(time.Since(begin))
}
