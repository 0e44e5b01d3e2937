// SPDX-License-Identifier: Apache-2.0

// Package shoalotel brings the metrics of OpenTelemetry, the application's own and those of its
// libraries, into shoal. Then the page of any process shows those of all processes together,
// under the names and labels that the OpenTelemetry exporter for Prometheus gives them, and
// without a Collector. The code that counts stays as it is.
//
//	reg := shoal.Default()
//	reader, err := shoalotel.NewReader(reg, shoalotel.Opts{})
//	provider := sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader))
//
// # Reader or Exporter
//
// The registry collects from a [Reader] once a period (Opts.Period, 5 s), before it makes a page
// for this process's scraper, and in Flush and Close. So pages are fresh, and a killed process
// loses a period at most, beside what the registry had not sent.
//
// An [Exporter] is for a program that has a PeriodicReader already, whose interval is 60 s
// unless WithInterval says less. Where a callback of the program fails, a PeriodicReader does
// not export what it has collected. In deltas that is lost; with Opts.Temporality as
// CumulativeTemporalitySelector the next export has it. A Reader loses nothing either way.
//
// A provider has one of the two. With both, everything would be counted twice.
//
// # What becomes of what
//
//   - A counter is the sum over all processes, ended ones included, each event exactly once.
//     So is an observable counter: when the value observed falls, it has begun again, and all of
//     it is new.
//   - An up-down counter is a gauge in mode Sum: the sum over the living processes.
//   - A gauge is one of each process and has the label gauge_index, unless Opts.Modes gives it
//     another mode. It leaves the page with its process, and when it is no longer observed.
//   - A histogram is a classic one. A view, or WithExplicitBucketBoundaries where the instrument is
//     made, gives it bounds. All processes should have the same ones.
//   - An exponential histogram is a classic one with fixed bounds: those of
//     Opts.ExponentialBounds, or by its unit the powers of two from 1/1024 to 64 for s and
//     from 1 to 65,536 for ms, else the powers of four from 1 to 4^15. With these the counts
//     are exact, since at every scale from 0 up each of them is a bound of the exponential
//     histogram too. With other bounds, or at a scale below 0, a bucket that reaches
//     across a bound is counted at the next larger one. Count and sum are always exact.
//   - A summary, which only producers give, has count and sum.
//   - Minima, maxima and exemplars are left out.
//
// # Names and labels
//
// The name of a family is that of its instrument, with underscores in place of what is not
// allowed in one, with its unit (http.server.request.duration in s is
// http_server_request_duration_seconds), and for counters with _total. Attributes become labels in
// the same way. If two get one name, the label has both values, joined by a semicolon. Each series
// has the labels otel_scope_name and otel_scope_version, otel_scope_schema_url, and
// the attributes of its scope. A label whose value is empty is not shown, which is the same to
// Prometheus. What is beyond the SDK's limit of cardinality has the label
// otel_metric_overflow="true"; in deltas, that limit is one of each collection.
//
// The resource is on the page as target_info, once for all processes with the same attributes.
// The attribute service.instance.id is never a label: each process would have series of its own.
// For the same reason Opts.ResourceAsConstantLabels should choose nothing that differs between
// processes.
//
// When two instruments have one family's name, the help and type of the first hold. An instrument
// of another type is left out and reported.
//
// # When something is wrong
//
// What can't be translated is left out and reported to otel.Handle, once for each text, since
// the registry's OnError is not to be called from outside. What the registry refuses, such as a
// name that the application has declared in shoal too, is reported to OnError by a Reader and to
// otel.Handle by an Exporter. All else is imported. A callback that fails, hangs or panics harms
// nobody: shoal_source_failures_total counts it for a Reader.
//
// # Tests and shutdown
//
// The provider's ForceFlush and Shutdown deliver, and so do the registry's Flush and Close.
// Provider and registry may be closed in any order.
package shoalotel
