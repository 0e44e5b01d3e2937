// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/shoal-metrics/shoal/core/internal/wire"
)

// Import adds the counters, histograms and summaries of families, which another client has
// counted, and sets the gauges and untyped metrics, as gauges of this process. It is for values
// that the program gets once, such as those of a script that has ended. If they come again and
// again, use [Registry.NewImporter], or [Registry.AddSource], which asks for them. [Importer.Import]
// says what is refused.
func (r *Registry) Import(families []*dto.MetricFamily) error {
	return r.NewImporter(ImporterOpts{}).Import(families)
}

// ImporterOpts are the settings of an [Importer]. All may be left out.
type ImporterOpts struct {
	// Mode returns the mode of a family of gauges (untyped ones included), by its name. A
	// [Total] is refused, since what is imported is set. Defaults to PerProcess for all.
	Mode func(family string) Mode
}

// Importer imports the metrics that another client hands to the program again and again. If the
// registry has to ask for them, use [Registry.AddSource]. The methods of an Importer are safe for
// concurrent use. ImporterOpts.Mode and Opts.OnError are called during an import, and must not call
// Import.
type Importer struct {
	reg        *Registry
	mode       atomic.Pointer[func(family string) Mode]
	cumulative bool // counters, histograms and summaries are given as totals
	asks       bool // it is that of a source
	closed     atomic.Bool

	mu       sync.Mutex                 // no I/O is done under it
	families map[string]*importedFamily // guarded by mu
	round    uint64                     // the number of the call; guarded by mu
	read     int64                      // when this reading was made, in Unix nanoseconds; guarded by mu
	failing  int64                      // when the source began to fail, in Unix nanoseconds; 0 if it does not; guarded by mu
	values   []string                   // of the series at hand; guarded by mu
	counts   []uint64                   // of the series at hand; guarded by mu
	missing  []int                      // which of counts the series at hand does not give itself; guarded by mu
}

// NewImporter returns an importer.
func (r *Registry) NewImporter(o ImporterOpts) *Importer {
	return r.newImporter(o.Mode, false)
}

func (r *Registry) newImporter(mode func(string) Mode, cumulative bool) *Importer {
	if mode == nil {
		mode = func(string) Mode { return PerProcess }
	}
	i := &Importer{reg: r, cumulative: cumulative, families: map[string]*importedFamily{}}
	i.mode.Store(&mode)
	return i
}

// Import adds the counters, histograms and summaries of families, whose values are what was
// counted since the last call. It sets the gauges and untyped metrics, and deletes each gauge that
// an earlier call gave and this one does not. It touches only memory, and may be called before
// Connect or Open. The next flush brings what it added to Redis, exactly once.
//
// The first call that gives a family declares it, with its type, help and bounds: those of all its
// histograms in that call. What later calls give at other bounds is counted at the next larger one.
// The label names may differ between the series of a family. A summary has count and sum. A native
// histogram has its classic buckets, or +Inf alone if there are none. No page shows a part of a
// histogram. Exemplars and timestamps are left out.
//
// The error joins all that was refused; the rest is imported. Refused are a family whose name the
// program declares itself, or that had another type before; names that are not valid; a gauge that
// is given twice; gauge histograms, histograms of floats, and buckets that contradict each other.
// Values, label values and the cap of series are treated as in any other write: what is dropped or
// repaired is counted in shoal_rejected_observations_total. After Close the error wraps
// [ErrClosed], on a read-only registry [ErrReadOnly].
//
// The importer neither keeps nor changes families.
func (i *Importer) Import(families []*dto.MetricFamily) error {
	return i.importAll(families, time.Now(), true)
}

// Close ends the importer and deletes the gauges that it has set, unless their mode is Latest. What
// it added stays. It waits for nothing: an import that is under way deletes them when it ends.
func (i *Importer) Close() {
	i.closed.Store(true)
	i.endIfClosed()
}

// endIfClosed forgets what was given if the importer is closed. Close and each import call it last,
// so the call that holds mu meanwhile does it: OnError, which an import calls, may close the importer.
func (i *Importer) endIfClosed() {
	if i.closed.Load() && i.mu.TryLock() {
		defer i.mu.Unlock()
		i.round++
		i.forgetGone(true, true)
	}
}

// reopen undoes Close. The modes are those of another importer. It waits for no import.
func (i *Importer) reopen(as *Importer) {
	i.mode.Store(as.mode.Load())
	i.closed.Store(false)
}

// importAll imports families, which were read at the time read or later. whole says that they are
// all there are. If a source was removed during a call, what it counted is imported all the same:
// it would not give that again.
func (i *Importer) importAll(families []*dto.MetricFamily, read time.Time, whole bool) error {
	if _, err := i.reg.writing(); err != nil && !errors.Is(err, ErrNotConnected) {
		return prefixOnce(fmt.Errorf("shoal: import: %w", err))
	}
	defer i.endIfClosed()
	i.mu.Lock()
	defer i.mu.Unlock()
	closed := i.closed.Load()
	if closed && !i.asks {
		return fmt.Errorf("shoal: import: the importer is closed: %w", ErrClosed)
	}
	i.read = read.UnixNano()
	if whole {
		i.failing = 0
	} else if i.failing == 0 {
		i.failing = i.read
	}
	i.round++
	var errs refusals
	for _, family := range families {
		if closed && kindOf(family.GetType()) == wire.TypeGauge {
			continue
		}
		if err := i.importFamily(family); err != nil {
			errs = append(errs, refusedFamily{family.GetName(), fmt.Errorf("shoal: import of %s %q: %w", typeName(family), family.GetName(), err)})
		}
	}
	i.forgetGone(whole && !closed, false)
	return errs.orNil()
}

// importFamily imports one family. The caller holds mu.
func (i *Importer) importFamily(family *dto.MetricFamily) error {
	f, err := i.family(family)
	if f == nil {
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
// not given. whole says that it gave all gauges there are, closing that there will be no other call.
// The caller holds mu.
func (i *Importer) forgetGone(whole, closing bool) {
	for _, f := range i.families {
		f.begin(i.round)
		if f.given < f.entries.Len() {
			f.forgetGone(whole, closing)
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
