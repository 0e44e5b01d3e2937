// SPDX-License-Identifier: Apache-2.0

package behaviour_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
	shoal "github.com/shoal-metrics/shoal/core"

	"github.com/shoal-metrics/shoal/core/tests/redistest"
	"github.com/shoal-metrics/shoal/core/tests/testkit"
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

// shoal works with servers that do not know a command, since it was renamed or there is a proxy,
// if it can do without the command.
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
				replica.InSync(t) // so that Close uses WAIT
			}
			f, heard := fleetOn(t, server), new(testkit.Heard)
			connected, opened := f.process(t, hearing(heard)), f.opened(t, hearing(heard))
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
				testkit.Must(t, f.redis.ScriptFlush(t.Context()).Err())
			}
			count()
			for _, reg := range []*shoal.Registry{connected, opened, f.reader(t)} {
				testkit.Scrape(t, reg).Want(t, "jobs_total", "4", "took_seconds_count", "4", "depth", "2", "shoal_instances", "2")
			}
			connected.NewCounter(shoal.CounterOpts{Name: "jobs_total"}).Inc()
			closeAll(t, opened, connected)
			testkit.Scrape(t, f.reader(t)).Want(t, "jobs_total", "5", "shoal_instances", "0")
			if told := heard.Of("unknown command"); len(told) > 0 {
				t.Errorf("OnError hears %q", told)
			}
		})
	}
}

// If shoal can't do without a command, every report and error names it, and requests go on.
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
			f, heard := fleetOn(t, server), new(testkit.Heard)
			reg := f.loose(t, hearing(heard))
			completes(t, func() { requests(reg, 100) })
			testkit.Eventually(t, func() error {
				for _, word := range tt.want {
					if len(heard.Of(word)) == 0 {
						return fmt.Errorf("OnError hears %q, want %q", heard, word)
					}
				}
				return nil
			})
			err := reg.Close(testkit.Shortly(t))
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
			f, heard := fleetOn(t, server), new(testkit.Heard)
			reg := f.loose(t, hearing(heard))
			requests(reg, 1)
			says503(t, reg)
			_ = reg.Close(testkit.Shortly(t))
			if !strings.Contains(strings.ToUpper(heard.String()), command) {
				t.Errorf("OnError hears %q, want %s", heard, command)
			}
		}
	})
}

// If only the user may not use a command, shoal does without it in the same way.
func TestRefusedCommands_OfAUserAreDoneWithoutToo(t *testing.T) {
	t.Parallel()
	for _, rules := range []string{"-script", "-eval", "-evalsha", "-info -wait", "-script -info -wait -client", "-evalsha -script"} {
		t.Run(rules, func(t *testing.T) {
			t.Parallel()
			server := redistest.Start(t)
			setUser(t, server.Client(t), "shop", append([]string{"on", ">x", "~*", "+@all"}, strings.Fields(rules)...)...)
			f := fleetOn(t, server).with(func(t testing.TB) redis.UniversalClient {
				return server.Client(t, impatient, asUser("shop", "x"))
			})
			reg := f.process(t)
			reg.NewCounter(shoal.CounterOpts{Name: "jobs_total"}).Add(2)
			flush(t, reg)
			testkit.Scrape(t, f.reader(t)).Want(t, "jobs_total", "2", "shoal_instances", "1")
		})
	}
}
