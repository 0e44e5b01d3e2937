// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	dto "github.com/prometheus/client_model/go"
)

// DefSourcePeriod is the default of SourceOpts.Period.
const DefSourcePeriod = 5 * time.Second

// minSourcePeriod is the shortest SourceOpts.Period: who writes 5 means seconds, not nanoseconds.
const minSourcePeriod = 100 * time.Microsecond

// Source gives the metrics of another client: see [Registry.AddSource].
type Source interface {
	// Collect returns all gauges that there are, and counters, histograms and summaries as
	// SourceOpts.Cumulative says. The registry neither keeps nor changes them. If Collect returns
	// an error beside them, they are imported; what is missing is then taken for gone only after a
	// minute of failures. Two calls never overlap. A call may panic or hang: see [Registry.AddSource]. The context
	// ends when the registry is closed.
	Collect(ctx context.Context) ([]*dto.MetricFamily, error)
}

// SourceOpts are the settings of a source. All may be left out.
type SourceOpts struct {
	// Name names the source in reports. Defaults to its type.
	Name string
	// Period is the time between two calls of Collect, at least 100 µs. Defaults to 5 s.
	Period time.Duration
	// Cumulative says that counters, histograms and summaries are given as totals since each
	// series began, as a prometheus.Gatherer gives them. Defaults to false: they are what was
	// counted since the last call.
	Cumulative bool
	// Mode returns the mode of a family of gauges (untyped ones included), by its name. A
	// [Total] is refused, since what is imported is set. Defaults to PerProcess for all.
	Mode func(family string) Mode
	// Key is what the source reads, such as a pointer to another registry. A second source of
	// the registry with an equal Key is refused, since both would count the same. A Key that is
	// not comparable equals no other. Defaults to the source.
	Key any
}

// AddSource makes the registry call s.Collect while it is connected: at once, then once a period,
// and also before each page of this process, in Flush and in Close. A page and Flush wait for the
// call for half a second at most, Close for 2 s. [Importer.Import] says what becomes of the
// metrics.
//
// With SourceOpts.Cumulative each counter, histogram and summary is a total, of which the registry
// adds what is new since the last call. The first call adds the whole total. A total that is smaller
// than before began anew, from 0. So did one whose created timestamp is another than before, and
// later than when it was read last. A killed process loses what it counted since the last call, a
// period at most, and what it had not flushed.
//
// A counter that the source no longer gives stays on the page, and this process no longer holds
// its series (see [Vec]). If the source gives it again, it goes on where it was.
//
// A source that fails breaks nothing else. Errors of Collect, metrics that are refused, panics, and
// calls that do not return are counted in shoal_source_failures_total and reported to Opts.OnError.
//
// remove asks the source once more, deletes the gauges that it gave, unless their mode is Latest,
// and ends it. It waits for that call as Flush does; what a call counts that has not returned by then
// is added when it returns. If the source is added again, its totals go on from there. AddSource
// fails after Close, and for a source that was added before and not removed.
func (r *Registry) AddSource(s Source, o SourceOpts) (remove func(), err error) {
	switch {
	case s == nil:
		return nil, errors.New("shoal: AddSource: the source is nil")
	case o.Period != 0 && o.Period < minSourcePeriod:
		return nil, fmt.Errorf("shoal: AddSource: Period is %v: use at least %v, or 0 for %v", o.Period, minSourcePeriod, DefSourcePeriod)
	}
	if o.Period == 0 {
		o.Period = DefSourcePeriod
	}
	if o.Name == "" {
		o.Name = fmt.Sprintf("%T", s)
	}
	if o.Key == nil {
		o.Key = s
	}
	if _, ok := o.Key.(*Registry); ok {
		return nil, errors.New("shoal: AddSource: the source is a shoal.Registry, which has the metrics of all processes: " +
			"each process would add them once more; let Prometheus scrape it beside this one")
	}
	if _, err := r.connected(); errors.Is(err, ErrClosed) {
		return nil, prefixOnce(fmt.Errorf("shoal: AddSource: %w", err))
	}
	added := &importSource{source: s, name: o.Name, key: o.Key, importer: r.newImporter(o.Mode, o.Cumulative), calls: make(chan struct{}, 1)}
	added.importer.asks = true
	if !r.former.add(added, o.Period) {
		return nil, fmt.Errorf("shoal: AddSource: %s was added before: add it once, since a second source would count the same again", o.Name)
	}
	return sync.OnceFunc(func() {
		r.sampled.lastOf(added)
		added.importer.Close()
		r.former.remove(added)
	}), nil
}

// importSource is a Source and its importer.
type importSource struct {
	source   Source
	name     string
	key      any
	importer *Importer
	calls    chan struct{} // holds a value during a call: one from before the source was removed may not have returned
}

// sample asks the source and imports what it gives.
func (s *importSource) sample(ctx context.Context) {
	select {
	case s.calls <- struct{}{}:
	case <-ctx.Done():
		return
	}
	defer func() { <-s.calls }()
	read := time.Now()
	families, err := s.source.Collect(ctx)
	sampled := &s.importer.reg.sampled
	if err != nil && ctx.Err() == nil {
		sampled.failed(s, failedError, fmt.Errorf("failed: %w", err))
	}
	err = s.importer.importAll(families, read, err == nil)
	if err != nil && !errors.Is(err, ErrClosed) {
		sampled.failed(s, failedRefused, fmt.Errorf("gave metrics that were refused: %w", err))
	}
}

func (s *importSource) same(other provider) bool {
	o, ok := other.(*importSource)
	return ok && isComparable(s.key) && isComparable(o.key) && s.key == o.key
}

func (s *importSource) failed(reason string) {
	s.importer.reg.self.sourceFails.WithLabelValues(reason).Inc()
}

func (s *importSource) String() string { return "source " + s.name }
