// SPDX-License-Identifier: Apache-2.0

package behaviour_test

import (
	"strings"
	"testing"

	shoal "github.com/shoal-metrics/shoal/core"

	"github.com/shoal-metrics/shoal/core/tests/redistest"
	"github.com/shoal-metrics/shoal/core/tests/testkit"
)

func TestOpen_ConnectsByURLAndClosesWhatItMade(t *testing.T) {
	t.Parallel()
	s := redistest.Shared(t)
	f := newFleet(t)
	for _, url := range []string{s.URL(), "redis://" + s.Addr, "redis://" + s.Addr + "/0?read_timeout=2s&client_name=shoaltest"} {
		f.url = url
		reg := f.opened(t)
		reg.NewCounter(shoal.CounterOpts{Name: "jobs_total"}).Inc()
		closeAll(t, reg)
	}
	testkit.Scrape(t, f.reader(t)).Want(t, "jobs_total", "3")
	if clients := f.redis.ClientList(t.Context()).Val(); strings.Contains(clients, "name=shoaltest") {
		t.Errorf("a connection is left:\n%s", clients)
	}
}

func TestOpen_TheDatabaseOfTheURLIsUsed(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	f := fleetOn(t, s)
	f.url = "redis://" + s.Addr + "/5"
	reg := f.opened(t)
	reg.NewCounter(shoal.CounterOpts{Name: "jobs_total"}).Inc()
	closeAll(t, reg)
	if n := f.redis.DBSize(t.Context()).Val(); n != 0 {
		t.Errorf("%d keys in the database 0", n)
	}
}
