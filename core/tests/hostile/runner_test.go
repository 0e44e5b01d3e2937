// SPDX-License-Identifier: Apache-2.0

package hostile_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"maps"
	"os"
	"runtime/debug"
	"runtime/pprof"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	shoal "github.com/shoal-metrics/shoal/core"
)

// runnerEnv holds the [runnerConfig] of a process that the test started from its own binary.
const runnerEnv = "SHOAL_HOSTILE_RUNNER"

// runnerConfig is what such a process is started with.
type runnerConfig struct {
	URL      string
	Memory   uint64        // the most that it may take, in bytes; 0 for no limit
	Script   time.Duration // the longest that one call may keep Redis busy
	Sessions int           // how many it runs at the same time
	Job      job           // of each seed, without the seed
	Seeds    []uint64      // the seeds to run; if empty, each Step-th from First on
	First    uint64
	Step     uint64
	End      uint64    // the first seed that is not run; 0 for no end
	Until    time.Time // when no further round begins; zero for never
}

// seeds lists the seeds to run.
func (c *runnerConfig) seeds() iter.Seq[uint64] {
	if c.Seeds != nil || c.Step == 0 {
		return slices.Values(c.Seeds)
	}
	return func(yield func(uint64) bool) {
		for seed := c.First; c.End == 0 || seed < c.End; seed += c.Step {
			if c.over() || !yield(seed) {
				return
			}
		}
	}
}

// from returns the config with another first seed.
func (c runnerConfig) from(seed uint64) runnerConfig {
	c.First = seed
	return c
}

func (c *runnerConfig) over() bool { return !c.Until.IsZero() && time.Now().After(c.Until) }

// message is a line that a runner writes. One field is set.
type message struct {
	Begin  *uint64  `json:",omitempty"` // a seed
	Done   *uint64  `json:",omitempty"` // a seed
	Writes *failure `json:",omitempty"` // what a round is going to write
	Failed *failure `json:",omitempty"`
	Sum    *summary `json:",omitempty"` // at its end
}

// summary is what runners measured.
type summary struct {
	Rounds        int64
	Pages, Held   int64         // answers during attacks: pages, and 503
	Memory        uint64        // the highest peak of a runner
	Longest       time.Duration // call to Redis
	LongestCall   string
	NeighbourHeld time.Duration // longest flush of the neighbour
	Keys          int64         // left in Redis
}

func (s *summary) add(o summary) {
	s.Rounds += o.Rounds
	s.Pages += o.Pages
	s.Held += o.Held
	s.Keys += o.Keys
	s.Memory = max(s.Memory, o.Memory)
	s.NeighbourHeld = max(s.NeighbourHeld, o.NeighbourHeld)
	if o.Longest > s.Longest {
		s.Longest, s.LongestCall = o.Longest, o.LongestCall
	}
}

// mostFailures is after how many failures a runner begins no further seed.
const mostFailures = 12

// runner runs seeds, several at the same time, on one Redis.
type runner struct {
	config   runnerConfig
	attacker redis.UniversalClient // with a name of its own
	users    redis.UniversalClient // what users hand to Connect

	mu       sync.Mutex
	out      io.Writer       // guarded by mu
	running  map[uint64]bool // seeds; guarded by mu
	sum      summary         // guarded by mu
	failures int             // guarded by mu
}

func runnerMain(config string, out io.Writer) int {
	r := &runner{out: out, running: map[uint64]bool{}}
	if err := r.begin(config); err != nil {
		_, _ = fmt.Fprintln(os.Stderr, err)
		return 2
	}
	go func() { // ends when the test's process does
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(4)
	}()
	stop := make(chan struct{})
	var watchers, sessions sync.WaitGroup
	watchers.Go(func() { r.watch(stop) })
	watchers.Go(func() { r.neighbour(stop) })
	slots := make(chan struct{}, r.config.Sessions)
	for seed := range r.config.seeds() {
		slots <- struct{}{}
		if r.failed() >= mostFailures {
			break
		}
		sessions.Go(func() {
			defer func() { <-slots }()
			r.session(seed)
		})
	}
	sessions.Wait()
	r.awaitRedis()
	close(stop)
	watchers.Wait()
	r.sum.Memory, r.sum.Keys = memoryPeak(), r.attacker.DBSize(context.Background()).Val()
	r.write(message{Sum: &r.sum})
	return 0
}

func (r *runner) begin(config string) error {
	if err := json.Unmarshal([]byte(config), &r.config); err != nil {
		return err
	}
	if r.config.Memory > 0 {
		debug.SetMemoryLimit(int64(r.config.Memory / 2))
		// Memory that Go has returned to the system counts against this limit. So it is twice
		// what is allowed, and stops a process that suddenly takes much memory; the resident
		// memory is checked at the end.
		if err := limitMemory(2 * r.config.Memory); err != nil {
			return err
		}
	}
	debug.SetGCPercent(400) // for speed; the memory limit bounds it
	redis.SetLogger(silence{})
	opts, err := redis.ParseURL(r.config.URL)
	if err != nil {
		return err
	}
	opts.PoolSize, opts.ContextTimeoutEnabled = 2*r.config.Sessions, true
	users := *opts
	opts.ClientName = attackerName
	r.attacker, r.users = redis.NewClient(opts), redis.NewClient(&users)
	return nil
}

