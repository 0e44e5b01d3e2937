// SPDX-License-Identifier: Apache-2.0

package shoalotel

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	shoal "github.com/shoal-metrics/shoal/core"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
)

// deliverTimeout bounds a ForceFlush or Shutdown whose context has no deadline.
const deliverTimeout = 10 * time.Second

// Exporter brings what a PeriodicReader collects into a registry. A [Reader] needs no
// PeriodicReader, and its pages are fresher. It is safe for concurrent use.
type Exporter struct {
	reg        *shoal.Registry
	translator *translator
	importer   *shoal.Importer
	problems   reporter

	mu       sync.Mutex
	batches  batches // guarded by mu
	shutdown bool    // guarded by mu
}

var _ sdkmetric.Exporter = (*Exporter)(nil)

// NewExporter returns an exporter to the registry, for one PeriodicReader.
func NewExporter(reg *shoal.Registry, o Opts) (*Exporter, error) {
	if reg == nil {
		return nil, errNoRegistry
	}
	t, err := newTranslator(o)
	if err != nil {
		return nil, err
	}
	return &Exporter{reg: reg, translator: t, importer: reg.NewImporter(shoal.ImporterOpts{Mode: t.mode})}, nil
}

// Temporality returns what Opts.Temporality chooses of counters and histograms, and cumulative of all else.
func (e *Exporter) Temporality(k sdkmetric.InstrumentKind) metricdata.Temporality {
	return e.translator.opts.Temporality(k)
}

// Aggregation returns what Opts.Aggregation chooses.
func (e *Exporter) Aggregation(k sdkmetric.InstrumentKind) sdkmetric.Aggregation {
	return e.translator.opts.Aggregation(k)
}

// Export imports what was collected, which touches only memory: the registry delivers it,
// whatever Redis does. What can't be imported is left out and reported to otel.Handle, each
// problem once. It is not Export's error, because of which the reader's ForceFlush would not
// deliver the rest. After Shutdown the error is ErrExporterShutdown.
func (e *Exporter) Export(_ context.Context, rm *metricdata.ResourceMetrics) error {
	problems, refused, err := e.bring(rm)
	e.problems.report(errors.Join(problems...)) // without mu: the handler may shut down the provider
	e.problems.report(refused)
	return err
}

// bring imports what was collected. It returns what could not be translated, and what the registry
// refused.
func (e *Exporter) bring(rm *metricdata.ResourceMetrics) (problems []error, refused, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.shutdown {
		return nil, nil, sdkmetric.ErrExporterShutdown
	}
	families, problems := e.translator.translate(rm)
	refused = e.importer.Import(e.batches.join(rm, families))
	if errors.Is(refused, shoal.ErrClosed) {
		refused = fmt.Errorf("shoalotel: what was collected is lost: shut the provider down before the registry is closed: %w", refused)
	}
	return problems, refused, nil
}

// ForceFlush waits until Redis has what was exported: see [shoal.Registry.Flush]. Without a
// deadline it gives up after 10 s; what is not delivered then stays queued.
func (e *Exporter) ForceFlush(ctx context.Context) error { return deliver(ctx, e.reg) }

// Shutdown deletes the gauges, delivers what was exported, as ForceFlush does, and refuses what
// comes later. It does not close the registry.
func (e *Exporter) Shutdown(ctx context.Context) error {
	e.mu.Lock()
	was := e.shutdown
	e.shutdown = true
	e.mu.Unlock()
	if was {
		return sdkmetric.ErrExporterShutdown
	}
	e.importer.Close()
	return deliver(ctx, e.reg)
}

// MarshalLog is what the SDK logs of the exporter.
func (e *Exporter) MarshalLog() any { return struct{ Type string }{"shoal"} }

// deliver waits until Redis has what the registry knows. A closed registry has delivered it.
func deliver(ctx context.Context, reg *shoal.Registry) error {
	ctx, cancel := withDeadline(ctx)
	defer cancel()
	if err := reg.Flush(ctx); !errors.Is(err, shoal.ErrClosed) {
		return err
	}
	return nil
}

// withDeadline bounds a context that has no deadline.
func withDeadline(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, deliverTimeout)
}
