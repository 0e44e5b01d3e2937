// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"context"
	"errors"
	"math"
	"runtime"

	"github.com/shoal-metrics/shoal/core/internal/runtimestats"
)

// RegisterRuntime declares the metrics of Go's runtime and of the process, with the names of
// client_golang's collectors: go_goroutines, go_memstats_heap_inuse_bytes,
// process_resident_memory_bytes and so on; docs/operations.md lists them. Those that begin
// with process_ need a /proc as Linux has it; elsewhere they are missing.
//
// What is a state is a gauge of each process, and goes with it: its gauge_index tells whose
// it is, shoal_instance_info where that one runs. What only grows (processor time, bytes and
// objects allocated) is a counter of the whole app: the sum of what all processes used, also
// of those that have ended. A process adds what it used since its start, also before Connect
// or Open. go_gc_duration_seconds is a summary of all processes, with count and sum; it has no
// quantiles, since those of several processes cannot be joined.
//
// While the registry is connected the values are read as often as gauge functions are called
// (see [Registry.RegisterGaugeFunc]), which takes microseconds and never stops the world. A
// second call changes nothing. One registry of an app in a process is enough: if a process has
// two, both add what it used.
//
// It returns an error if the program declared another metric with one of the names. All
// others are declared and read nevertheless.
func (r *Registry) RegisterRuntime() error {
	reader := runtimestats.New()
	s := &runtimeSource{reg: r, read: reader.Read, pauses: reader.Pauses}
	var errs []error
	for _, stat := range reader.Stats() {
		n := runtimeNumber{}
		var err error
		if stat.Total {
			n.counter, err = r.RegisterCounter(CounterOpts{Name: stat.Name, Help: stat.Help})
		} else {
			n.gauge, err = r.RegisterGauge(GaugeOpts{Name: stat.Name, Help: stat.Help})
		}
		s.numbers, errs = append(s.numbers, n), append(errs, err)
	}
	s.values = make([]float64, len(s.numbers))
	var err error
	s.info, err = r.RegisterGauge(GaugeOpts{
		Name: "go_info", Help: "The version of Go; always 1.", ConstLabels: Labels{"version": runtime.Version()},
	})
	errs = append(errs, err)
	s.paused, err = r.RegisterSummary(SummaryOpts{
		Name: "go_gc_duration_seconds", Help: "For how long garbage collections stopped the world.",
	})
	r.sampled.add(s, 0)
	return errors.Join(append(errs, err)...)
}

// runtimeSource brings the numbers of a runtimestats.Reader to their metrics. A metric is nil if
// the program has another one with its name.
type runtimeSource struct {
	reg     *Registry
	read    func(values []float64)
	pauses  func() (n uint64, seconds float64)
	values  []float64
	numbers []runtimeNumber // parallel to values
	info    *Gauge

	paused        *Summary
	pausesCounted uint64
	pausedCounted float64
}

// runtimeNumber is a number and its metric: a counter or a gauge.
type runtimeNumber struct {
	gauge   *Gauge
	counter *Counter
	counted float64 // what the counter has of it
}

// sample reads all numbers once. A NaN could not be read: its metric keeps its last value.
func (s *runtimeSource) sample(context.Context) {
	s.read(s.values)
	for i, v := range s.values {
		switch n := &s.numbers[i]; {
		case math.IsNaN(v):
		case n.gauge != nil:
			n.gauge.setIfChanged(v)
		case n.counter != nil && v > n.counted:
			n.counter.Add(v - n.counted)
			n.counted = v
		}
	}
	if s.info != nil {
		s.info.setIfChanged(1)
	}
	if n, seconds := s.pauses(); s.paused != nil && n > s.pausesCounted && seconds >= s.pausedCounted {
		s.paused.observeMany(n-s.pausesCounted, seconds-s.pausedCounted)
		s.pausesCounted, s.pausedCounted = n, seconds
	}
}

func (s *runtimeSource) same(other provider) bool {
	_, ok := other.(*runtimeSource)
	return ok
}

func (s *runtimeSource) failed(reason string) { s.reg.functionFailed(reason) }

func (s *runtimeSource) String() string { return "the metrics of Go's runtime" }
