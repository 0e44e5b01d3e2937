// SPDX-License-Identifier: Apache-2.0

package behaviour_test

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
	shoal "github.com/shoal-metrics/shoal/core"

	"github.com/shoal-metrics/shoal/core/tests/redistest"
)

// logging are options whose troubles go to a log.
func logging(opts shoal.Opts) (shoal.Opts, *syncWriter) {
	log := new(syncWriter)
	opts.OnError = nil
	opts.Logger = slog.New(slog.NewTextHandler(log, nil))
	return opts, log
}

// records lists what was logged.
func (w *syncWriter) records() []string {
	return strings.FieldsFunc(w.text(), func(r rune) bool { return r == '\n' })
}

// failAll makes every part of a process fail: flushes, leases, scrapes.
func failAll(t *testing.T, reg *shoal.Registry) {
	t.Helper()
	requests(reg, 10)
	for i := range 30 {
		reg.NewCounter(shoal.CounterOpts{Name: fmt.Sprintf("other_%d_total", i)}).Inc()
	}
	for range 3 {
		if rec, _ := get(reg, "0.5"); rec.Code == 200 {
			t.Errorf("a page: %s", rec.Body)
		}
		if err := reg.Flush(shortly(t)); err == nil {
			t.Error("Flush says that Redis has it")
		}
	}
}

// However many metrics there are, and whatever fails: one line a minute says
// what is wrong and what to do.
func TestTroubles_AreOneLineThatNamesTheCause(t *testing.T) {
	t.Parallel()
	open := redistest.Start(t)
	locked := redistest.Start(t)
	configure(t, locked, "requirepass", "another")
	admin := locked.Client(t, func(o *redis.Options) { o.Password = "another" })
	if err := admin.Do(t.Context(), "ACL", "SETUSER", "shop", "on", ">right", "~shoal:1:{elsewhere*", "+@all").Err(); err != nil {
		t.Fatal(err)
	}
	if err := admin.Do(t.Context(), "ACL", "SETUSER", "weak", "on", ">right", "~*", "-@all").Err(); err != nil {
		t.Fatal(err)
	}
	if err := admin.Do(t.Context(), "ACL", "SETUSER", "timeless", "on", ">right", "~*", "+@all", "-time").Err(); err != nil {
		t.Fatal(err)
	}
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
		check := func(t *testing.T, connect func(*shoal.Registry, shoal.Opts) error) {
			t.Helper()
			opts, log := logging((&fleet{app: appOf(t)}).quick())
			reg := shoal.New()
			if err := connect(reg, opts); err != nil {
				t.Fatal(err)
			}
			if name == "a full Redis" || name == "a replica" {
				requests(reg, 1) // such pages can be read
				for range 3 {
					_ = reg.Flush(shortly(t))
				}
			} else {
				failAll(t, reg)
			}
			eventually(t, func() error {
				if log.text() == "" {
					return errors.New("nothing is logged")
				}
				return nil
			})
			err := reg.Close(shortly(t))
			records := log.records()
			if len(records) != 1 {
				t.Errorf("%d lines:\n%s", len(records), log.text())
			}
			for _, word := range tt.want {
				if !strings.Contains(records[0], word) {
					t.Errorf("the line lacks %q: %s", word, records[0])
				}
			}
			if err == nil || strings.Count(err.Error(), "\n") > 0 {
				t.Errorf("Close gives %v, want one line", err)
			}
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			check(t, func(reg *shoal.Registry, opts shoal.Opts) error { return reg.Open(tt.url+dialShortly(tt.url), opts) })
		})
		if strings.Contains(tt.url, "?") {
			continue
		}
		t.Run(name+", Connect", func(t *testing.T) {
			t.Parallel()
			o, err := redis.ParseURL(tt.url + dialShortly(tt.url))
			if err != nil {
				t.Fatal(err)
			}
			o.ContextTimeoutEnabled = true
			client := redis.NewClient(o)
			defer func() { _ = client.Close() }()
			check(t, func(reg *shoal.Registry, opts shoal.Opts) error { return reg.Connect(client, opts) })
		})
	}
}

// When it is over one line says so, and OnError hears it as something that is
// no trouble; once for each outage that was told.
func TestTroubles_TheirEndIsOneLine(t *testing.T) {
	t.Parallel()
	for name, readOnly := range map[string]bool{"a process": false, "an exporter": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := redistest.Start(t)
			configure(t, server, "requirepass", "x")
			admin := server.Client(t, func(o *redis.Options) { o.Password = "x" })
			opts, log := logging((&fleet{app: appOf(t)}).quick())
			opts.ReadOnly = readOnly
			heard, also := make(chan error, 100), opts
			also.OnError, also.App = func(err error) { heard <- err }, opts.App+".2"
			for _, app := range []string{opts.App, also.App} { // an exporter's app that nobody writes to is a trouble too
				writeOnce(t, admin, app)
			}
			logged, told := shoal.New(), shoal.New()
			for reg, o := range map[*shoal.Registry]shoal.Opts{logged: opts, told: also} {
				if err := reg.Open(server.URL(), o); err != nil {
					t.Fatal(err)
				}
				requests(reg, 10)
				says503(t, reg)
			}
			if err := admin.ConfigSet(t.Context(), "requirepass", "").Err(); err != nil {
				t.Fatal(err)
			}
			for _, reg := range []*shoal.Registry{logged, told} {
				eventuallyPage(t, reg, func(page) error { return nil })
				scrape(t, reg)
				closeAll(t, reg)
			}
			records := log.records()
			if len(records) != 2 || !strings.Contains(records[0], "level=WARN") || !strings.Contains(records[0], "NOAUTH") ||
				!strings.Contains(records[1], "level=INFO") || !strings.Contains(records[1], "Redis is back after ") {
				t.Errorf("the log is\n%s", log.text())
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

// writeOnce has a process of the app that wrote something and ended.
func writeOnce(t *testing.T, client redis.UniversalClient, app string) {
	t.Helper()
	reg := shoal.New()
	if err := reg.Connect(client, shoal.Opts{App: app}); err != nil {
		t.Fatal(err)
	}
	requests(reg, 1)
	closeAll(t, reg)
}
