// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"errors"
	"fmt"
	"sync"
	"time"

	dto "github.com/prometheus/client_model/go"
)

// Import adds what another client counted: the counters, histograms and summaries of families are
// what to add, the gauges (and untyped metrics, which become gauges) are set, per process. It is
// for what is told once. For what is told again and again there are [Registry.AddSource] and
// [Registry.NewImporter]. What it takes and refuses is told at [Importer.Import].
func (r *Registry) Import(families []*dto.MetricFamily) error {
	return r.NewImporter(ImporterOpts{}).Import(families)
}

// ImporterOpts are the settings of an [Importer]. All may be left out.
type ImporterOpts struct {
	// Mode returns the mode of a family of gauges (untyped ones included), by its name. A
	// [Total] is refused, since what is imported is set. Defaults to PerProcess for all.
	Mode func(family string) Mode
}

// Importer brings the metrics of another client into a registry, again and again, for a program
// that is told them; [Registry.AddSource] is for one that asks. Its methods are safe for concurrent
// use. Mode and Opts.OnError are called during an import, and must not call the importer.
type Importer struct {
	reg        *Registry
	mode       func(family string) Mode
	cumulative bool // counters, histograms and summaries are given as totals

	mu       sync.Mutex                 // no I/O is done under it
	families map[string]*importedFamily // guarded by mu
	closed   bool                       // guarded by mu
	round    uint64                     // the number of the call; guarded by mu
	read     int64                      // when the reading before this one was made, in Unix nanoseconds; guarded by mu
	values   []string                   // of the series at hand; guarded by mu
	counts   []uint64                   // of the series at hand; guarded by mu
}

// NewImporter returns an importer.
func (r *Registry) NewImporter(o ImporterOpts) *Importer {
	return r.newImporter(o.Mode, false)
}

func (r *Registry) newImporter(mode func(string) Mode, cumulative bool) *Importer {
	if mode == nil {
		mode = func(string) Mode { return PerProcess }
	}
	return &Importer{reg: r, mode: mode, cumulative: cumulative, families: map[string]*importedFamily{}}
}

// Import adds the counters, histograms and summaries of families, which are what was counted
// since the last call, and sets the gauges and untyped metrics, which are all there are: a gauge
// that an earlier call gave and this one does not is deleted. It touches only memory, also before
// Connect or Open; what it added reaches Redis exactly once, with the next flush.
//
// A family brings its type, help and bounds, and each series its label names: they may differ
// within a family. The bounds are those of all series with which the family comes first; what is
// later given by other bounds is counted at the next larger one. Of a summary count and sum are
// taken, of a native histogram the classic part: without classic buckets it has one, +Inf. A
// histogram is added at once: no page shows a part of it. Exemplars and timestamps are not taken.
//
// What is refused is in the error, and leaves the rest alone: a family whose name the program
// declared, or that came with another type before; names that are none; histograms of floats,
// gauge histograms, and those whose buckets contradict each other. For values, label values and
// the cap of series the rules are those of any other write, and what was dropped or repaired is
// counted in shoal_rejected_observations_total. After Close the error wraps [ErrClosed], on a
// read-only registry [ErrReadOnly].
//
// The importer neither keeps nor changes families.
func (i *Importer) Import(families []*dto.MetricFamily) error {
	return i.importAll(families, time.Now(), true)
}

// Close ends the importer and deletes the gauges that it has set, unless their mode is Latest. What
// it counted stays.
func (i *Importer) Close() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.round++
	i.forgetGone(true)
	i.closed = true
}

// reopen undoes Close.
func (i *Importer) reopen(mode func(family string) Mode) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.closed, i.mode = false, mode
}

// importAll imports families, which were read at the time read or later. whole says that they are
// all there are.
func (i *Importer) importAll(families []*dto.MetricFamily, read time.Time, whole bool) error {
	if _, err := i.reg.writing(); err != nil && !errors.Is(err, ErrNotConnected) {
		return fmt.Errorf("shoal: import: %w", err)
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.closed {
		return fmt.Errorf("shoal: import: the importer is closed: %w", ErrClosed)
	}
	i.round++
	var errs []error
	for _, family := range families {
		if err := i.importFamily(family); err != nil {
			errs = append(errs, fmt.Errorf("shoal: import of %s %q: %w", typeName(family), family.GetName(), err))
		}
	}
	if whole {
		i.forgetGone(false)
	}
	i.read = read.UnixNano()
	return errors.Join(errs...)
}

// importFamily imports one family. The caller holds mu.
func (i *Importer) importFamily(family *dto.MetricFamily) error {
	f, err := i.family(family)
	if err != nil {
		return err
	}
	f.begin(i.round)
	var first error
	others := -1
	for _, metric := range family.GetMetric() {
		if err := f.importMetric(metric); err != nil {
			if others++; others == 0 {
				first = err
			}
		}
	}
	if others > 0 {
		return fmt.Errorf("%w (and %d more of its series)", first, others)
	}
	return first
}

// forgetGone deletes the gauges that this call has not given, and lets the counters go that it has
// not given. closing says that there will be no other call. The caller holds mu.
func (i *Importer) forgetGone(closing bool) {
	for _, f := range i.families {
		f.begin(i.round)
		if f.given < f.entries.Len() {
			f.forgetGone(closing)
		}
	}
}

// typeName is the type of a family in an error.
func typeName(family *dto.MetricFamily) string {
	if kind := kindOf(family.GetType()); kind != "" {
		return kind
	}
	return "a metric"
}
