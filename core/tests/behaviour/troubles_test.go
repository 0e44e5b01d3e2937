// SPDX-License-Identifier: Apache-2.0

package behaviour_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	shoal "github.com/shoal-metrics/shoal/core"

	"github.com/shoal-metrics/shoal/core/tests/redistest"
	"github.com/shoal-metrics/shoal/core/tests/testkit"
)

// linesOf lists the logged lines.
func linesOf(log *testkit.Heard) []string {
	return strings.FieldsFunc(log.String(), func(r rune) bool { return r == '\n' })
}

// logsSomething waits until there is a line, and lists all.
func logsSomething(t *testing.T, log *testkit.Heard) []string {
	t.Helper()
	testkit.Eventually(t, func() error {
		if log.String() == "" {
			return errors.New("nothing is logged")
		}
		return nil
	})
	return linesOf(log)
}

// failAll makes every part of a process fail: flushes, leases, scrapes.
func failAll(t *testing.T, reg *shoal.Registry) {
	t.Helper()
	requests(reg, 10)
	for i := range 30 {
		reg.NewCounter(shoal.CounterOpts{Name: fmt.Sprintf("other_%d_total", i)}).Inc()
	}
	for range 3 {
		if rec, _ := testkit.Get(reg, 500*time.Millisecond); rec.Code == 200 {
			t.Errorf("a page: %s", rec.Body)
		}
		if err := reg.Flush(testkit.Shortly(t)); err == nil {
			t.Error("Flush says that Redis has it")
		}
	}
}

// However many metrics there are, and whatever fails, one line a minute says what is
// wrong and what to do.
func TestTroubles_AreOneLineThatNamesTheCause(t *testing.T) {
	t.Parallel()
	open := redistest.Start(t)
	locked := redistest.Start(t)
	configure(t, locked, "requirepass", "another")
	admin := locked.Client(t, func(o *redis.Options) { o.Password = "another" })
	setUser(t, admin, "shop", "on", ">right", "~shoal:1:{elsewhere*", "+@all")
	setUser(t, admin, "weak", "on", ">right", "~*", "-@all")
	setUser(t, admin, "timeless", "on", ">right", "~*", "+@all", "-time")
	tls := redistest.StartTLS(t, redistest.NewAuthority(t), false)
	full := redistest.Start(t, "--maxmemory", "1")
	host, port, _ := strings.Cut(open.Addr, ":")
	replica := redistest.Start(t, "--replicaof", host+" "+port)
	member := redistest.SharedCluster(t).Nodes[0]
	for name, tt := range map[string]struct {
		url  string
		want []string
	}{
		"a wrong password":           {"redis://:wrong@" + locked.Addr, []string{"WRONGPASS", "the user or the password is wrong"}},
		"a wrong user":               {"redis://nobody:wrong@" + locked.Addr, []string{"WRONGPASS", "the user or the password is wrong"}},
		"no password":                {"redis://" + locked.Addr, []string{"NOAUTH", "demands a password"}},
		"no password, RESP2":         {"redis://" + locked.Addr + "?protocol=2", []string{"NOAUTH", "demands a password"}},
		"no password, a name":        {"redis://" + locked.Addr + "?client_name=mine", []string{"NOAUTH", "demands a password"}},
		"no password, a database":    {"redis://" + locked.Addr + "/3", []string{"NOAUTH", "demands a password"}},
		"the keys of another app":    {"redis://shop:right@" + locked.Addr, []string{"NOPERM", "ACL LOG"}},
		"no command":                 {"redis://weak:right@" + locked.Addr, []string{"NOPERM", "evalsha", "ACL LOG"}},
		"no command inside a script": {"redis://timeless:right@" + locked.Addr, []string{"TIME", "ACL LOG"}},
		"a database that is not":     {"redis://" + open.Addr + "/99", []string{"out of range", "no database of that number"}},
		"TLS to a port without":      {"rediss://" + open.Addr, []string{"use redis:// in place of rediss://"}},
		"a port with TLS without it": {"redis://" + tls.Addr, []string{"use rediss:// in place of redis://"}},
		"no such host":               {"redis://no-such-host.invalid", []string{"no-such-host.invalid"}},
		"nobody listens":             {"redis://127.0.0.1:1", []string{"127.0.0.1:1", "refused"}},
		"a full Redis":               {"redis://" + full.Addr, []string{"OOM"}},
		"a replica":                  {"redis://" + replica.Addr, []string{"READONLY", "the server is a replica"}},
		"one of a Cluster":           {"redis://" + member.Addr, []string{"MOVED", "part of a Cluster"}},
		"no Cluster":                 {"redis://" + open.Addr + "?addr=" + open.Addr, []string{"cluster support disabled", "is no Cluster"}},
		"Cluster, a wrong password":  {"redis://:wrong@" + locked.Addr + "?addr=" + locked.Addr, []string{"WRONGPASS"}},
		"Cluster, no password":       {"redis://" + locked.Addr + "?addr=" + locked.Addr, []string{"NOAUTH", "demands a password"}},
		"Sentinel that is none":      {"redis://" + open.Addr + "?master_name=m", []string{"sentinel"}},
		"Sentinel, a wrong password": {"redis://:wrong@" + locked.Addr + "?master_name=m", []string{"WRONGPASS"}},
	} {
		check := func(t *testing.T, log *testkit.Heard, reg *shoal.Registry) {
			t.Helper()
			if name == "a full Redis" || name == "a replica" {
				requests(reg, 1) // pages can be read here
				for range 3 {
					_ = reg.Flush(testkit.Shortly(t))
				}
			} else {
				failAll(t, reg)
			}
			logsSomething(t, log)
			err := reg.Close(testkit.Shortly(t))
			lines := linesOf(log)
			if len(lines) != 1 {
				t.Errorf("%d lines:\n%s", len(lines), log)
			}
			for _, word := range tt.want {
				if !strings.Contains(lines[0], word) {
					t.Errorf("the line lacks %q: %s", word, lines[0])
				}
			}
			if err == nil || strings.Count(err.Error(), "\n") > 0 {
				t.Errorf("Close gives %v, want one line", err)
			}
		}
		url := tt.url + dialShortly(tt.url)
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			log := new(testkit.Heard)
			check(t, log, fleetAt(t, url).opened(t, logging(log)))
		})
		if strings.Contains(tt.url, "?") {
			continue
		}
		t.Run(name+", Connect", func(t *testing.T) {
			t.Parallel()
			o, err := redis.ParseURL(url)
			testkit.Must(t, err)
			o.ContextTimeoutEnabled = true
			client := redis.NewClient(o)
			defer func() { _ = client.Close() }()
			log := new(testkit.Heard)
			check(t, log, fleetAt(t, url).with(func(testing.TB) redis.UniversalClient { return client }).loose(t, logging(log)))
		})
	}
}

