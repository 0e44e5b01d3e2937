// SPDX-License-Identifier: Apache-2.0

package main

// fleetTables are those of many processes, and of what they keep.
var fleetTables = []table{
	{
		name: "fleet", bench: "Fleet", head: "processes | series",
		rows: []row{
			{title: "10 | counters", keys: "kind=integers processes=10"},
			{title: "100 | counters", keys: "kind=integers processes=100"},
			{title: "1,000 | counters", keys: "kind=integers processes=1000"},
			{title: "10 | mixed", keys: "kind=mixed processes=10"},
			{title: "100 | mixed", keys: "kind=mixed processes=100"},
			{title: "1,000 | mixed", keys: "kind=mixed processes=1000"},
		},
		columns: []column{
			{title: "series a second", unit: "series/s"},
			{title: "calls a second", unit: "calls/s"},
			{title: "calls of each process", unit: "calls/process/s"},
			{title: "cores of the server", unit: "server-cores"},
			{title: "µs of the server a series", unit: "server-µs/series"},
			{title: "seconds behind", unit: "s-behind"},
			{title: "seconds behind, at most", unit: "s-behind-most"},
		},
	},
	{
		name: "fleet-scrape", bench: "FleetScrape", head: "processes",
		rows: []row{
			{title: "10", keys: "processes=10"},
			{title: "100", keys: "processes=100"},
			{title: "1,000", keys: "processes=1000"},
		},
		columns: []column{
			{title: "a page"},
			{title: "allocations", unit: "allocs/op"},
			{title: "the server, a script", unit: "server-ns/call"},
			{title: "the server, all scripts", unit: "server-ns/op"},
		},
	},
	{
		name: "memory", bench: "MemorySeries", head: "a series",
		rows: []row{
			{title: "counter", keys: "kind=counter"},
			{title: "gauge", keys: "kind=gauge"},
			{title: "summary", keys: "kind=summary"},
			{title: "histogram, 12 buckets", keys: "kind=histogram"},
		},
		columns: []column{
			{title: "shoal", keys: "side=shoal", unit: "B/series"},
			{title: "client_golang", keys: "side=client_golang", unit: "B/series"},
			{title: "shoal / client_golang", keys: "side=shoal", over: "side=client_golang", unit: "B/series"},
		},
	},
	{
		name: "memory-process", bench: "MemoryProcess", head: "",
		rows: []row{{title: "a process"}},
		columns: []column{
			{title: "heap", unit: "B/process"},
			{title: "stacks", unit: "stack-B/process"},
		},
	},
	{
		name: "memory-away", bench: "MemoryAway", head: "",
		rows: []row{{title: "growth"}},
		columns: []column{
			{title: "after 10 s", unit: "B-after-10s"},
			{title: "after a minute", unit: "B-after-60s"},
		},
	},
}
