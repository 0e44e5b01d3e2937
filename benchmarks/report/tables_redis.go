// SPDX-License-Identifier: Apache-2.0

package main

// redisTables are those of what shoal does with Redis.
var redisTables = []table{
	{
		name: "flush", bench: "Flush", head: "changed series",
		rows: []row{
			{title: "100 counters, whole numbers", keys: "counters=100 delta=integers", peer: "side=hincrby"},
			{title: "100 counters, fractions", keys: "counters=100 delta=floats", peer: "side=hincrbyfloat"},
			{title: "1,000 counters, whole numbers", keys: "counters=1000 delta=integers", peer: "side=hincrby"},
			{title: "1,000 counters, fractions", keys: "counters=1000 delta=floats", peer: "side=hincrbyfloat"},
			{title: "10,000 counters, whole numbers", keys: "counters=10000 delta=integers", peer: "side=hincrby"},
			{title: "10,000 counters, fractions", keys: "counters=10000 delta=floats", peer: "side=hincrbyfloat"},
			{title: "1,000 histograms, 2 observations each", keys: "histograms=1000"},
		},
		columns: []column{
			{title: "shoal", keys: "side=shoal"},
			{title: "bare", keys: "peer"},
			{title: "shoal / bare", keys: "side=shoal", over: "peer"},
			{title: "the server, a call", keys: "side=shoal", unit: "server-ns/call"},
			{title: "a call of bare", keys: "peer", unit: "server-ns/call"},
			{title: "the server, all calls", keys: "side=shoal", unit: "server-ns/op"},
			{title: "all calls of bare", keys: "peer", unit: "server-ns/op"},
			{title: "processor time of the server", keys: "side=shoal", unit: "server-cpu-ns/op"},
			{title: "for bare", keys: "peer", unit: "server-cpu-ns/op"},
			{title: "bytes sent for a series", keys: "side=shoal", unit: "sent-B/series"},
			{title: "by bare", keys: "peer", unit: "sent-B/series"},
			{title: "allocations", keys: "side=shoal", unit: "allocs/op"},
		},
	},
	{
		name: "flush-persisted", bench: "FlushPersisted", head: "with an append-only file",
		rows: []row{
			{title: "10,000 counters, whole numbers", keys: "counters=10000 delta=integers", peer: "side=hincrby"},
			{title: "10,000 counters, fractions", keys: "counters=10000 delta=floats", peer: "side=hincrbyfloat"},
		},
		columns: []column{
			{title: "shoal", keys: "side=shoal"},
			{title: "bare", keys: "peer"},
			{title: "shoal / bare", keys: "side=shoal", over: "peer"},
			{title: "the server's processor time", keys: "side=shoal", unit: "server-cpu-ns/op"},
			{title: "for bare", keys: "peer", unit: "server-cpu-ns/op"},
			{title: "shoal / bare", keys: "side=shoal", over: "peer", unit: "server-cpu-ns/op"},
		},
	},
	{
		name: "scrape", bench: "Scrape", head: "text, gzip off", rows: scrapeRows,
		columns: []column{
			{title: "shoal", keys: "format=text gzip=off side=shoal"},
			{title: "promhttp", keys: "format=text gzip=off side=promhttp"},
			{title: "shoal / promhttp", keys: "format=text gzip=off side=shoal", over: "side=promhttp"},
			{title: "bare", keys: "format=text gzip=off side=bare"},
			{title: "allocations: shoal", keys: "format=text gzip=off side=shoal", unit: "allocs/op"},
			{title: "promhttp", keys: "format=text gzip=off side=promhttp", unit: "allocs/op"},
			{title: "the server, a call", keys: "format=text gzip=off side=shoal", unit: "server-ns/call"},
			{title: "the server, all calls", keys: "format=text gzip=off side=shoal", unit: "server-ns/op"},
		},
	},
	{
		name: "scrape-forms", bench: "Scrape", head: "other forms", rows: scrapeRows,
		columns: []column{
			{title: "text, gzip", keys: "format=text gzip=on side=shoal"},
			{title: "/ promhttp", keys: "format=text gzip=on side=shoal", over: "side=promhttp"},
			{title: "protobuf", keys: "format=protobuf gzip=off side=shoal"},
			{title: "/ promhttp", keys: "format=protobuf gzip=off side=shoal", over: "side=promhttp"},
			{title: "protobuf, shoal's allocations", keys: "format=protobuf gzip=off side=shoal", unit: "allocs/op"},
			{title: "promhttp's", keys: "format=protobuf gzip=off side=promhttp", unit: "allocs/op"},
			{title: "protobuf, gzip", keys: "format=protobuf gzip=on side=shoal"},
			{title: "/ promhttp", keys: "format=protobuf gzip=on side=shoal", over: "side=promhttp"},
		},
	},
	{
		name: "sync", bench: "SyncAdd", head: "who waits",
		rows: []row{
			{title: "one goroutine, `IncSync`", keys: "goroutines=1 counters=1", peer: "side=hincrby"},
			{title: "100 goroutines, `IncSync` on one counter", keys: "goroutines=100 counters=1", peer: "side=hincrby"},
			{title: "100 goroutines, `IncSync` on a counter each", keys: "goroutines=100 counters=100"},
		},
		columns: []column{
			{title: "each call", keys: "side=shoal"},
			{title: "in a second", keys: "side=shoal", unit: "adds/s"},
			{title: "a bare awaited `HINCRBY`", keys: "peer"},
			{title: "in a second", keys: "peer", unit: "adds/s"},
			{title: "shoal / bare, each call", keys: "side=shoal", over: "peer"},
		},
	},
}

var scrapeRows = []row{
	{title: "1,000 counters", keys: "series=1000 kind=counters"},
	{title: "10,000 counters", keys: "series=10000 kind=counters"},
	{title: "100,000 counters", keys: "series=100000 kind=counters"},
	{title: "71 histograms, 1,000 lines", keys: "series=71 kind=histograms"},
	{title: "714 histograms, 10,000 lines", keys: "series=714 kind=histograms"},
	{title: "7,142 histograms, 100,000 lines", keys: "series=7142 kind=histograms"},
	{title: "10,000 histograms", keys: "series=10000 kind=histograms"},
}