// When a trouble is over, one line says so, and OnError gets a RecoveredError: once for each
// outage that was reported.
func TestTroubles_TheirEndIsOneLine(t *testing.T) {
	t.Parallel()
	for name, readOnly := range map[string]bool{"a process": false, "an exporter": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := redistest.Start(t)
			configure(t, server, "requirepass", "x")
			admin := server.Client(t, func(o *redis.Options) { o.Password = "x" })
			f, log, heard := fleetAt(t, server.URL()), new(testkit.Heard), make(chan error, 100)
			other := fleetAt(t, server.URL())
			for _, app := range []string{f.app, other.app} { // an exporter's app that nobody writes to is a trouble too
				writeOnce(t, admin, app)
			}
			reads := func(o *shoal.Opts) { o.ReadOnly = readOnly }
			regs := []*shoal.Registry{
				f.opened(t, logging(log), reads),
				other.opened(t, reads, func(o *shoal.Opts) { o.OnError = func(err error) { heard <- err } }),
			}
			for _, reg := range regs {
				requests(reg, 10)
				says503(t, reg)
			}
			testkit.Must(t, admin.ConfigSet(t.Context(), "requirepass", "").Err())
			for _, reg := range regs {
				testkit.EventuallyHas(t, reg)
				closeAll(t, reg)
			}
			lines := linesOf(log)
			if len(lines) != 2 || !strings.Contains(lines[0], "level=WARN") || !strings.Contains(lines[0], "NOAUTH") ||
				!strings.Contains(lines[1], "level=INFO") || !strings.Contains(lines[1], "Redis is back after ") {
				t.Errorf("the log is\n%s", log)
			}
			close(heard)
			var errs []error
			for err := range heard {
				errs = append(errs, err)
			}
			var back *shoal.RecoveredError
			if len(errs) != 2 || errors.As(errs[0], &back) || !errors.As(errs[1], &back) || back.After <= 0 {
				t.Errorf("OnError hears %v", errs)
			}
		})
	}
}

// writeOnce makes a process of the app write something and end.
func writeOnce(t *testing.T, client redis.UniversalClient, app string) {
	t.Helper()
	reg := shoal.New()
	testkit.Must(t, reg.Connect(client, shoal.Opts{App: app}))
	requests(reg, 1)
	closeAll(t, reg)
}
