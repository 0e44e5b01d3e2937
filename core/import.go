// SPDX-License-Identifier: Apache-2.0

package shoal

import dto "github.com/prometheus/client_model/go"

// Import adds what another client has counted since the last time, and sets what it measures.
func (r *Registry) Import(families []*dto.MetricFamily) error {
	return r.NewImporter(ImporterOpts{}).Import(families)
}

// ImporterOpts are the settings of an [Importer]. All may be left out.
type ImporterOpts struct {
	// Mode returns the mode of a family of gauges (untyped ones included), by its name. A
	// [Total] is refused, since what is imported is set. Defaults to PerProcess for all.
	Mode func(family string) Mode
}

// Importer brings the metrics of another client into a registry, again and again: see
// [Registry.NewImporter]. Its methods are safe for concurrent use.
type Importer struct{ reg *Registry }

// NewImporter returns an importer.
func (r *Registry) NewImporter(o ImporterOpts) *Importer { return &Importer{reg: r} }

// Import adds the counters, histograms and summaries of families, which are what was counted
// since the last call, and sets the gauges, which are all there are: a gauge that an earlier call
// gave and this one does not is deleted. It touches only memory. What it refuses is in the error,
// and leaves the rest alone.
func (i *Importer) Import(families []*dto.MetricFamily) error { return nil }

// Close deletes the gauges that the importer has set. What it counted stays.
func (i *Importer) Close() {}
