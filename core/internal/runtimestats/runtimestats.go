// SPDX-License-Identifier: Apache-2.0

// Package runtimestats reads what Go's runtime and the operating system know of this
// process. Names and types are those of client_golang's collectors.
package runtimestats

import (
	"math"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

// Stat describes one number.
type Stat struct {
	Name, Help string
	// Total says that the number has only grown since the process began. It is a gauge
	// otherwise.
	Total bool
}

// Reader reads all numbers of this process at once. It is for one goroutine at a time.
type Reader struct {
	stats   []Stat
	samples []metrics.Sample // one for each name in the table of the runtime
	terms   [][]int          // for each number of the runtime: the samples that add up to it
	gc      debug.GCStats
	process *process // nil where the operating system tells nothing
}

// New returns a reader for what this system offers.
func New() *Reader {
	r := &Reader{}
	index := map[string]int{}
	for _, row := range runtimeTable {
		r.stats = append(r.stats, row.Stat)
		var terms []int
		for _, name := range row.of {
			i, ok := index[name]
			if !ok {
				i = len(r.samples)
				index[name] = i
				r.samples = append(r.samples, metrics.Sample{Name: name})
			}
			terms = append(terms, i)
		}
		r.terms = append(r.terms, terms)
	}
	r.stats = append(r.stats, others...)
	if r.process = openProcess(); r.process != nil {
		r.stats = append(r.stats, processTable...)
	}
	return r
}

// Stats lists the numbers, in the order of Read. It is always the same.
func (r *Reader) Stats() []Stat { return r.stats }

// Read reads the numbers into values, which has one for each of Stats. What cannot be read
// now is NaN.
func (r *Reader) Read(values []float64) {
	metrics.Read(r.samples)
	for i, terms := range r.terms {
		values[i] = 0
		for _, t := range terms {
			values[i] += number(r.samples[t].Value)
		}
	}
	values = values[len(r.terms):]
	debug.ReadGCStats(&r.gc) // unlike runtime.ReadMemStats it does not stop the world
	values[0] = float64(runtime.NumGoroutine())
	values[1] = float64(r.gc.LastGC.UnixNano()) / 1e9
	if r.process != nil {
		r.process.read(values[len(others):])
	}
}

// Pauses returns, as of the last Read, how many garbage collections there were since the
// process began, and for how long they stopped it.
func (r *Reader) Pauses() (n uint64, seconds float64) {
	return uint64(r.gc.NumGC), r.gc.PauseTotal.Seconds()
}

// number is the value of a sample; NaN for one that this version of Go does not have.
func number(v metrics.Value) float64 {
	switch v.Kind() {
	case metrics.KindUint64:
		return float64(v.Uint64())
	case metrics.KindFloat64:
		return v.Float64()
	}
	return math.NaN()
}
