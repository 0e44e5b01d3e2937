// SPDX-License-Identifier: Apache-2.0

package behaviour_test

import (
	"context"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	shoal "github.com/shoal-metrics/shoal/core"

	"github.com/shoal-metrics/shoal/core/tests/redistest"
	"github.com/shoal-metrics/shoal/core/tests/testkit"
)

// fleet is one app on one Redis. Each registry that joins it stands for a process.
type fleet struct {
	app     string
	url     string
	connect func(t testing.TB) redis.UniversalClient
	redis   redis.UniversalClient // the test's own client
}

// newFleet returns an app of the test's own on the package's server, or on its Cluster for
// tests inside [TestCluster_BehavesAsOneServerDoes].
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
		app: appOf(t), url: s.URL(), redis: s.Client(t, patient),
		connect: func(t testing.TB) redis.UniversalClient { return s.Client(t, impatient) },
	}
}

// fleetOnCluster is fleetOn for a Cluster.
func fleetOnCluster(t testing.TB, c *redistest.Cluster) *fleet {
	t.Helper()
	change := func(o *redis.ClusterOptions) {
		o.ReadTimeout, o.WriteTimeout, o.DialTimeout = time.Second, time.Second, time.Second
		o.ContextTimeoutEnabled = true
	}
	return &fleet{
		app: appOf(t), url: c.URL(), redis: c.Client(t),
		connect: func(t testing.TB) redis.UniversalClient { return c.Client(t, change) },
	}
}

// fleetAt returns an app of the test's own whose processes are opened by a URL alone.
func fleetAt(t testing.TB, url string) *fleet { return &fleet{app: appOf(t), url: url} }

// on returns the same app on another server.
func (f *fleet) on(t testing.TB, s *redistest.Server) *fleet {
	t.Helper()
	other := fleetOn(t, s)
	other.app = f.app
	return other
}

// with returns the same app, whose processes connect with clients of another kind.
func (f *fleet) with(connect func(t testing.TB) redis.UniversalClient) *fleet {
	other := *f
	other.connect = connect
	return &other
}

// impatient sets short timeouts, for clients of servers that will be frozen.
func impatient(o *redis.Options) {
	o.ReadTimeout, o.WriteTimeout, o.DialTimeout = time.Second, time.Second, time.Second
	o.ContextTimeoutEnabled = true
}

// patient sets a long timeout, for calls that take long on a busy machine.
func patient(o *redis.Options) { o.ReadTimeout = testkit.Patience }

// asUser makes a client log in.
func asUser(name, password string) func(*redis.Options) {
	return func(o *redis.Options) { o.Username, o.Password = name, password }
}

var apps atomic.Int64

// appOf names an app after a test. Each name is unique, since a test may run again.
func appOf(t testing.TB) string {
	return strings.ReplaceAll(t.Name(), "/", ".") + "." + strconv.FormatInt(apps.Add(1), 10)
}

// key is the name of one of the app's keys; rest follows the app's name in it.
func (f *fleet) key(rest string) string { return "shoal:1:{" + f.app + rest }

// family is the name of one of a family's keys: part is "v" or "ctl".
func (f *fleet) family(name, part string) string { return f.key("/" + name + "}:" + part) }

// quick are options by which flushes and refreshes take milliseconds, not seconds. The
// lease is long nevertheless: on a busy machine a short one may expire.
func (f *fleet) quick(change ...func(*shoal.Opts)) shoal.Opts {
	opts := shoal.Opts{
		App: f.app, Interval: 10 * time.Millisecond, RefreshPeriod: 100 * time.Millisecond,
		LeaseDuration: 10 * time.Second, Host: "h", OnError: func(error) {},
	}
	for _, c := range change {
		c(&opts)
	}
	return opts
}

func readOnly(o *shoal.Opts) { o.ReadOnly = true }

func lease(d time.Duration) func(*shoal.Opts) {
	return func(o *shoal.Opts) { o.LeaseDuration = d }
}

