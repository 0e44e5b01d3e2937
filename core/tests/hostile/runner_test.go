// SPDX-License-Identifier: Apache-2.0

package hostile_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"runtime/pprof"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
	shoal "github.com/shoal-metrics/shoal/core"
)

// runnerEnv holds the [runnerConfig] of a process that the test started of its own binary.
const runnerEnv = "SHOAL_HOSTILE_RUNNER"

// runnerConfig is what such a process is started with.
type runnerConfig struct {
	URL      string
	Memory   uint64        // that it may take, in bytes; 0 for any
	Script   time.Duration // for which it may keep Redis busy with one call
	Sessions int           // at once
}

// message is a line that it writes: one of these.
type message struct {
	Done   *uint64  `json:",omitempty"` // a seed that was run
	Failed *failure `json:",omitempty"`
	Begun  *failure `json:",omitempty"` // what a round is going to write
	Sum    *summary `json:",omitempty"` // at its end
}

// summary is what a process of the test has seen.
type summary struct {
	Rounds        int64
	Pages, Held   int64         // amid hostile contents: shown, and 503
	Memory        uint64        // peak
	Longest       time.Duration // call to Redis
	LongestCall   string
	NeighbourHeld time.Duration // longest wait of another tenant
	Keys          int64         // that are left in Redis
}

// runner runs the jobs that it reads, line by line, until its input ends.
type runner struct {
	world
	config  runnerConfig
	mu      sync.Mutex
	out     io.Writer       // guarded by mu
	running map[uint64]bool // seeds; guarded by mu
	sum     summary         // guarded by mu
	rounds  atomic.Int64
}

func runnerMain(config string, in io.Reader, out io.Writer) int {
	r := &runner{out: out, running: map[uint64]bool{}}
	if err := json.Unmarshal([]byte(config), &r.config); err != nil {
		_, _ = fmt.Fprintln(os.Stderr, err)
		return 2
	}
	if r.config.Memory > 0 {
		debug.SetMemoryLimit(int64(r.config.Memory / 2))
		// What Go has given back to the system counts against this limit, so that it is
		// the net for what would take all at once; what is resident is checked at the end.
		if err := limitMemory(2 * r.config.Memory); err != nil {
			_, _ = fmt.Fprintln(os.Stderr, err)
			return 2
		}
	}
	debug.SetGCPercent(400) // it is to be quick, and the limit bounds it
	redis.SetLogger(silence{})
	opts, err := redis.ParseURL(r.config.URL)
	if err != nil {
		_, _ = fmt.Fprintln(os.Stderr, err)
		return 2
	}
	opts.PoolSize, opts.ContextTimeoutEnabled = 2*r.config.Sessions, true
	users := *opts
	opts.ClientName = attackerName
	r.url, r.attacker, r.users = r.config.URL, redis.NewClient(opts), redis.NewClient(&users)
	r.tell = r.failed
	r.begun = func(f failure) { r.write(message{Begun: &f}) }

	stop := make(chan struct{})
	var watchers sync.WaitGroup
	watchers.Go(func() { r.watch(stop) })
	watchers.Go(func() { r.neighbour(stop) })
	var sessions sync.WaitGroup
	slots := make(chan struct{}, r.config.Sessions)
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		var j job
		if err := json.Unmarshal(lines.Bytes(), &j); err != nil {
			_, _ = fmt.Fprintln(os.Stderr, err)
			return 2
		}
		slots <- struct{}{}
		sessions.Go(func() {
			defer func() { <-slots }()
			r.session(j)
		})
	}
	sessions.Wait()
	r.awaitRedis()
	close(stop)
	watchers.Wait()
	r.mu.Lock()
	sum := r.sum
	r.mu.Unlock()
	sum.Rounds, sum.Pages, sum.Held, sum.Memory = r.rounds.Load(), r.answered[0].Load(), r.answered[1].Load(), memoryPeak()
	sum.Keys = r.attacker.DBSize(context.Background()).Val()
	r.write(message{Sum: &sum})
	return 0
}

// session runs one seed, and ends the process if it hangs.
func (r *runner) session(j job) {
	r.mu.Lock()
	r.running[j.Seed] = true
	r.mu.Unlock()
	hangs := time.AfterFunc(time.Duration(rounds)*4*patience, func() {
		r.failed(failure{Seed: j.Seed, Round: -1, Promise: "nothing hangs", Detail: "the session did not end", Timed: true})
		_ = pprof.Lookup("goroutine").WriteTo(os.Stderr, 2)
		os.Exit(3)
	})
	r.run(j)
	hangs.Stop()
	r.rounds.Add(rounds)
	r.mu.Lock()
	delete(r.running, j.Seed)
	r.mu.Unlock()
	r.write(message{Done: &j.Seed})
}

func (r *runner) failed(f failure) { r.write(message{Failed: &f}) }

// failedAll tells of something that any of the seeds under way may have caused.
func (r *runner) failedAll(promise, detail string, timed bool) {
	r.mu.Lock()
	var seeds []uint64
	for seed := range r.running {
		seeds = append(seeds, seed)
	}
	r.mu.Unlock()
	for _, seed := range seeds {
		r.failed(failure{Seed: seed, Round: -1, Promise: promise, Detail: detail, Timed: timed})
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

// attackerName is the name of the connections that write hostile contents, which are not
// what keeps Redis busy that is looked for.
const attackerName = "attacker"

// awaitRedis waits until Redis answers: a call that keeps it busy is in its log only then.
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
				r.mu.Lock()
				if e.Duration > r.sum.Longest {
					r.sum.Longest, r.sum.LongestCall = e.Duration, call
				}
				r.mu.Unlock()
				if e.Duration > r.config.Script {
					r.failed(failure{
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

// neighbour is another app in the same Redis, whose name begins alike. It counts, and its
// page is exact, whatever the others do.
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
		r.mu.Lock()
		r.sum.NeighbourHeld = max(r.sum.NeighbourHeld, time.Since(begin))
		r.mu.Unlock()
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
