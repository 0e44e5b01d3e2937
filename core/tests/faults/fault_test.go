// SPDX-License-Identifier: Apache-2.0

package faults_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/shoal-metrics/shoal/core/tests/redistest"
	"github.com/shoal-metrics/shoal/core/tests/testkit"
)

// fault is something that happens to a single server, or to the network to it,
// and what is expected meanwhile and afterwards. Its texts make a row of
// docs/faults.md.
type fault struct {
	name   string // of the subtest
	event  string
	scrape string
	totals string

	args         []string // of the server
	user         bool     // the application logs in as the user shop
	viaToxiproxy bool     // the application connects through a toxiproxy
	// begin returns once the fault has begun.
	begin func(t *testing.T, r *fixture)
	// says is the reason of the 503 that scrapes get meanwhile. If it is empty they
	// get pages.
	says string
	// either means that a scrape may get a page or a 503.
	either bool
	// waits means that awaited adds get no answer meanwhile, though scrapes get pages.
	waits bool
	// meanwhile makes further checks during the fault.
	meanwhile func(t *testing.T, r *fixture, mark int)
	end       func(t *testing.T, r *fixture)
	// wiped means that Redis loses its data. The application rests before the fault:
	// the page then shows exactly what it counts afterwards.
	wiped bool
	// once means that TestChaos leaves it out: it needs a server of its own.
	once bool
	// after checks the page at the end.
	after func(testkit.Page) error
}

// fixture is an application on a single server.
type fixture struct {
	server  *redistest.Server
	network *network // nil if the application connects directly
	admin   *redis.Client
	app     *app
	undo    func() // set by begin, called by end
}

func (f *fault) run(t *testing.T) {
	t.Parallel()
	r := &fixture{server: redistest.Start(t, f.args...)}
	r.admin = r.server.Client(t)
	url := r.server.URL()
	switch {
	case f.user:
		testkit.Must(t, r.admin.Do(t.Context(), "ACL", "SETUSER", "shop", "on", ">secret", "~*", "+@all").Err())
		url = "redis://shop:secret@" + r.server.Addr
	case f.viaToxiproxy:
		r.network = startNetwork(t, r.server.Addr)
		url = "redis://" + r.network.addr()
	}
	r.app = startApp(t, url)
	since := tally{}
	if f.wiped {
		r.app.rest()
		r.app.flush(t)
		since = r.app.counted()
	}
	f.begin(t, r)
	if f.wiped {
		r.app.watch.forgive()
		r.app.load(t)
	}
	mark, before := r.app.watch.mark(), r.app.counted()
	switch {
	case f.says != "":
		r.app.watch.says(t, mark, f.says)
	case f.either:
	default:
		r.app.watch.shows(t, mark, 6)
	}
	if f.meanwhile != nil {
		f.meanwhile(t, r, mark)
	}
	waits := f.waiting()
	here := r.app.counted() // the fault has begun for all processes
	testkit.Eventually(t, func() error {
		n := r.app.counted()
		if n.less(before).events < 100 || n.less(here).tried == 0 {
			return errors.New("requests don't go on")
		}
		if !waits && !f.either && n.less(before).acked == 0 {
			return errors.New("no awaited add is confirmed")
		}
		return nil
	})
	if n := r.app.counted().less(here).acked; n > 0 && waits && f.end != nil {
		t.Errorf("%d awaited adds were confirmed meanwhile", n)
	}
	if f.end != nil {
		f.end(t, r)
	}
	r.app.more(t, 30)
	r.app.exact(t, since)
	r.app.unnoticed(t)
	if f.wiped {
		r.app.watch.valid(t)
	} else {
		r.app.watch.eventually(t, r.app.watch.mark(), idle)
		r.app.watch.neverFell(t)
	}
	if f.after != nil {
		r.app.watch.eventually(t, r.app.watch.mark(), f.after)
	}
	r.app.watch.end()
	r.app.close(t)
}

// waiting says whether awaited adds get no answer during the fault.
func (f *fault) waiting() bool { return f.waits || f.says != "" && !f.either }

// positive returns an error unless a sample is above 0.
func positive(series string) func(testkit.Page) error {
	return func(p testkit.Page) error {
		if v, ok := p.Value(series); !ok || v <= 0 {
			return fmt.Errorf("%s is %v (shown: %v)", series, v, ok)
		}
		return nil
	}
}

// key is the name of a key of a family.
func (r *fixture) key(family, part string) string {
	return "shoal:1:{" + r.app.name + "/" + family + "}:" + part
}

// set changes a setting of the server.
func (r *fixture) set(t *testing.T, name, value string) {
	t.Helper()
	testkit.Must(t, r.admin.ConfigSet(t.Context(), name, value).Err())
}

// hangUp has the server close the application's connections.
func (r *fixture) hangUp(t *testing.T) {
	t.Helper()
	testkit.Must(t, r.admin.Do(t.Context(), "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes").Err())
}
