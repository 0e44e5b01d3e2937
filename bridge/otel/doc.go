// SPDX-License-Identifier: Apache-2.0

// Package shoalotel imports the metrics of OpenTelemetry into shoal, the application's own and those
// of its libraries. Then the page of any process shows what all processes counted together, under
// the names and labels that the OpenTelemetry exporter for Prometheus gives them, and without a
// Collector. The code that counts stays as it is.
//
//	reg := shoal.Default()
//	reader, err := shoalotel.NewReader(reg, shoalotel.Opts{})
//	provider := sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader))
//
// # Reader or Exporter
//
// The registry collects from a [Reader] once a period (Opts.Period, 5 s), before each page of this
// process, and in Flush and Close. So pages are fresh, and a killed process loses what it counted in
// the last period at most, and what the registry had not sent.
//
// An [Exporter] is for a program that has a PeriodicReader already, whose interval is 60 s
// unless WithInterval says less. If a callback of the program fails, a PeriodicReader does not
// export what it has collected. With deltas that is lost; if Opts.Temporality is
// CumulativeTemporalitySelector, the next export has it. A Reader loses nothing either way.
//
// A provider has one of the two. With both, everything would be counted twice. Several providers of
// a process may each have one for the same registry: what they count of the same series is added up;
// of a gauge, or an up-down counter, one value is shown.
//
// # What becomes of what
//
//   - A counter shows the sum of all processes, ended ones included, each event exactly once. So
//     does an observable counter: when the observed value falls, it began anew, from 0. A negative
//     addition, and what is no number, is left out and counted in
//     shoal_rejected_observations_total.
//   - An up-down counter becomes a gauge of mode Sum: the sum of the living processes.
//   - Each process has its own value of a gauge, with the label gauge_index, unless Opts.Modes gives
//     the gauge another mode. The value leaves the page when the process ends, and when it is no
//     longer observed.
//   - A histogram becomes a classic one. A view, or WithExplicitBucketBoundaries where the
//     instrument is made, gives it bounds. All processes should have the same ones. Where a view
//     makes a histogram of an observable instrument, it has a value for each collection, so for
//     each page of this process too.
//   - An exponential histogram becomes a classic one with fixed bounds: those of
//     Opts.ExponentialBounds, or else powers of two from 1/1024 to 64 if its unit is s, powers of
//     two from 1 to 65,536 if it is ms, and powers of four from 1 to 4^15 for any other unit. With
//     these defaults the counts are exact, since at every scale from 0 up each bound is one of the
//     exponential histogram too. With other bounds, or at a scale below 0, a bucket that reaches
//     across a bound is counted at the next larger one. Count and sum are always exact.
//   - A summary, which only producers give, has count and sum.
//   - Minima, maxima and exemplars are left out.
//
// # Names and labels
//
// The name of a family is that of its instrument, with underscores in place of the characters that
// are not allowed, then its unit (http.server.request.duration in s becomes
// http_server_request_duration_seconds), and for counters _total. Attributes become labels in the
// same way. If two attributes get one name, the label has both values, joined by a semicolon. Each
// series has the labels otel_scope_name, otel_scope_version and otel_scope_schema_url, and one for
// each attribute of its scope. A label whose value is empty is not shown, which is the same to
// Prometheus: series that differ in nothing else are one, for which counters are added up, and of
// gauges one is shown. A series is refused whose attribute is named gauge_index, or that of a
// histogram le. What is beyond the SDK's limit of cardinality has the label
// otel_metric_overflow="true"; with deltas, that limit is one of each collection. An observable
// counter beyond the limit is not exact if its callback observes in another order each time.
//
// The resource is on the page as target_info, once for all processes with the same attributes.
// The attribute service.instance.id is never a label: each process would have series of its own.
// For the same reason Opts.ResourceAsConstantLabels should choose nothing that differs between
// processes.
//
// If two instruments get one name, the family has the help and the type of the first. An
// instrument of another type is left out and reported.
//
// # When something is wrong
//
// What can't be translated is left out and reported to otel.Handle, each text once. What the
// registry refuses, such as a name that begins with shoal_ or that the application has declared in
// shoal too, is reported to the registry's OnError if it comes from a Reader, and to otel.Handle if
// it comes from an Exporter. [shoal.Importer.Import] says what else is refused, cut or repaired.
// All else is imported. A callback that fails, hangs or panics breaks nothing else; of a Reader,
// shoal_source_failures_total counts it.
//
// # Tests and shutdown
//
// The provider's ForceFlush and Shutdown collect and deliver. With a Reader, so do the registry's
// Flush and Close, and provider and registry may be closed in any order. An Exporter has only what was
// exported: shut down its provider before the registry is closed.
package shoalotel
