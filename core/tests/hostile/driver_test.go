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
	"time"

	"github.com/shoal-metrics/shoal/core/tests/redistest"
)

const diedPromise = "no process dies"

// outcome is what a runner wrote until it ended.
type outcome struct {
	failures []failure
	rounds   []failure // what each round was going to write, without a promise; if job.Tell
	running  []uint64  // the seeds under way when it died
	last     uint64    // the highest seed that it began
	stderr   string
	err      error // how it died
}

// drive runs seeds in a runner. If the runner dies, drive runs each of the seeds under way
// alone, and another runner goes on with the others.
func (f *fuzz) drive(config runnerConfig) {
	for {
		o := f.process(config)
		f.add(o.failures...)
		if o.err == nil {
			return
		}
		guilty := false
		for _, seed := range o.running {
			if fail, ok := f.try(job{Seed: seed, Round: -1}, diedPromise); ok {
				guilty = true
				f.add(fail)
			}
		}
		if !guilty { // together they may have exceeded the memory limit; if so, that happens again
			again := f.process(runnerConfig{Seeds: o.running, Sessions: config.Sessions, Job: job{Round: -1}})
			if again.err != nil || len(o.running) == 0 {
				f.add(failure{
					Promise: diedPromise, Round: -1, Writes: fmt.Sprintf("  of all of the seeds %v together\n", o.running),
					Detail: fmt.Sprintf("%v: %.3000s", o.err, o.stderr),
				})
				return
			}
			f.t.Logf("a process died once (%v), but not when the seeds %v were run again:\n%.1000s", o.err, o.running, o.stderr)
		}
		config = config.from(o.last + config.Step)
	}
}

// server returns an empty Redis that no runner uses.
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

// process runs seeds in a runner of their own, with a Redis of its own.
func (f *fuzz) process(config runnerConfig) (o outcome) {
	server := f.server()
	defer f.release(server)
	config.URL, config.Script, config.Job.Skip = server.URL(), *script, *skip
	if !raceDetector {
		config.Memory = *memory << 20
	}
	text, err := json.Marshal(config)
	if err != nil {
		return outcome{err: err}
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), runnerEnv+"="+string(text), "GORACE=atexit_sleep_ms=0")
	var log bytes.Buffer
	cmd.Stderr = &log
	out, err := cmd.StdoutPipe()
	if err != nil {
		return outcome{err: err}
	}
	if _, err := cmd.StdinPipe(); err != nil { // the runner ends when this process does
		return outcome{err: err}
	}
	if err := cmd.Start(); err != nil {
		return outcome{err: err}
	}
	running := map[uint64]bool{}
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 64<<20)
	for lines.Scan() {
		var m message
		if json.Unmarshal(lines.Bytes(), &m) != nil {
			continue // a line of the test framework
		}
		switch {
		case m.Begin != nil:
			running[*m.Begin] = true
			o.last = max(o.last, *m.Begin)
		case m.Done != nil:
			delete(running, *m.Done)
		case m.Writes != nil:
			o.rounds = append(o.rounds, *m.Writes)
		case m.Failed != nil:
			o.failures = append(o.failures, *m.Failed)
		case m.Sum != nil:
			f.mu.Lock()
			f.sum.add(*m.Sum)
			f.mu.Unlock()
		}
	}
	o.err = cmd.Wait()
	for seed := range running {
		o.running = append(o.running, seed)
	}
	slices.Sort(o.running)
	o.stderr = log.String()
	if o.err != nil && len(config.Seeds) == 1 {
		died := failure{Seed: config.Seeds[0], Round: -1}
		if n := len(o.rounds); n > 0 {
			died = o.rounds[n-1]
		}
		died.Promise, died.Detail = diedPromise, fmt.Sprintf("%v: %.1500s", o.err, o.stderr)
		o.failures = append(o.failures, died)
	}
	return o
}

// alone runs one job by itself.
func (f *fuzz) alone(j job) outcome {
	j.Tell = true
	return f.process(runnerConfig{Seeds: []uint64{j.Seed}, Sessions: 1, Job: j})
}

// try runs one job by itself and returns its failure of this promise, if there is one.
func (f *fuzz) try(j job, promise string) (failure, bool) {
	failures := f.alone(j).failures
	at := slices.IndexFunc(failures, func(fail failure) bool { return fail.Promise == promise })
	if at < 0 {
		return failure{}, false
	}
	return failures[at], true
}

// again looks for a failure that happens two more times when its seed is run alone. Failures that do
// not may have been caused by a busy machine or by another seed.
func (f *fuzz) again(list []failure) (failure, bool) {
	tried := map[uint64]bool{}
	for _, fail := range list {
		if tried[fail.Seed] || len(tried) == 2*(*sessions) {
			continue
		}
		tried[fail.Seed] = true
		whole := job{Seed: fail.Seed, Round: -1}
		if _, ok := f.try(whole, fail.Promise); ok {
			if found, ok := f.try(whole, fail.Promise); ok {
				return found, true
			}
		}
	}
	return failure{}, false
}

// shrink looks for a minute for fewer writes of one round that cause the failure.
func (f *fuzz) shrink(fail failure) failure {
	limit := time.Now().Add(time.Minute)
	j := job{Seed: fail.Seed, Round: max(fail.Round, 0), Patience: 4 * time.Second}
	small, ok := f.try(j, fail.Promise)
	for !ok && fail.Round < 0 && j.Round < rounds-1 { // the failure's round is not known
		j.Round++
		small, ok = f.try(j, fail.Promise)
	}
	if !ok {
		return fail
	}
	if small.Number == 0 { // the session did not report it
		small.Number = mostWrites
	}
	j.Only = make([]int, small.Number)
	for i := range j.Only {
		j.Only[i] = i
	}
	for i := 0; i < len(j.Only) && len(j.Only) > 1 && time.Now().Before(limit); {
		fewer := j
		fewer.Only = slices.Delete(slices.Clone(j.Only), i, i+1)
		if found, ok := f.try(fewer, fail.Promise); ok {
			j, small = fewer, found
		} else {
			i++
		}
	}
	small.Detail += fmt.Sprintf("\n  the writes %v of the round %d are enough", j.Only, j.Round)
	return small
}
