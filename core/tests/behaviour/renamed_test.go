// SPDX-License-Identifier: Apache-2.0

package behaviour_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
	shoal "github.com/shoal-metrics/shoal/core"

	"github.com/shoal-metrics/shoal/core/tests/redistest"
)

// without starts a server that does not know some commands.
func without(t *testing.T, commands ...string) *redistest.Server {
	t.Helper()
	args := []string{"--repl-diskless-sync-delay", "0"}
	for _, command := range commands {
		args = append(args, "--rename-command", command, "")
	}
	return redistest.Start(t, args...)
}

// A command that a server does not know, as where it was renamed or a proxy
// stands in between, is done without where that is possible.
func TestRefusedCommands_AreDoneWithout(t *testing.T) {
	t.Parallel()
	for _, commands := range [][]string{
		{"INFO"}, {"SCRIPT"}, {"EVAL"}, {"EVALSHA"}, {"WAIT"}, {"CLIENT"}, {"HELLO"}, {"COMMAND"},
		{"INFO", "SCRIPT", "WAIT", "CLIENT", "HELLO", "COMMAND"},
		{"INFO", "SCRIPT", "EVALSHA", "WAIT", "CLIENT", "HELLO"},
		{"INFO", "EVAL", "WAIT", "CLIENT", "HELLO"},
	} {
		t.Run(strings.Join(commands, "+"), func(t *testing.T) {
			t.Parallel()
			server := without(t, commands...)
			host, port, _ := strings.Cut(server.Addr, ":")
			if replica := redistest.Start(t, "--replicaof", host+" "+port); commands[0] != "INFO" {
				replica.InSync(t) // so that WAIT is asked
			}
			f, ears := fleetOn(t, server), new(heard)
			aloud := func(o *shoal.Opts) { o.OnError = ears.add }
			connected := f.process(t, aloud)
			opened := shoal.New()
			opts := f.quick()
			aloud(&opts)
			if err := opened.Open(server.URL(), opts); err != nil {
				t.Fatal(err)
			}
			count := func() {
				for _, reg := range []*shoal.Registry{connected, opened} {
					reg.NewCounter(shoal.CounterOpts{Name: "jobs_total"}).Inc()
					reg.NewHistogram(shoal.HistogramOpts{Name: "took_seconds", Buckets: []float64{1}}).Observe(0.5)
					reg.NewGauge(shoal.GaugeOpts{Name: "depth", Mode: shoal.Sum}).Set(1)
				}
				flush(t, connected, opened)
			}
			count()
			if !strings.Contains(t.Name(), "SCRIPT") {
				if err := f.redis.ScriptFlush(t.Context()).Err(); err != nil {
					t.Fatal(err)
				}
			}
			count()
			for _, reg := range []*shoal.Registry{connected, opened, f.reader(t)} {
				scrape(t, reg).want(t, "jobs_total", "4", "took_seconds_count", "4", "depth", "2", "shoal_instances", "2")
			}
			connected.NewCounter(shoal.CounterOpts{Name: "jobs_total"}).Inc()
			closeAll(t, opened, connected)
			scrape(t, f.reader(t)).want(t, "jobs_total", "5", "shoal_instances", "0")
			if text := ears.all(); strings.Contains(text, "unknown command") {
				t.Errorf("OnError hears %q", text)
			}
		})
	}
}

// What can't be done without is named, by whatever tells of it, and the
// requests go on.
func TestRefusedCommands_ThatAreNeededAreNamed(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		commands []string
		want     []string // of the error
	}{
		{[]string{"EVAL", "EVALSHA"}, []string{"evalsha", "eval'"}},
		{[]string{"EVAL", "SCRIPT"}, []string{"SCRIPT LOAD", "EVAL: "}},
		{[]string{"TIME"}, []string{"TIME"}},
		{[]string{"HSET"}, []string{"HSET"}},
		{[]string{"ZADD"}, []string{"ZADD"}},
	} {
		t.Run(strings.Join(tt.commands, "+"), func(t *testing.T) {
			t.Parallel()
			server := without(t, tt.commands...)
			f, ears := fleetOn(t, server), new(heard)
			reg := shoal.New()
			opts := f.quick()
			opts.OnError = ears.add
			if err := reg.Connect(f.connect(t), opts); err != nil {
				t.Fatal(err)
			}
			completes(t, func() { requests(reg, 100) })
			eventually(t, func() error {
				for _, word := range tt.want {
					if text := ears.all(); !strings.Contains(text, word) {
						return fmt.Errorf("OnError hears %q, want %q", text, word)
					}
				}
				return nil
			})
			err := reg.Close(shortly(t))
			for _, word := range tt.want {
				if err == nil || !strings.Contains(err.Error(), word) {
					t.Errorf("Close gives %v, want %q", err, word)
				}
			}
		})
	}
	t.Run("to read", func(t *testing.T) {
		t.Parallel()
		for _, command := range []string{"HGETALL", "HMGET", "HLEN", "ZRANGE"} {
			server := without(t, command)
			f, ears := fleetOn(t, server), new(heard)
			reg := shoal.New()
			opts := f.quick()
			opts.OnError = ears.add
			if err := reg.Connect(f.connect(t), opts); err != nil {
				t.Fatal(err)
			}
			requests(reg, 1)
			says503(t, reg)
			_ = reg.Close(shortly(t))
			if text := ears.all(); !strings.Contains(strings.ToUpper(text), command) {
				t.Errorf("OnError hears %q, want %s", text, command)
			}
		}
	})
}

// A user that may not do it is treated as where nobody may.
func TestRefusedCommands_OfAUserAreDoneWithoutToo(t *testing.T) {
	t.Parallel()
	for _, rules := range []string{"-script", "-eval", "-evalsha", "-info -wait", "-script -info -wait -client", "-evalsha -script"} {
		t.Run(rules, func(t *testing.T) {
			t.Parallel()
			server := redistest.Start(t)
			args := []any{"ACL", "SETUSER", "shop", "on", ">x", "~*", "+@all"}
			for _, rule := range strings.Fields(rules) {
				args = append(args, rule)
			}
			if err := server.Client(t).Do(t.Context(), args...).Err(); err != nil {
				t.Fatal(err)
			}
			f := fleetOn(t, server).with(func(t testing.TB) redis.UniversalClient {
				return server.Client(t, impatient, func(o *redis.Options) { o.Username, o.Password = "shop", "x" })
			})
			reg := f.process(t)
			reg.NewCounter(shoal.CounterOpts{Name: "jobs_total"}).Add(2)
			flush(t, reg)
			scrape(t, f.reader(t)).want(t, "jobs_total", "2", "shoal_instances", "1")
		})
	}
}
