// SPDX-License-Identifier: Apache-2.0

package behaviour_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	shoal "github.com/shoal-metrics/shoal/core"

	"github.com/shoal-metrics/shoal/core/tests/testkit"
)

// version is what one version of an application declares.
type version []declared

// declared is one metric of a version.
type declared struct {
	Kind, Name, Help, Mode string
	Labels                 []string
	Buckets                []float64
}

// declare declares the metric and returns how to write to it: a counter and a
// Total gauge add, another gauge sets, the others observe.
func (d declared) declare(reg *shoal.Registry) func(v float64, values ...string) {
	switch d.Kind {
	case "counter":
		m := reg.NewCounterVec(shoal.CounterOpts{Name: d.Name, Help: d.Help}, d.Labels)
		return func(v float64, values ...string) { m.WithLabelValues(values...).Add(v) }
	case "gauge":
		m := reg.NewGaugeVec(shoal.GaugeOpts{Name: d.Name, Help: d.Help, Mode: shoal.Mode(d.Mode)}, d.Labels)
		if d.Mode == string(shoal.Total) {
			return func(v float64, values ...string) { m.WithLabelValues(values...).Add(v) }
		}
		return func(v float64, values ...string) { m.WithLabelValues(values...).Set(v) }
	case "summary":
		m := reg.NewSummaryVec(shoal.SummaryOpts{Name: d.Name, Help: d.Help}, d.Labels)
		return func(v float64, values ...string) { m.WithLabelValues(values...).Observe(v) }
	}
	m := reg.NewHistogramVec(shoal.HistogramOpts{Name: d.Name, Help: d.Help, Buckets: d.Buckets}, d.Labels)
	return func(v float64, values ...string) { m.WithLabelValues(values...).Observe(v) }
}

// labelled returns the value w for each of the metric's labels.
func (d declared) labelled() []string {
	values := make([]string, len(d.Labels))
	for i := range values {
		values[i] = "w"
	}
	return values
}

// observed are the values that a working process observes, one in each round.
var observed = []float64{0.0625, 1.5, 3, 6, 12, 100}

// versionApp is the application of one version, in a child process. It serves
// its page, and works when told to: each round adds 1 to every counter and
// observes the round's value in every histogram and summary.
type versionApp struct {
	reg    *shoal.Registry
	rounds int // written by the working goroutine, read after its end
	round  []func(n int)
	work   sync.WaitGroup
	stop   chan struct{}
	server *http.Server
}

func newVersionApp(reg *shoal.Registry, v version) *versionApp {
	a := &versionApp{reg: reg}
	for _, d := range v {
		write, values := d.declare(reg), d.labelled()
		a.round = append(a.round, func(n int) {
			switch d.Kind {
			case "counter":
				write(1, values...)
			case "gauge":
				write(float64(n), values...)
			default:
				write(observed[n%len(observed)], values...)
			}
		})
	}
	return a
}

func (a *versionApp) do(word, _ string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), testkit.Patience)
	defer cancel()
	switch word {
	case "serve": // returns the address
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return "", err
		}
		a.server = &http.Server{Handler: a.reg.Handler(shoal.HandlerOpts{}), ReadHeaderTimeout: testkit.Patience}
		go func() { _ = a.server.Serve(l) }()
		return "http://" + l.Addr().String() + "/metrics", nil
	case "work":
		a.stop = make(chan struct{})
		a.work.Go(func() {
			for {
				select {
				case <-a.stop:
					return
				case <-time.After(200 * time.Microsecond):
					for _, write := range a.round {
						write(a.rounds)
					}
					a.rounds++
				}
			}
		})
		return "ok", nil
	case "rest": // returns the number of rounds since the start
		close(a.stop)
		a.work.Wait()
		return strconv.Itoa(a.rounds), clashless(a.reg.Flush(ctx))
	case "close":
		return "ok", clashless(a.reg.Close(ctx))
	}
	return "", fmt.Errorf("unknown word %q", word)
}

// clashless ignores the error that Redis has another type under a metric's name.
func clashless(err error) error {
	var clash *shoal.TypeClashError
	if errors.As(err, &clash) {
		return nil
	}
	return err
}
