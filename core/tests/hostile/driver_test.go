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

// outcome is what a runner said until it ended.
type outcome struct {
	failures []failure
	rounds   []failure // with what they were going to write, and no promise; if the job tells
	running  []uint64  // the seeds under way when it died
	last     uint64    // the highest seed that it began
	stderr   string
	err      error // it died
}

// drive runs seeds in a runner. One that dies takes the seeds with it that were under way:
// each of these is run alone then, and another runner goes on.
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
		if !guilty { // together they may have taken more than the limit; then they do it again
			again := f.process(runnerConfig{Seeds: o.running, Sessions: config.Sessions, Job: job{Round: -1}})
			if again.err != nil || len(o.running) == 0 {
				f.add(failure{
					Promise: diedPromise, Round: -1, Writes: fmt.Sprintf("  of all of the seeds %v together\n", o.running),
					Detail: fmt.Sprintf("%v: %.3000s", o.err, o.stderr),
				})
				return
			}
			f.t.Logf("a process died once (%v), of none of the seeds %v:\n%.1000s", o.err, o.running, o.stderr)
		}
		config = config.from(o.last + config.Step)
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
	if _, err := cmd.StdinPipe(); err != nil { // the runner ends when this one does
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

// alone runs one job and tells what becomes of it.
func (f *fuzz) alone(j job) outcome {
	j.Tell = true
	return f.process(runnerConfig{Seeds: []uint64{j.Seed}, Sessions: 1, Job: j})
}

// try runs one job alone and returns its failure to keep a promise.
func (f *fuzz) try(j job, promise string) (failure, bool) {
	failures := f.alone(j).failures
	at := slices.IndexFunc(failures, func(fail failure) bool { return fail.Promise == promise })
	if at < 0 {
		return failure{}, false
	}
	return failures[at], true
}

// again looks for a failure among those of one promise that time, or another seed, may
// have caused: one that is there two more times when its seed is run alone.
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

// shrink looks for fewer writes of one round that are enough for a failure, for a minute.
func (f *fuzz) shrink(fail failure) failure {
	limit := time.Now().Add(time.Minute)
	j := job{Seed: fail.Seed, Round: max(fail.Round, 0), Patience: 4 * time.Second}
	small, ok := f.try(j, fail.Promise)
	for !ok && fail.Round < 0 && j.Round < rounds-1 { // whose round is not known
		j.Round++
		small, ok = f.try(j, fail.Promise)
	}
	if !ok {
		return fail
	}
	if small.Number == 0 { // it was not the session that told
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
