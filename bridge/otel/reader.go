// SPDX-License-Identifier: Apache-2.0

package shoalotel

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	dto "github.com/prometheus/client_model/go"
	shoal "github.com/shoal-metrics/shoal/core"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
)

// manualReader is embedded under a name of its own: nobody else is to collect from it.
type manualReader = sdkmetric.ManualReader

// Reader is a reader of the SDK from which a registry collects: once a period, before each page
// of this process, and in Flush and Close. It is safe for concurrent use.
type Reader struct {
	*manualReader
	reg        *shoal.Registry
	translator *translator
	problems   reporter
	remove     func() // ends the registry's collections

	collecting chan struct{} // holds a value while somebody collects
	shutdown   sync.Once
}

var _ sdkmetric.Reader = (*Reader)(nil)

// NewReader returns a reader for one MeterProvider. The SDK's options, such as WithProducer and
// WithCardinalityLimitSelector, may follow; aggregation and temporality are those of o.
func NewReader(reg *shoal.Registry, o Opts, options ...sdkmetric.ManualReaderOption) (*Reader, error) {
	if reg == nil {
		return nil, errNoRegistry
	}
	t, err := newTranslator(o)
	if err != nil {
		return nil, err
	}
	options = append(slices.Clip(options),
		sdkmetric.WithTemporalitySelector(t.opts.Temporality), sdkmetric.WithAggregationSelector(t.opts.Aggregation))
	r := &Reader{manualReader: sdkmetric.NewManualReader(options...), reg: reg, translator: t, collecting: make(chan struct{}, 1)}
	r.remove, err = reg.AddSource(source{r}, shoal.SourceOpts{Name: "OpenTelemetry", Period: o.Period, Mode: t.mode})
	if err != nil {
		return nil, fmt.Errorf("shoalotel: %w", err)
	}
	return r, nil
}

var errNoRegistry = errors.New("shoalotel: the registry is nil: use shoal.Default() or shoal.New()")

// ErrCollect is the error of [Reader.Collect].
var ErrCollect = errors.New("shoalotel: only the registry collects from this reader, since what somebody else took would be missing on the page: add another reader to the provider")

// Collect returns [ErrCollect]: only the registry collects, since what somebody else took would be
// missing on the page.
func (r *Reader) Collect(context.Context, *metricdata.ResourceMetrics) error { return ErrCollect }

// ForceFlush collects and waits until Redis has it: see [shoal.Registry.Flush]. Without a
// deadline it gives up after 10 s; what is not delivered then stays queued.
func (r *Reader) ForceFlush(ctx context.Context) error { return deliver(ctx, r.reg) }

// Shutdown collects for the last time, deletes the gauges, and delivers, as ForceFlush does. It
// does not close the registry. It may be called after the registry was closed.
func (r *Reader) Shutdown(ctx context.Context) error {
	err := sdkmetric.ErrReaderShutdown
	r.shutdown.Do(func() {
		ctx, cancel := withDeadline(ctx)
		defer cancel()
		err = errors.Join(r.end(ctx), deliver(ctx, r.reg))
	})
	return err
}

// end collects for the last time, and ends the collections. The registry's own last call would
// not be enough: it waits for half a second at most, drops what comes later, and is not made if the
// registry is not connected.
func (r *Reader) end(ctx context.Context) (err error) {
	defer r.remove() // the SDK gives its last call nothing, so that the gauges go at once
	if !r.enter(ctx) {
		return errors.Join(r.manualReader.Shutdown(ctx),
			fmt.Errorf("shoalotel: a callback has not returned: what was counted since the last collection is lost: %w", ctx.Err()))
	}
	defer r.leave()
	defer func() { err = errors.Join(err, r.manualReader.Shutdown(ctx)) }()
	lasting := ctx
	if ctx.Err() != nil { // the SDK would collect nothing, and Close can still deliver it
		lasting = context.WithoutCancel(ctx)
	}
	families, err := r.collect(lasting)
	if err != nil && families == nil {
		return fmt.Errorf("shoalotel: what was counted since the last collection is lost: %w", err)
	}
	counted := slices.DeleteFunc(families, func(f *dto.MetricFamily) bool { return f.GetType() == dto.MetricType_GAUGE })
	if failed := r.reg.Import(counted); !errors.Is(failed, shoal.ErrClosed) {
		r.problems.report(failed)
	}
	return err
}

// enter waits until nobody else collects. It returns false if ctx ends before that.
func (r *Reader) enter(ctx context.Context) bool {
	select {
	case r.collecting <- struct{}{}:
		return true
	default:
	}
	select {
	case r.collecting <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

func (r *Reader) leave() { <-r.collecting }

// collect returns what the provider has counted since the last call, and its gauges. If a callback
// or a producer of the program fails, it returns the rest beside the error, since the next collection
// would not have it. The caller holds collecting.
func (r *Reader) collect(ctx context.Context) ([]*dto.MetricFamily, error) {
	var rm metricdata.ResourceMetrics
	err := r.read(ctx, &rm)
	if errors.Is(err, sdkmetric.ErrReaderNotRegistered) || errors.Is(err, sdkmetric.ErrReaderShutdown) {
		return nil, nil // the provider comes later, or has ended
	}
	if rm.Resource == nil { // nothing was collected
		return nil, err
	}
	families, problems := r.translator.translate(&rm)
	r.problems.report(errors.Join(problems...))
	return families, err
}

// read collects into rm. If a producer of the program panics, rm has what the SDK gave before it.
func (r *Reader) read(ctx context.Context, rm *metricdata.ResourceMetrics) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("a callback or a producer panicked: %v", p)
		}
	}()
	return r.manualReader.Collect(ctx, rm)
}

// source is the reader as the registry sees it.
type source struct{ *Reader }

// Collect implements [shoal.Source].
func (s source) Collect(ctx context.Context) ([]*dto.MetricFamily, error) {
	if !s.enter(ctx) {
		return nil, ctx.Err()
	}
	defer s.leave()
	return s.collect(ctx)
}
