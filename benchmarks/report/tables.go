// SPDX-License-Identifier: Apache-2.0

package main

import "slices"

// tables are all tables of the documents. Benchmarks are named Name/key=value/key=value; a
// table says which of them make its rows and its columns.
var tables = slices.Concat(
	[]table{
		{name: "machine", text: results.machine},
		{name: "goals", text: results.goals},
		summaryTable,
	},
	hotPathTables, middlewareTables, redisTables, growthTables, fleetTables, bridgeTables)

// summaryTable is the README's.
var summaryTable = table{
	name: "summary", head: "for each call, request or page | compared with",
	rows: []row{
		{title: "counter, `Inc` | client_golang", keys: "HotPath op=inc mode=serial", peer: "side=client_golang"},
		{title: "histogram, `Observe` | client_golang", keys: "HotPath op=histogram mode=serial", peer: "side=client_golang"},
		{title: "counter of 3 labels, `WithLabelValues` and `Inc` | client_golang", keys: "HotPath op=labels-inc mode=serial", peer: "side=client_golang"},
		{title: "a request of net/http, router and middleware | slok/go-http-metrics", keys: "Middleware router=nethttp mode=serial", peer: "side=slok"},
		{title: "a request of gin, router and middleware | slok/go-http-metrics", keys: "Middleware router=gin mode=serial", peer: "side=slok"},
		{title: "a page of 10,000 counters | promhttp, from memory", keys: "Scrape series=10000 kind=counters format=text gzip=off", peer: "side=promhttp"},
	},
	columns: []column{
		{title: "shoal", keys: "side=shoal"},
		{title: "the other", keys: "peer"},
		{title: "shoal / the other", keys: "side=shoal", over: "peer"},
	},
}
