// SPDX-License-Identifier: Apache-2.0

package shoal

import "time"

// HandlerOpts are the settings of a page. All may be left out.
type HandlerOpts struct {
	// EnableOpenMetrics answers with OpenMetrics 1.0.0 where the scraper asks
	// for it. That renames le="1" to le="1.0", and with it every histogram's
	// series, as it does in promhttp. Defaults to false.
	EnableOpenMetrics bool
	// EnableOpenMetricsTextCreatedSamples adds to pages in OpenMetrics when each series of a
	// counter, summary or histogram began, as samples whose names end in _created. Counters
	// whose names do not end in _total get none, and the whole page has none if it would be too
	// long with them. Prometheus understands them only with a switch (see docs/operations.md);
	// without it, it stores them as further series. Pages in protobuf tell the starts without
	// this option. Defaults to false.
	EnableOpenMetricsTextCreatedSamples bool
	// DisableCompression answers without gzip. Defaults to false.
	DisableCompression bool
	// Timeout bounds a scrape whose request has no header
	// X-Prometheus-Scrape-Timeout-Seconds. With the header, the bound is nine tenths
	// of its value, at least 250 ms; more than 2 min count as 2 min. Defaults to 5 s.
	Timeout time.Duration
	// EachProcess makes the page one of this process, for a Prometheus that discovers and
	// scrapes every process, such as each pod. The page of each process has the gauges of
	// that process, and exactly one has what all processes share: counters, histograms,
	// summaries, and gauges with a Mode. That is the page of the process that has been
	// scraped for the longest time. When it ends, the next one takes over with its next
	// scrape; if it is killed, within [Opts].LeaseDuration. A process that is not scraped
	// never has them, and one that was not for 10 minutes gives them up.
	//
	// Every target's handler must have this option. A page without the shared metrics costs Redis
	// little, however many there are. On a read-only registry the option does nothing: it has no
	// process of its own, and shows all processes. Defaults to false.
	EachProcess bool
	// SharedInstance is the value of a label instance that the shared metrics have on pages with
	// EachProcess, unless they have such a label. With honor_labels in its scrape configuration
	// Prometheus keeps it: then a counter is one series, whichever process shows it, and rate()
	// and increase() miss nothing when another one takes over. The name of the app is a good one.
	// Without it, each process that takes over begins series of its own: sums over them count
	// nothing twice, but miss what is counted between the last scrape of the one process and the
	// first of the next, about a scrape interval. All processes need the same value. It has 1,024
	// bytes at most. Defaults to none.
	SharedInstance string
}
