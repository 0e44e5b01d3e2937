// SPDX-License-Identifier: Apache-2.0

package prometheus_test

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	shoalprom "github.com/shoal-metrics/shoal/bridge/prometheus"
	shoal "github.com/shoal-metrics/shoal/core"

	"github.com/shoal-metrics/shoal/core/tests/testkit"
)

// childEnv holds the [childConfig] of a child process.
const childEnv = "SHOAL_BRIDGE_CHILD"

// childConfig is what a child process is started with.
type childConfig struct {
	URL, App string
	Worker   string // its name
	Ledger   string // the file in which it writes how many orders it took
	Orders   int    // after which it rests; 0 for no end
	Period   time.Duration
}

// The one line that the program got, and the modes of its gauges.
func bridge(reg *shoal.Registry, period time.Duration) error {
	_, err := shoalprom.Bridge(reg, prometheus.DefaultGatherer, shoalprom.Opts{
		Period: period,
		Modes:  map[string]shoal.Mode{"orders_open": shoal.Sum, "worth_peak": shoal.Max},
	})
	return err
}

// childMain is a whole process of an app: it takes orders, and executes each line that it reads as a
// command, which it answers with a line.
func childMain(config string, in io.Reader, out io.Writer) int {
	var c childConfig
	if err := json.Unmarshal([]byte(config), &c); err != nil {
		_, _ = fmt.Fprintln(out, err)
		return 2
	}
	reg := shoal.New()
	err := reg.Open(c.URL, shoal.Opts{
		App: c.App, Interval: 20 * time.Millisecond, LeaseDuration: 3 * time.Second, Host: "h",
		OnError: func(err error) { fmt.Fprintln(os.Stderr, err) },
	})
	if err == nil {
		err = bridge(reg, c.Period)
	}
	ledger, ledgerErr := os.Create(c.Ledger)
	if err != nil || ledgerErr != nil {
		_, _ = fmt.Fprintln(out, err, ledgerErr)
		return 2
	}
	w := &worker{reg: reg, program: newProgram(prometheus.DefaultRegisterer), name: c.Worker, ledger: ledger, stop: make(chan struct{})}
	w.working.Go(func() { w.work(c.Orders) })
	testkit.Obey(in, out, w.do)
	return 0
}

// worker takes the orders of a child process.
type worker struct {
	reg     *shoal.Registry
	program *program
	name    string
	ledger  *os.File
	stop    chan struct{}
	working sync.WaitGroup

	mu    sync.Mutex
	taken int // orders; guarded by mu
}

// work takes orders, one in a millisecond or two, until it is told to stop or has taken enough. It
// writes each into the ledger before it takes it, so that the ledger has at least what was counted.
func (w *worker) work(enough int) {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for n := 1; enough == 0 || n <= enough; n++ {
		select {
		case <-w.stop:
			return
		case <-tick.C:
		}
		if _, err := w.ledger.WriteAt(binary.BigEndian.AppendUint64(nil, uint64(n)), 0); err != nil {
			panic(err)
		}
		w.program.order(w.name, n)
		w.mu.Lock()
		w.taken = n
		w.mu.Unlock()
	}
}

func (w *worker) orders() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.taken
}

// do executes a command and returns how many orders are delivered for sure.
func (w *worker) do(command string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), testkit.Patience)
	defer cancel()
	var err error
	delivered := 0
	switch command {
	case "flush":
		delivered = w.orders()
		err = w.reg.Flush(ctx)
	case "finish": // all orders of a limited number
		w.working.Wait()
		delivered = w.orders()
		err = w.reg.Flush(ctx)
	case "close":
		close(w.stop)
		w.working.Wait()
		delivered = w.orders()
		err = w.reg.Close(ctx)
	default:
		err = fmt.Errorf("unknown command %q", command)
	}
	return strconv.Itoa(delivered), err
}
