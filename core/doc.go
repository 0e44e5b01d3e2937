// SPDX-License-Identifier: Apache-2.0

// Package shoal gives an application that runs as many processes one truthful
// /metrics page.
//
// Prometheus takes a target for one process. Where several stand behind one
// address (prefork workers, replicas, the old and the new side of a deploy, a
// cron job, a serverless handler) each counts its own part, a scrape meets any
// one of them, and counters seem to jump back and forth. Shoal adds the parts
// up in a Redis that the application has anyway, so that every process answers
// for all of them, with the same numbers.
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
// [Counter.Inc] adds to an atomic number in this process and puts the series on
// a list. That takes nanoseconds, and it neither blocks nor fails, whatever
// Redis does. Once a second ([Opts].Interval) the registry's goroutine takes from
// each series on the list what gathered there and freezes it into a batch with
// the writer's next sequence number. One script on Redis applies the batch,
// if its number is the next one, and notes the number in the same step. When
// the reply is lost, the same batch is sent again, and Redis finds by its
// number that it has it. Acknowledged batches are kept for ten minutes, in case
// Redis steps back (a failover to a replica that lagged): then they are sent
// once more. A scrape reads the sums.
//
// [Counter.AddSync] and the other synchronous forms do the same and wait for the
// acknowledgement; callers at the same time share a batch. Their errors say
// whether the value goes nowhere, is still delivered, or may be lost.
//
// # What is lost when
//
// Nothing, while a process lives: what Redis does not take is kept, in memory
// that is bounded by the number of series and not by the length of the outage.
//   - A process that is killed takes with it what it had not flushed: an
//     interval's worth, or that of the outage. [Registry.Close] flushes first,
//     and returns an [UndeliveredError] that says what stayed.
//   - Redis loses what neither its replicas nor its disk had when the writer
//     died as well. Living writers bring their part back.
//   - Redis was emptied: counters begin at zero, which Prometheus understands.
//     What was not acknowledged before is still delivered.
//   - A batch of which nobody can tell whether Redis applied it, since the
//     sequence numbers are gone too or a day has passed, is dropped rather than
//     perhaps counted twice.
//
// What a living process knows to be lost is counted in
// shoal_lost_batches_total. Values that no metric may take (NaN and infinities
// in sums, negative increments) are dropped, label values that are not valid
// UTF-8 or too long repaired, both counted in
// shoal_rejected_observations_total. Label sets beyond [Opts].SeriesLimit share
// one overflow series.
//
// # Gauges
//
// A gauge is the state of one process, shown with the label gauge_index, the
// small number that the process holds while it lives; a [Mode] folds those of
// all processes into one. It vanishes when the process closes, or within
// seconds after it died. Two modes belong to no process and stay: a [Latest]
// gauge is what was set last, a [Total] what all processes ever added, counted
// as a counter is. A Total can't be set and a Latest can't be added to: both
// are dropped and counted in shoal_rejected_observations_total.
//
// # Concurrency
//
// Everything may be used from any number of goroutines at once. A registry has
// a goroutine that does all its writing, one that tells when gauge functions are
// due, one for each of these while it is called, and one while a scrape reads;
// all end with Close. Functions of the application ([Opts].OnError, those of
// [Registry.NewGaugeFunc]) are called without a lock held, and panics of the
// latter contained.
//
// # Scrape once
//
// Every process serves the sum over all processes. Let Prometheus scrape the
// application, not each of its processes: one target, such as the load
// balancer's address or the Kubernetes Service by its DNS name. Scraping every
// replica would multiply all sums by their number.
package shoal
