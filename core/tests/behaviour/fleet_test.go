// SPDX-License-Identifier: Apache-2.0

package behaviour_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	shoal "github.com/shoal-metrics/shoal/core"

	"github.com/shoal-metrics/shoal/core/tests/redistest"
)

// patience bounds what a test waits for. It is long, since it only matters
// where a test fails.
const patience = 20 * time.Second

// fleet is one app on one store. Each registry that joins it stands for a
// process.
type fleet struct {
	app     string
	url     string
	connect func(t testing.TB) redis.UniversalClient
	redis   redis.UniversalClient // the test's own eyes
}

// newFleet returns an app of the test's own on the package's server or, for
// those that run inside [TestCluster_BehavesAsOneServerDoes], its Cluster.
func newFleet(t testing.TB) *fleet {
	t.Helper()
	if strings.HasPrefix(t.Name(), "TestCluster_") {
		return fleetOnCluster(t, redistest.SharedCluster(t))
	}
	return fleetOn(t, redistest.Shared(t))
}

// fleetOn returns an app of the test's own on a server.
func fleetOn(t testing.TB, s *redistest.Server) *fleet {
	t.Helper()
	return &fleet{
		app: appOf(t), url: s.URL(),
		// Short timeouts, since some servers will be frozen.
		connect: func(t testing.TB) redis.UniversalClient {
			return s.Client(t, impatient)
		},
		redis: s.Client(t),
	}
}

// on returns the same app on another server.
func (f *fleet) on(t testing.TB, s *redistest.Server) *fleet {
	t.Helper()
	other := fleetOn(t, s)
	other.app = f.app
	return other
}

func impatient(o *redis.Options) {
	o.ReadTimeout, o.WriteTimeout, o.DialTimeout = time.Second, time.Second, time.Second
	o.ContextTimeoutEnabled = true
}

var apps atomic.Int64

// appOf names an app after a test, and no other one so: a test may run again.
func appOf(t testing.TB) string {
	return strings.ReplaceAll(t.Name(), "/", ".") + "." + strconv.FormatInt(apps.Add(1), 10)
}

// quick are options under which what takes seconds takes milliseconds. The
// lease is long nevertheless: on a busy machine a short one may end.
func (f *fleet) quick() shoal.Opts {
	return shoal.Opts{
		App: f.app, Interval: 10 * time.Millisecond, RefreshPeriod: 100 * time.Millisecond,
		LeaseDuration: 10 * time.Second, Host: "h", OnError: func(error) {},
	}
}

// join connects a registry to the app as one more process, and closes it with
// the test.
func (f *fleet) join(t testing.TB, reg *shoal.Registry, change ...func(*shoal.Opts)) *shoal.Registry {
	t.Helper()
	opts := f.quick()
	for _, c := range change {
		c(&opts)
	}
	if err := reg.Connect(f.connect(t), opts); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := reg.Close(ctx); err != nil && !t.Failed() {
			t.Errorf("closing: %v", err)
		}
	})
	return reg
}

// process returns a new registry that joined the app.
func (f *fleet) process(t testing.TB, change ...func(*shoal.Opts)) *shoal.Registry {
	t.Helper()
	return f.join(t, shoal.New(), change...)
}

// reader returns a registry that only reads, and so takes no index.
func (f *fleet) reader(t testing.TB) *shoal.Registry {
	t.Helper()
	return f.process(t, func(o *shoal.Opts) { o.ReadOnly = true })
}

// mortal returns a process and a way to make it die without Close: it can't reach Redis any more.
// Its goroutines end with the test.
func (f *fleet) mortal(t testing.TB, change ...func(*shoal.Opts)) (reg *shoal.Registry, die func()) {
	t.Helper()
	opts := f.quick()
	for _, c := range change {
		c(&opts)
	}
	client := f.connect(t)
	reg = shoal.New()
	if err := reg.Connect(client, opts); err != nil {
		t.Fatal(err)
	}
	die = sync.OnceFunc(func() {
		_ = client.Close()
		ctx, cancel := context.WithTimeout(context.Background(), time.Nanosecond)
		defer cancel()
		_ = reg.Close(ctx) // nothing gets through
	})
	t.Cleanup(die)
	return reg, die
}

// flush flushes registries and fails the test if that fails.
func flush(t testing.TB, regs ...*shoal.Registry) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for _, reg := range regs {
		if err := reg.Flush(ctx); err != nil {
			t.Fatal(err)
		}
	}
}

// closeAll closes registries and fails the test if that fails.
func closeAll(t testing.TB, regs ...*shoal.Registry) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for _, reg := range regs {
		if err := reg.Close(ctx); err != nil {
			t.Fatal(err)
		}
	}
}

// within bounds a call that should not take long.
func within(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

// eventually polls until check returns nil.
func eventually(t testing.TB, check func() error) {
	t.Helper()
	deadline := time.After(patience)
	for {
		err := check()
		if err == nil {
			return
		}
		select {
		case <-deadline:
			t.Fatalf("still after %v: %v", patience, err)
		case <-time.After(3 * time.Millisecond):
		}
	}
}

// eventuallyPage polls a process's page until check returns nil. A page that
// can't be read is tried again.
func eventuallyPage(t testing.TB, reg *shoal.Registry, check func(page) error) {
	t.Helper()
	eventually(t, func() error {
		p, err := tryScrape(reg)
		if err != nil {
			return err
		}
		return check(p)
	})
}

// passes waits until the server's clock has moved on by d.
func passes(t testing.TB, client redis.UniversalClient, d time.Duration) {
	t.Helper()
	begin, err := client.Time(t.Context()).Result()
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, func() error {
		now, err := client.Time(t.Context()).Result()
		if err == nil && now.Sub(begin) < d {
			err = errors.New("it is too early")
		}
		return err
	})
}

// dump describes every key of a server, to compare two moments.
func dump(t testing.TB, client redis.UniversalClient) map[string]string {
	t.Helper()
	ctx := t.Context()
	keys, err := client.Keys(ctx, "*").Result()
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[string]string, len(keys))
	for _, key := range keys {
		var text string
		switch kind := client.Type(ctx, key).Val(); kind {
		case "hash":
			text = fmt.Sprint(client.HGetAll(ctx, key).Val())
		case "zset":
			text = fmt.Sprint(client.ZRangeWithScores(ctx, key, 0, -1).Val())
		default:
			text = kind
		}
		all[key] = text
	}
	return all
}

// sameDump fails the test where two dumps differ.
func sameDump(t testing.TB, before, after map[string]string) {
	t.Helper()
	for key, text := range after {
		if old, ok := before[key]; !ok {
			t.Errorf("the key %q is new: %s", key, text)
		} else if old != text {
			t.Errorf("the key %q changed from %s to %s", key, old, text)
		}
	}
	for key := range before {
		if _, ok := after[key]; !ok {
			t.Errorf("the key %q is gone", key)
		}
	}
}

// owns says whether a key is the app's.
func (f *fleet) owns(key string) bool {
	return strings.HasPrefix(key, "shoal:1:{"+f.app+"/") || strings.HasPrefix(key, "shoal:1:{"+f.app+"}")
}

// shortly bounds a call that is not expected to succeed.
func shortly(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
	t.Cleanup(cancel)
	return ctx
}
