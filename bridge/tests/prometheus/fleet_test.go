// SPDX-License-Identifier: Apache-2.0

package prometheus_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	shoal "github.com/shoal-metrics/shoal/core"

	"github.com/shoal-metrics/shoal/core/tests/testkit"
)

// fleet is an application of several processes, and a registry that only reads its page.
type fleet struct {
	t      *testing.T
	url    string
	app    string
	dir    string
	page   *shoal.Registry
	living []*child
	ended  []*child
}

func startFleet(t *testing.T, url string, processes int, change ...func(*childConfig)) *fleet {
	t.Helper()
	dir := t.TempDir()
	// The parent of temporary directories has the name of the test and a number of its own.
	f := &fleet{t: t, url: url, app: filepath.Base(filepath.Dir(dir)), dir: dir, page: shoal.New()}
	testkit.Must(t, f.page.Open(url, shoal.Opts{App: f.app, ReadOnly: true, LeaseDuration: 3 * time.Second, OnError: func(error) {}}))
	t.Cleanup(func() { testkit.Check(t, f.page.Close(context.Background())) })
	for i := range processes {
		f.start(strconv.Itoa(i), change...)
	}
	return f
}

// child is a process that the test started.
type child struct {
	*testkit.Child
	t      *testing.T
	name   string
	ledger string

	// Of the orders that it took: how many the page has at least, in all metrics and in
	// orders_total, and how many it can have at most. All are equal if the process closed.
	delivered, shown, counted int
}

// start starts a process whose worker has this name.
func (f *fleet) start(name string, change ...func(*childConfig)) {
	f.t.Helper()
	c := &child{t: f.t, name: name, ledger: filepath.Join(f.dir, name)}
	config := childConfig{URL: f.url, App: f.app, Worker: name, Ledger: c.ledger, Period: 50 * time.Millisecond}
	for _, ch := range change {
		ch(&config)
	}
	c.Child = testkit.StartChild(f.t, childEnv, config)
	f.living = append(f.living, c)
}

// tell sends the process a command and returns how many of its orders are delivered for sure.
func (c *child) tell(command string) int {
	c.t.Helper()
	delivered, err := strconv.Atoi(c.Tell(command))
	testkit.Must(c.t, err)
	return delivered
}

// orders reads the ledger: how many orders the process has taken at most.
func (c *child) orders() int {
	c.t.Helper()
	b, err := os.ReadFile(c.ledger)
	if err != nil || len(b) < 8 {
		return 0 // it has not begun
	}
	return int(binary.BigEndian.Uint64(b))
}

// works waits until every living process has taken some more orders, and the page has those that
// it had taken before: with the next period, since nobody flushes.
func (f *fleet) works() {
	f.t.Helper()
	for _, c := range f.living {
		begin := c.orders()
		testkit.Eventually(f.t, func() error {
			if now := c.orders(); now < begin+50 {
				return fmt.Errorf("worker %s took %d orders, then %d", c.name, begin, now)
			}
			return nil
		})
	}
	want := map[string]int{}
	for _, c := range f.living {
		want[c.name] = c.orders() - 1 // the last one may be under way
	}
	testkit.EventuallyPage(f.t, f.page, func(p testkit.Page) error {
		for _, c := range f.living {
			if got, _ := p.Value(ordersOf(c.name)); int(got) < want[c.name] {
				return fmt.Errorf("the page has %v orders of worker %s, want %d", got, c.name, want[c.name])
			}
		}
		return nil
	})
	for _, c := range f.living {
		c.shown = want[c.name]
	}
}

func ordersOf(worker string) string { return fmt.Sprintf("orders_total{worker=%q}", worker) }

// deliver makes the first n processes deliver what they have counted.
func (f *fleet) deliver(n int) {
	f.t.Helper()
	for _, c := range f.living[:n] {
		c.delivered = c.tell("flush")
		c.shown = max(c.shown, c.delivered)
	}
}

// kill kills the first n processes by kill -9.
func (f *fleet) kill(n int) {
	f.t.Helper()
	for _, c := range f.living[:n] {
		c.Kill()
		c.counted = c.orders()
	}
	f.ended, f.living = append(f.ended, f.living[:n]...), f.living[n:]
}

// replace starts a successor of each of the last n processes that ended.
func (f *fleet) replace(n int) {
	f.t.Helper()
	for _, c := range f.ended[len(f.ended)-n:] {
		f.start(c.name + "i")
	}
}

// close closes all processes in order, which delivers all they counted.
func (f *fleet) close() {
	f.t.Helper()
	for _, c := range f.living {
		c.counted = c.tell("close")
		c.delivered, c.shown = c.counted, c.counted
		c.End()
	}
	f.ended, f.living = append(f.ended, f.living...), nil
}
