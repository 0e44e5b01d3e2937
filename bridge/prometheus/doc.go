// SPDX-License-Identifier: Apache-2.0

// Package shoalprom brings the metrics of client_golang, the application's own and those of its
// libraries, into shoal. Then the page of any process shows those of all processes together. The
// code that counts stays as it is.
//
//	reg := shoal.Default()
//	stop, err := shoalprom.Bridge(reg, prometheus.DefaultGatherer, shoalprom.Opts{})
//
// # What becomes of what
//
// The registry calls Gather once a period (Opts.Period, 5 s), before it makes a page for this
// process's scraper, and in Flush and Close. Nothing happens when a metric is counted.
//
//   - A counter is the sum over all processes, ended ones included, each event exactly once. What
//     the bridge adds is what has come since the last time. If a vector was reset, or registered
//     anew, it begins from 0, and its totals on the page go on.
//   - A classic histogram likewise, bucket by bucket. All processes should have the same buckets.
//   - A summary has count and sum. Quantiles of several processes cannot be joined: with
//     Opts.Quantiles each process shows its own.
//   - A gauge, or an untyped metric, is one of each process and has the label gauge_index, unless
//     Opts.Modes gives it another mode. It leaves the page with its process, and when
//     Gather does not give it any more.
//   - A native histogram is a classic one of the buckets that it has beside its native ones,
//     of +Inf alone if there are none. This is reported once.
//   - A gauge histogram is refused and reported.
//   - Names in UTF-8 that older Prometheus servers do not know have underscores in place of the
//     other characters, as promhttp shows them to such a server.
//   - Exemplars and timestamps are left out.
//
// So go_goroutines and other gauges of go_* and process_* are those of each process, and counters such
// as process_cpu_seconds_total are the sum over processes. A program that
// calls [shoal.Registry.RegisterRuntime] unregisters the collectors that have them as well:
//
//	prometheus.Unregister(collectors.NewGoCollector())
//	prometheus.Unregister(collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
//
// # What is lost
//
// A killed process loses what it counted in the last period, and what shoal's registry had not
// sent. A process that closes its registry loses nothing: Close gathers a last time.
// What Redis loses, shoal brings back as with its own metrics.
//
// # Shared state
//
// Some collectors ask something that all processes share: the rows of a table, the length of a
// queue, a database's own counters. Every process then reports the same number, and one of them is
// enough: give the metric the mode Latest or Max by its name or a pattern.
//
//	shoalprom.Opts{Modes: map[string]shoal.Mode{
//		"orders_waiting": shoal.Max,    // a query that counts rows
//		"pg_stat_*":      shoal.Latest, // what the database counts: its counters become gauges
//	}}
//
// Latest stays when all processes have ended. Max shows the largest value of the living ones.
//
// # When something is wrong
//
// A metric that shoal cannot take, such as one whose name the application has declared in shoal too, is
// left out and reported to Opts.OnError or Opts.Logger of the registry; all others are imported. If
// Gather returns metrics and an error, the metrics are imported, the error is reported, and no gauge
// is taken for gone. If Gather hangs or panics, nothing else waits for it or fails.
//
// # Tests and shutdown
//
// [shoal.Registry.Flush] gathers and delivers, and [shoal.Registry.Close] does so a last time:
// nothing else is needed. The function that [Bridge] returns ends the bridge sooner.
package shoalprom