// session runs one seed, and ends the process if it hangs.
func (r *runner) session(seed uint64) {
	j := r.config.Job
	j.Seed = seed
	r.mu.Lock()
	r.running[seed] = true
	r.mu.Unlock()
	r.write(message{Begin: &seed})
	hangs := time.AfterFunc(time.Duration(rounds)*4*patience, func() {
		r.fail(failure{Seed: seed, Round: -1, Promise: "nothing hangs", Detail: "the session did not end", Timed: true})
		_ = pprof.Lookup("goroutine").WriteTo(os.Stderr, 2)
		os.Exit(3)
	})
	run(r, j)
	hangs.Stop()
	r.mu.Lock()
	delete(r.running, seed)
	r.mu.Unlock()
	r.write(message{Done: &seed})
}

// note updates the summary.
func (r *runner) note(change func(sum *summary)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	change(&r.sum)
}

func (r *runner) failed() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.failures
}

func (r *runner) fail(f failure) {
	r.mu.Lock()
	r.failures++
	r.mu.Unlock()
	r.write(message{Failed: &f})
}

// failedAll reports a failure that any of the seeds under way may have caused.
func (r *runner) failedAll(promise, detail string, timed bool) {
	r.mu.Lock()
	seeds := slices.Collect(maps.Keys(r.running))
	r.mu.Unlock()
	for _, seed := range seeds {
		r.fail(failure{Seed: seed, Round: -1, Promise: promise, Detail: detail, Timed: timed})
	}
}

func (r *runner) write(m message) {
	text, err := json.Marshal(m)
	if err != nil {
		panic(err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	_, _ = r.out.Write(append(text, '\n'))
}

// attackerName is the name of the connections that write hostile contents. watch ignores their
// slow calls.
const attackerName = "attacker"

// awaitRedis waits until Redis answers, since it logs a slow call only at its end.
func (r *runner) awaitRedis() {
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); {
		if r.attacker.Ping(context.Background()).Err() == nil {
			return
		}
	}
}

// watch looks for calls that kept Redis busy.
func (r *runner) watch(stop <-chan struct{}) {
	ctx := context.Background()
	for last, ending := int64(-1), false; ; {
		entries, err := r.attacker.SlowLogGet(ctx, 64).Result()
		if err == nil {
			newest := last
			for _, e := range entries {
				if e.ID <= last || e.ClientName == attackerName {
					continue
				}
				newest = max(newest, e.ID)
				call := fmt.Sprintf("%.1000q", e.Args)
				r.note(func(sum *summary) { sum.add(summary{Longest: e.Duration, LongestCall: call}) })
				if e.Duration > r.config.Script {
					r.fail(failure{
						Seed: seedOf(e.Args), Round: -1, Promise: "no call keeps Redis from others", Timed: true,
						Detail: fmt.Sprintf("%v: %s", e.Duration, call),
					})
				}
			}
			last = newest
		}
		if ending {
			return
		}
		select {
		case <-stop:
			ending = true
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// seedOf finds an app in the arguments of a call.
func seedOf(args []string) (seed uint64) {
	for _, arg := range args {
		if _, rest, ok := strings.Cut(arg, "shoal:1:{h."); ok {
			if n, _ := fmt.Sscanf(rest, "%d", &seed); n == 1 {
				return seed
			}
		}
	}
	return 0
}

// neighbour is another app in the same Redis, with a similar name. It counts, and its
// page must be exact, whatever happens to the other apps.
func (r *runner) neighbour(stop <-chan struct{}) {
	reg := shoal.New()
	c := reg.NewCounter(shoal.CounterOpts{Name: "plain_total", Help: "Plain."})
	if err := reg.Connect(r.users, shoal.Opts{App: "h", OnError: func(error) {}, Interval: time.Hour}); err != nil {
		panic(err)
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = reg.Close(ctx)
	}()
	for n := 1.0; ; n++ {
		c.Inc()
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		begin := time.Now()
		err := reg.Flush(ctx)
		cancel()
		r.note(func(sum *summary) { sum.add(summary{NeighbourHeld: time.Since(begin)}) })
		if err != nil {
			r.failedAll("another app goes on", err.Error(), true)
			return
		}
		p, err := read(reg, formats[0], patience)
		switch {
		case err != nil:
			r.failedAll("another app's page is valid", err.Error(), false)
			return
		case p.samples == nil:
			r.failedAll("another app's page is there", p.reason, true)
			return
		case p.samples["plain_total"] != n || p.samples["shoal_instances"] != 1:
			r.failedAll("another app's page is exact", fmt.Sprintf("%v of %v, %v instances", p.samples["plain_total"], n, p.samples["shoal_instances"]), false)
			return
		}
		select {
		case <-stop:
			return
		case <-time.After(100 * time.Millisecond):
		}
	}
}

type silence struct{}

func (silence) Printf(context.Context, string, ...any) {}
