// SPDX-License-Identifier: Apache-2.0

package behaviour_test

import (
	"errors"
	"log/slog"
	"strings"
	"testing"

	shoal "github.com/shoal-metrics/shoal/core"

	"github.com/shoal-metrics/shoal/core/tests/redistest"
)

func TestOpen_ConnectsByURLAndClosesWhatItMade(t *testing.T) {
	s := redistest.Shared(t)
	f := newFleet(t)
	for _, url := range []string{s.URL(), "redis://" + s.Addr, "redis://" + s.Addr + "/0?read_timeout=2s&client_name=shoaltest"} {
		reg := shoal.New()
		if err := reg.Open(url, f.quick()); err != nil {
			t.Fatalf("%s: %v", url, err)
		}
		reg.NewCounter(shoal.CounterOpts{Name: "jobs_total"}).Inc()
		closeAll(t, reg)
	}
	scrape(t, f.reader(t)).want(t, "jobs_total", "3")
	if clients := f.redis.ClientList(t.Context()).Val(); strings.Contains(clients, "name=shoaltest") {
		t.Errorf("a connection is left:\n%s", clients)
	}
}

func TestOpen_TheDatabaseOfTheURLIsUsed(t *testing.T) {
	s := redistest.Start(t)
	f := fleetOn(t, s)
	reg := shoal.New()
	if err := reg.Open("redis://"+s.Addr+"/5", f.quick()); err != nil {
		t.Fatal(err)
	}
	reg.NewCounter(shoal.CounterOpts{Name: "jobs_total"}).Inc()
	closeAll(t, reg)
	if n := f.redis.DBSize(t.Context()).Val(); n != 0 {
		t.Errorf("%d keys in the database 0", n)
	}
}

// No error, and nothing that is logged, shows the password.
func TestOpen_ABadURLDoesNotLeakItsPassword(t *testing.T) {
	const secret = "s3cret%zz"
	for _, url := range []string{
		"http://user:" + secret + "@127.0.0.1:6379",
		"redis://user:" + secret + "@127.0.0.1:6379/notanumber",
		"redis://user:" + secret + "@127.0.0.1:port/0",
		"redis://user:" + secret + "@[::1/0",
		"redis://user:" + secret + "@127.0.0.1:6379/0?read_timeout=never",
		"redis://user:" + secret + "@127.0.0.1:6379/0?nosuchoption=1",
		"redis://user:" + secret + "@127.0.0.1:6379?addr=127.0.0.1:1&dial_timeout=x",
		"redis://user:" + secret + "@127.0.0.1:6379?master_name=m&db=x",
		"redis://user:" + secret + " @127.0.0.1",
		secret,
		"user:" + secret + "@127.0.0.1:6379",
		"",
		// Passwords with characters that had to be escaped.
		"redis://user:s3cret#x@127.0.0.1:6379",
		"redis://user:12#s3cret@127.0.0.1:6379",
		"redis://user:s3cret/x@127.0.0.1:6379",
		"redis://user:s3cret?x@127.0.0.1:6379",
		"redis://user:12/s3cret@127.0.0.1:6379",
		"redis://user:12?s3cret@127.0.0.1:6379/0",
		"redis://user:12%s3cret@127.0.0.1:6379/0",
		"s3cret://127.0.0.1:6379",
		"redis://user:s3cret@127.0.0.1:6379/notanumber",
		"redis://user:s3cret@127.0.0.1:port/0",
		"redis://user:s3cret@127.0.0.1:6379/0?read_timeout=never",
		"redis://user:s3cret@127.0.0.1:6379?master_name=m&db=x",
		"redis://user:s3cret@127.0.0.1:6379?addr=127.0.0.1:1&dial_timeout=x",
		"http://user:s3cret@127.0.0.1:6379",
	} {
		reg := shoal.New()
		err := reg.Open(url, shoal.Opts{App: "app"})
		if err == nil {
			t.Errorf("%q is accepted", url)
			closeAll(t, reg)
			continue
		}
		if strings.Contains(err.Error(), "s3cret") {
			t.Errorf("the error of %q shows the password: %v", url, err)
		}
		// A bad URL leaves the registry as it was.
		if err := reg.Flush(t.Context()); !errors.Is(err, shoal.ErrNotConnected) {
			t.Errorf("after %q Flush gives %v", url, err)
		}
	}
}

func TestOpen_AWrongPasswordIsNotLogged(t *testing.T) {
	s := redistest.Start(t)
	if err := s.Client(t).ConfigSet(t.Context(), "requirepass", "x").Err(); err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	reg := shoal.New()
	opts := shoal.Opts{App: "app", Logger: slog.New(slog.NewTextHandler(&log, nil))}
	if err := reg.Open("redis://:s3cret@"+s.Addr, opts); err != nil {
		t.Fatal(err)
	}
	reg.NewCounter(shoal.CounterOpts{Name: "jobs_total"}).Inc()
	rec, _ := get(reg, "1")
	err := reg.Close(shortly(t))
	if err == nil {
		t.Error("Close gives no error")
	}
	for what, text := range map[string]string{"page": rec.Body.String(), "error": err.Error(), "log": log.String()} {
		if text == "" || strings.Contains(text, "s3cret") {
			t.Errorf("the %s is %q", what, text)
		}
	}
}

func TestConnect_RefusesWhatCanNotWork(t *testing.T) {
	f := newFleet(t)
	minus := -1
	for name, change := range map[string]func(*shoal.Opts){
		"no app":             func(o *shoal.Opts) { o.App = "" },
		"braces":             func(o *shoal.Opts) { o.App = "{shop}" },
		"a slash":            func(o *shoal.Opts) { o.App = "shop/a" },
		"a space":            func(o *shoal.Opts) { o.App = "my shop" },
		"bytes":              func(o *shoal.Opts) { o.App = "\xff" },
		"a negative index":   func(o *shoal.Opts) { o.Index = &minus },
		"a negative limit":   func(o *shoal.Opts) { o.SeriesLimit = -1 },
		"a negative period":  func(o *shoal.Opts) { o.RefreshPeriod = -1 },
		"a hasty lease":      func(o *shoal.Opts) { o.LeaseDuration = 1 },
		"a negative keeping": func(o *shoal.Opts) { o.Retention = -7 },
	} {
		opts := f.quick()
		change(&opts)
		reg := shoal.New()
		if err := reg.Connect(f.connect(t), opts); err == nil || !strings.HasPrefix(err.Error(), "shoal: ") {
			t.Errorf("%s: Connect gives %v", name, err)
		}
		if err := reg.Open("redis://127.0.0.1:1", opts); err == nil {
			t.Errorf("%s: Open accepts it", name)
		}
	}
	reg := f.process(t)
	if err := reg.Connect(f.connect(t), f.quick()); err == nil {
		t.Error("a second Connect is accepted")
	}
	if err := shoal.New().Connect(nil, f.quick()); err == nil {
		t.Error("no client is accepted")
	}
}
