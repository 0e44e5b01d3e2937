// SPDX-License-Identifier: Apache-2.0

// Package shoal gives an application that runs as many processes one truthful
// /metrics page.
//
// Prometheus assumes that a target is one process. If several are behind one address
// (prefork workers, replicas, the old and the new side of a deploy, a cron job, a serverless
// handler), each counts its own part, a scrape reaches any one of them, and counters seem to
// jump back and forth. shoal adds the parts up in Redis, so that every process serves the
// same page for all.
//
// # Quick start
//
// Declare metrics as with client_golang, without registering them, and connect
// the registry when the application starts:
//
//	var orders = shoal.NewCounterVec(shoal.CounterOpts{
//		Name: "orders_total", Help: "Orders placed.",
//	}, []string{"currency"})
//
//	func main() {
//		reg := shoal.Default()
//		rdb := redis.NewClient(&redis.Options{Addr: "localhost:6379", ContextTimeoutEnabled: true})
//		if err := reg.Connect(rdb, shoal.Opts{App: "shop"}); err != nil {
//			log.Fatal(err) // a mistake in the options: Connect does no I/O
//		}
//		defer reg.Close(context.Background())
//		http.Handle("/metrics", reg.Handler(shoal.HandlerOpts{}))
//		// ...
//		orders.WithLabelValues("EUR").Inc()
//	}
//
// A job calls Close at its end, as a server does: it sends what is left, and the
// process no longer counts as living. A serverless handler, which is frozen
// between two invocations, calls [Registry.Flush] before it returns.
//
// [Registry.Open] makes a client from a URL, with settings that suit. The
// packages under middleware record requests and serve the page in one line.
// Tests of an application use package shoaltest, which needs no Redis.
//
// # The life of an increment
//
// [Counter.Inc] adds to an atomic number in this process and puts the series on a list. That
// takes nanoseconds, and neither blocks nor fails, whatever Redis does. Once a second
// ([Opts].Interval) the registry's goroutine, the writer, takes what the series on the list
// counted and freezes it into a batch with the writer's next sequence number. A script in
// Redis applies the batch if its number is the next one, and stores the number in the same
// step. If the reply is lost, the writer sends the same batch again, and the script finds by
// its number that Redis has it. The writer keeps acknowledged batches for ten minutes: if
// Redis steps back (a failover to a replica that lagged), it sends them again. A scrape
// reads the sums.
//
// [Counter.AddSync] and the other synchronous forms do the same and wait for the
// acknowledgement; callers at the same time share a batch. Their errors say
// whether the value goes nowhere, is still delivered, or may be lost.
//
// # What is lost when
//
// Nothing, while a process lives: what Redis does not take is kept, in memory
// that is bounded by the number of series and not by the length of the outage.
//   - When a process is killed, what it had not flushed is lost: an interval's
//     worth, or that of the outage. [Registry.Close] flushes first, and returns
//     an [UndeliveredError] that says what was not delivered.
//   - When Redis restarts or fails over, it loses what neither its disk nor its
//     replica had. Living writers send their part again; that of dead ones is lost.
//   - When Redis is emptied, counters begin at zero, which Prometheus understands.
//     What was not acknowledged before is still delivered.
//   - A batch that Redis may or may not have applied, since the sequence numbers
//     are gone too or a day has passed, is dropped: sent again, it might count twice.
//
// shoal_lost_batches_total counts what a living process knows to be lost. Values that a
// metric may not take (NaN and infinities in sums, negative increments) are dropped, and
// label values that are too long or not valid UTF-8 are repaired;
// shoal_rejected_observations_total counts both. Label sets beyond [Opts].SeriesLimit share
// one overflow series.
//
// A series stays while a living process holds it, which means that the process has a child
// for it, used or not. When none has held it for [Opts].Retention, or the metric's own, it
// leaves Redis and the page; if it comes back, it begins at zero. shoal_removed_series_total
// counts the series that left.
//
// # Gauges
//
// A gauge is the state of one process. The page shows it with the label gauge_index, a small
// number that the process has while it lives; a [Mode] makes one value of those of all
// processes. It vanishes when the process closes, or within seconds after it died. In two
// modes a gauge belongs to no process and stays: [Latest] is the value set last, [Total] the
// sum of all that any process added. A Total can't be set and a Latest can't be added to:
// such a write is dropped and counted in shoal_rejected_observations_total.
//
// # Metrics of other clients
//
// A program or a library that counts with client_golang or OpenTelemetry need not be rewritten:
// the packages bridge/prometheus and bridge/otel bring its metrics to this page by one line. They
// use [Registry.AddSource], which asks a [Source] for its metrics, or an [Importer], to which the
// program hands them. From the import on, what was counted is added exactly once. A killed process
// loses what it counted since the last import: with a Source a period at most, 5 s by default.
//
// # Concurrency
//
// Everything is safe for concurrent use. A registry has one goroutine that does its writing, one
// for the housekeeping in Redis, one that begins the calls of gauge and counter functions, sources
// and the readings of the runtime, one for each of these, and one while a scrape reads; all end
// with Close. Functions of the application ([Opts].OnError, those of [Registry.NewGaugeFunc]) are
// called without a lock, except during an import: see [Importer]. A panic of a function or a source
// that gives values is contained.
//
// # Scrape once
//
// Every process serves the sum over all processes. Let Prometheus scrape the application, not
// each of its processes: one target, such as the load balancer's address or the DNS name of
// the Kubernetes Service. If Prometheus scraped each of 10 replicas, every sum would be 10
// times too high. If it has to discover every process, set [HandlerOpts].EachProcess.
package shoal

// How the files build on each other, for readers of the code. From the ground up:
//
//   - internal/wire: names, keys and scripts, all of Redis. internal/page reads Redis and
//     renders pages, internal/redisclient makes the clients of Open; both build on wire
//     and neither knows this package.
//   - definition, mode, opts: what is declared. outbox, backlog, lease, lineage, schedule,
//     requests: the parts of the writer, which do no I/O.
//   - sum and cells: numbers to which many goroutines add.
//   - family, constants, table and series, with counter, gauge, summary and histogram:
//     what is counted. delete, deletions and deleted remove series.
//   - import, with importfamily, importvalue and totals: they add what another client counted to
//     families.
//   - sampler: what it asks for values (gaugefunc, counterfunc, source with formersources, runtime), and when.
//   - registry, with selfmetrics, overflow, report and damage: all metrics of an application.
//   - writer, with heartbeat, refresh, flushrun, answers, freeze, packer, marks, gaugesend and
//     close: what brings them to Redis. undelivered says what it has not brought there. housekeep
//     removes from Redis, beside the writer, what nobody needs any more.
//   - connect, instances, candidate, handler, outgoing: what joins a registry with a writer and a
//     reader of pages, and answers scrapes.
//
// Four references go from a lower part to a higher one:
//
//   - A metric knows its registry, which counts and reports what the metric refuses, and
//     has the cap of series.
//   - A registry knows its connection, which comes and goes while metrics are in use.
//   - A synchronous write (sync) asks the connection for its writer and waits for it.
//   - A batch of an outbox carries the waiters that it answers.
