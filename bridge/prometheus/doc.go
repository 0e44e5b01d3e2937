// SPDX-License-Identifier: Apache-2.0

// Package shoalprom imports the metrics of client_golang into shoal, the application's own and those
// of its libraries. Then the page of any process shows what all processes counted together. The code
// that counts stays as it is.
//
//	reg := shoal.Default()
//	stop, err := shoalprom.Bridge(reg, prometheus.DefaultGatherer, shoalprom.Opts{})
//
// # What becomes of what
//
// The registry calls Gather once a period (Opts.Period, 5 s), before each page of this process, and
// in Flush and Close. The bridge does nothing when the program counts.
//
//   - A counter shows the sum of all processes, ended ones included, each event exactly once. The
//     bridge adds what is new since the last call of Gather. If a vector was reset, or registered
//     anew, the program counts it from 0, and its totals on the page go on.
//   - A classic histogram likewise, bucket by bucket. All processes should have the same buckets.
//   - A summary has count and sum. Quantiles of several processes cannot be joined: with
//     Opts.Quantiles the page shows those of each process.
//   - Each process has its own value of a gauge or an untyped metric, with the label gauge_index,
//     unless Opts.Modes gives the metric another mode. The value leaves the page when the process
//     ends, and when Gather no longer gives it.
//   - A native histogram becomes a classic one of the classic buckets that it also has, or of +Inf
//     alone if it has none. This is reported once.
//   - A gauge histogram is refused and reported.
//   - In names, underscores replace the characters that older Prometheus servers do not know, as
//     promhttp replaces them for such a server.
//   - Exemplars, timestamps, units and labels without a value are left out.
//   - NaN, infinities and negative numbers are dropped from counters, NaN and infinities from sums.
//
// So each process shows its own go_goroutines and other gauges of go_* and process_*, and counters
// such as process_cpu_seconds_total are the sum of all processes. A program that calls
// [shoal.Registry.RegisterRuntime] has these already, and unregisters client_golang's collectors:
//
//	prometheus.Unregister(collectors.NewGoCollector())
//	prometheus.Unregister(collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
//
// # What is lost
//
// A killed process loses what it counted in the last period, and what shoal's registry had not
// sent. A process that closes its registry loses nothing: Close gathers a last time. If Redis
// loses data, shoal sends it again, as for its own metrics.
//
// # Shared state
//
// Some collectors read what all processes share: the rows of a table, the length of a queue, a
// database's own counters. Every process then reports the same number, and the page should show it
// once: give the metric the mode Latest or Max, by its name or a pattern.
//
//	shoalprom.Opts{Modes: map[string]shoal.Mode{
//		"orders_waiting": shoal.Max,    // a query that counts rows
//		"pg_stat_*":      shoal.Latest, // what the database counts: its counters become gauges
//	}}
//
// Latest stays when all processes have ended. Max shows the largest value of the living ones. A gauge
// that one process sets is 0 in the others, which bring that as well: there Latest is wrong.
//
// # When something is wrong
//
// A metric that cannot be imported, such as one whose name the application has declared in shoal too,
// is left out and reported to Opts.OnError or Opts.Logger of the registry; all others are imported.
// If Gather returns metrics and an error, the metrics are imported, the error is reported, and no
// gauge is deleted because it is missing. If Gather panics or hangs, nothing else fails: a page and
// Flush wait for it for half a second at most, Close for 2 s.
//
// # Tests and shutdown
//
// [shoal.Registry.Flush] gathers and delivers, and [shoal.Registry.Close] does so a last time:
// nothing else is needed. The function that [Bridge] returns ends the bridge sooner.
package shoalprom
