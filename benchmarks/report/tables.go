// SPDX-License-Identifier: Apache-2.0

package main

// tables are all tables of the documents. The benchmarks are named
// Name/key=value/key=value; a table says which of them are its rows and which
// its columns.
var tables = []table{
	{name: "machine"},
	{
		name: "hotpath", bench: "HotPath", head: "one goroutine",
		rows: hotPathRows,
		columns: []column{
			{title: "shoal", keys: "mode=serial side=shoal"},
			{title: "client_golang", keys: "mode=serial side=client_golang"},
			{title: "VictoriaMetrics", keys: "mode=serial side=victoriametrics"},
			{title: "shoal / client_golang", keys: "mode=serial side=shoal", over: "side=client_golang"},
			{title: "shoal / VictoriaMetrics", keys: "mode=serial side=shoal", over: "side=victoriametrics"},
		},
	},
	{
		name: "hotpath-parallel", bench: "HotPath", head: "a goroutine on each core",
		rows: hotPathRows,
		columns: []column{
			{title: "shoal", keys: "mode=parallel side=shoal"},
			{title: "client_golang", keys: "mode=parallel side=client_golang"},
			{title: "VictoriaMetrics", keys: "mode=parallel side=victoriametrics"},
			{title: "shoal / client_golang", keys: "mode=parallel side=shoal", over: "side=client_golang"},
			{title: "shoal / VictoriaMetrics", keys: "mode=parallel side=shoal", over: "side=victoriametrics"},
		},
	},
	// The next ones have no rows yet: they are "not measured yet".
	{name: "flush", bench: "Flush"},
	{name: "scrape", bench: "Scrape"},
	{name: "sync", bench: "Sync"},
	{name: "fleet", bench: "Fleet"},
	{name: "memory", bench: "Memory"},
	{
		name: "wrk", bench: "Wrk", head: "", // the first column is only the rows' titles
		rows: []row{
			{title: "the router alone", keys: "side=bare"},
			{title: "with the line of middleware", keys: "side=shoal"},
		},
		columns: []column{
			{title: "requests a second", unit: "req/s"},
			{title: "with / alone", unit: "req/s", over: "side=bare"},
			{title: "half of them within", unit: "p50-ns"},
			{title: "with / alone", unit: "p50-ns", over: "side=bare"},
			{title: "99 % of them within", unit: "p99-ns"},
			{title: "with / alone", unit: "p99-ns", over: "side=bare"},
		},
	},
}

var hotPathRows = []row{
	{title: "counter, `Inc`", keys: "op=inc"},
	{title: "counter, `Add(3)`", keys: "op=add-integer"},
	{title: "counter, `Add(0.5)`", keys: "op=add-float"},
	{title: "gauge, `Set`", keys: "op=set"},
	{title: "histogram, `Observe`, 12 buckets", keys: "op=histogram"},
	{title: "summary, `Observe`", keys: "op=summary"},
	{title: "3 labels, counter, `Inc`", keys: "op=labels-inc"},
	{title: "3 labels, counter, `Add(0.5)`", keys: "op=labels-add-float"},
	{title: "3 labels, gauge, `Set`", keys: "op=labels-set"},
	{title: "3 labels, histogram, `Observe`", keys: "op=labels-histogram"},
	{title: "3 labels, summary, `Observe`", keys: "op=labels-summary"},
}
