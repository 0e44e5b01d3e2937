// SPDX-License-Identifier: Apache-2.0

package behaviour_test

import (
	"context"
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/redis/go-redis/v9"
	shoal "github.com/shoal-metrics/shoal/core"

	"github.com/shoal-metrics/shoal/core/tests/redistest"
	"github.com/shoal-metrics/shoal/core/tests/testkit"
)

// around is a hook around the commands of a round trip, which next sends.
type around func(ctx context.Context, cmds []redis.Cmder, next func() error) error

func (around) DialHook(next redis.DialHook) redis.DialHook { return next }

func (h around) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		return h(ctx, []redis.Cmder{cmd}, func() error { return next(ctx, cmd) })
	}
}

func (h around) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		return h(ctx, cmds, func() error { return next(ctx, cmds) })
	}
}

// size is the length of a command on the network.
func size(cmd redis.Cmder) (n int) {
	for _, arg := range cmd.Args() {
		if m, ok := arg.(encoding.BinaryMarshaler); ok {
			b, _ := m.MarshalBinary()
			n += len(b)
			continue
		}
		n += len(fmt.Sprint(arg))
	}
	return n
}

func sizes(cmds []redis.Cmder) (n int) {
	for _, cmd := range cmds {
		n += size(cmd)
	}
	return n
}

// show formats commands in many ways.
func show(cmds []redis.Cmder) {
	for _, cmd := range cmds {
		_ = fmt.Sprintf("%v %+v %#v %s", cmd.Args(), cmd.Args(), cmd.Args(), cmd)
		_, _ = json.Marshal(cmd.Args())
		_, _ = cmd.Name(), cmd.FullName()
	}
}

// greets says whether the commands are the greeting of a new connection, which must not
// be sent elsewhere.
func greets(cmds []redis.Cmder) bool {
	switch cmds[0].Name() {
	case "hello", "client", "select", "auth":
		return true
	}
	return false
}

// A hook may read the commands, send them elsewhere or again, and replace errors: everything
// arrives, once, also if the server has forgotten the scripts or refuses them for a while.
func TestHooks_OfAnyKindNeitherBlockDeliveryNorDouble(t *testing.T) {
	t.Parallel()
	elsewhere := redistest.Start(t)
	second := elsewhere.Client(t)
	var group sync.WaitGroup // goroutines of hooks
	t.Cleanup(group.Wait)
	copied := func(ctx context.Context, cmds []redis.Cmder) {
		if greets(cmds) {
			return
		}
		pipe := second.Pipeline()
		for _, cmd := range cmds {
			pipe.Do(ctx, cmd.Args()...)
		}
		_, _ = pipe.Exec(ctx)
	}
	errOwn := errors.New("the hook's own error")
	for name, hook := range map[string]around{
		"measures sizes before": func(_ context.Context, cmds []redis.Cmder, next func() error) error {
			_ = sizes(cmds)
			return next()
		},
		"measures sizes after": func(_ context.Context, cmds []redis.Cmder, next func() error) error {
			err := next()
			_ = sizes(cmds)
			return err
		},
		"shows before and after": func(_ context.Context, cmds []redis.Cmder, next func() error) error {
			show(cmds)
			defer show(cmds)
			return next()
		},
		"writes to a second server before": func(ctx context.Context, cmds []redis.Cmder, next func() error) error {
			copied(ctx, cmds)
			return next()
		},
		"writes to a second server after": func(ctx context.Context, cmds []redis.Cmder, next func() error) error {
			err := next()
			copied(ctx, cmds)
			return err
		},
		"writes to a second server meanwhile": func(ctx context.Context, cmds []redis.Cmder, next func() error) error {
			group.Go(func() { copied(context.WithoutCancel(ctx), cmds) })
			return next()
		},
		"executes the very commands on a second server before": func(ctx context.Context, cmds []redis.Cmder, next func() error) error {
			if !greets(cmds) {
				pipe := second.Pipeline()
				_ = pipe.BatchProcess(ctx, cmds...)
				_, _ = pipe.Exec(ctx)
			}
			return next()
		},
		"sends twice": func(_ context.Context, cmds []redis.Cmder, next func() error) error {
			if greets(cmds) {
				return next()
			}
			_ = next()
			return next()
		},
		"sends again what failed": func(_ context.Context, _ []redis.Cmder, next func() error) error {
			if err := next(); err == nil {
				return nil
			}
			return next()
		},
		"sends again what failed, as if new": func(_ context.Context, cmds []redis.Cmder, next func() error) error {
			if err := next(); err == nil {
				return nil
			}
			for _, cmd := range cmds {
				cmd.SetErr(nil)
			}
			return next()
		},
		"wraps errors": func(_ context.Context, cmds []redis.Cmder, next func() error) error {
			err := next()
			for _, cmd := range cmds {
				if e := cmd.Err(); e != nil {
					cmd.SetErr(fmt.Errorf("the hook: %w", e))
				}
			}
			return err
		},
		"replaces errors": func(_ context.Context, cmds []redis.Cmder, next func() error) error {
			err := next()
			for _, cmd := range cmds {
				if !greets(cmds) && cmd.Err() != nil && !errors.Is(cmd.Err(), redis.Nil) {
					cmd.SetErr(errOwn)
					err = errOwn
				}
			}
			return err
		},
		"returns an error of its own": func(_ context.Context, cmds []redis.Cmder, next func() error) error {
			err := next()
			if greets(cmds) {
				return err
			}
			return errOwn
		},
		"hides that anything failed": func(_ context.Context, cmds []redis.Cmder, next func() error) error {
			err := next()
			if greets(cmds) {
				return err
			}
			for _, cmd := range cmds {
				cmd.SetErr(nil)
			}
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := redistest.Start(t)
			f := fleetOn(t, server)
			f = f.with(func(t testing.TB) redis.UniversalClient {
				client := server.Client(t, impatient)
				client.AddHook(hook)
				return client
			})
			regs := f.processes(t, 2)
			count := func() {
				for _, reg := range regs {
					reg.NewCounter(shoal.CounterOpts{Name: "jobs_total"}).Inc()
					reg.NewHistogram(shoal.HistogramOpts{Name: "took_seconds", Buckets: []float64{1}}).Observe(0.5)
				}
			}
			wants := func(n string) {
				t.Helper()
				flush(t, regs...)
				for _, reg := range regs {
					testkit.Scrape(t, reg).Want(t, "jobs_total", n, "took_seconds_count", n, "shoal_instances", "2")
				}
			}
			count()
			wants("2")
			testkit.Must(t, f.redis.ScriptFlush(t.Context()).Err())
			count()
			wants("4")
			configure(t, server, "min-replicas-to-write", "1") // NOREPLICAS
			count()
			for _, reg := range regs {
				if err := reg.Flush(testkit.Shortly(t)); err == nil {
					t.Error("Flush says that Redis has it")
				}
			}
			configure(t, server, "min-replicas-to-write", "0")
			wants("6")
			wantNoLoss(t, testkit.Scrape(t, regs[0]))
		})
	}
}