// hearing collects what OnError gets, logging what shoal logs when OnError is not set.
func hearing(h *testkit.Heard) func(*shoal.Opts) {
	return func(o *shoal.Opts) { o.OnError = h.Error }
}

func logging(h *testkit.Heard) func(*shoal.Opts) {
	return func(o *shoal.Opts) { o.OnError, o.Logger = nil, slog.New(slog.NewTextHandler(h, nil)) }
}

// join connects a registry to the app as one more process, and closes it with
// the test.
func (f *fleet) join(t testing.TB, reg *shoal.Registry, change ...func(*shoal.Opts)) *shoal.Registry {
	t.Helper()
	testkit.Must(t, reg.Connect(f.connect(t), f.quick(change...)))
	t.Cleanup(func() {
		if err := reg.Close(testkit.Within(t)); err != nil && !t.Failed() {
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

// processes returns n of them.
func (f *fleet) processes(t testing.TB, n int, change ...func(*shoal.Opts)) []*shoal.Registry {
	t.Helper()
	regs := make([]*shoal.Registry, n)
	for i := range regs {
		regs[i] = f.process(t, change...)
	}
	return regs
}

// reader returns a registry that only reads, and so takes no index.
func (f *fleet) reader(t testing.TB, change ...func(*shoal.Opts)) *shoal.Registry {
	t.Helper()
	return f.process(t, append(change, readOnly)...)
}

// opened returns a process that is opened by the app's URL, and loose one that is
// connected. If the test does not close them, their Close may fail.
func (f *fleet) opened(t testing.TB, change ...func(*shoal.Opts)) *shoal.Registry {
	t.Helper()
	reg := shoal.New()
	testkit.Must(t, reg.Open(f.url, f.quick(change...)))
	t.Cleanup(func() { _ = reg.Close(gone()) })
	return reg
}

func (f *fleet) loose(t testing.TB, change ...func(*shoal.Opts)) *shoal.Registry {
	t.Helper()
	reg := shoal.New()
	testkit.Must(t, reg.Connect(f.connect(t), f.quick(change...)))
	t.Cleanup(func() { _ = reg.Close(gone()) })
	return reg
}

// gone returns a context that has ended.
func gone() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

// mortal returns a process and a function that makes it die without Close: it can't reach Redis any
// more. Its goroutines end with the test.
func (f *fleet) mortal(t testing.TB, change ...func(*shoal.Opts)) (reg *shoal.Registry, die func()) {
	t.Helper()
	client := f.connect(t)
	reg = f.with(func(testing.TB) redis.UniversalClient { return client }).loose(t, change...)
	return reg, sync.OnceFunc(func() {
		_ = client.Close()
		_ = reg.Close(gone())
	})
}

// flush flushes registries and fails the test if that fails.
func flush(t testing.TB, regs ...*shoal.Registry) {
	t.Helper()
	for _, reg := range regs {
		testkit.Must(t, reg.Flush(testkit.Within(t)))
	}
}

// closeAll closes registries and fails the test if that fails.
func closeAll(t testing.TB, regs ...*shoal.Registry) {
	t.Helper()
	for _, reg := range regs {
		testkit.Must(t, reg.Close(testkit.Within(t)))
	}
}

// configure changes a setting of a server.
func configure(t testing.TB, s *redistest.Server, name, value string, change ...func(*redis.Options)) {
	t.Helper()
	testkit.Must(t, s.Client(t, change...).ConfigSet(t.Context(), name, value).Err())
}

// setUser makes a user of Redis, or changes one.
func setUser(t testing.TB, client redis.UniversalClient, name string, rules ...string) {
	t.Helper()
	args := []any{"ACL", "SETUSER", name}
	for _, rule := range rules {
		args = append(args, rule)
	}
	testkit.Must(t, client.Do(t.Context(), args...).Err())
}
