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
	{
		name: "summary", bench: "HotPath", head: "for each call or request | beside",
		rows: []row{
			{title: "counter, `Inc` | client_golang", keys: "HotPath op=inc mode=serial", peer: "side=client_golang"},
			{title: "histogram, `Observe` | client_golang", keys: "HotPath op=histogram mode=serial", peer: "side=client_golang"},
			{title: "counter of 3 labels, `WithLabelValues` and `Inc` | client_golang", keys: "HotPath op=labels-inc mode=serial", peer: "side=client_golang"},
			{title: "a request of net/http, router and middleware | slok/go-http-metrics", keys: "Middleware router=nethttp mode=serial", peer: "side=slok"},
			{title: "a request of gin, router and middleware | slok/go-http-metrics", keys: "Middleware router=gin mode=serial", peer: "side=slok"},
		},
		columns: []column{
			{title: "shoal", keys: "side=shoal"},
			{title: "it", keys: "peer"},
			{title: "shoal / it", keys: "side=shoal", over: "peer"},
		},
	},
	{
		name: "routers", bench: "Middleware", head: "bare router",
		rows: []row{
			{title: "net/http", keys: "router=nethttp side=bare"},
			{title: "chi", keys: "router=chi side=bare"},
			{title: "gin", keys: "router=gin side=bare"},
			{title: "echo", keys: "router=echo side=bare"},
		},
		columns: []column{
			{title: "time", keys: "mode=serial"},
			{title: "on each core", keys: "mode=parallel"},
			{title: "bytes", keys: "mode=serial", unit: "B/op"},
			{title: "allocations", keys: "mode=serial", unit: "allocs/op"},
		},
	},
	{
		name: "middleware", bench: "Middleware", head: "router | middleware | records",
		rows: middlewareRows,
		columns: []column{
			{title: "time", keys: "mode=serial", minus: "side=bare"},
			{title: "shoal / it", keys: "mode=serial side=shoal", minus: "side=bare", over: "peer"},
			{title: "on each core", keys: "mode=parallel", minus: "side=bare"},
			{title: "shoal / it", keys: "mode=parallel side=shoal", minus: "side=bare", over: "peer"},
			{title: "bytes", keys: "mode=serial", minus: "side=bare", unit: "B/op"},
			{title: "allocations", keys: "mode=serial", minus: "side=bare", unit: "allocs/op"},
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
			{title: "with the line of middleware", keys: "side=shoal", peer: "side=bare"},
		},
		columns: []column{
			{title: "requests a second", unit: "req/s"},
			{title: "with / alone", unit: "req/s", over: "peer"},
			{title: "half of them within", unit: "p50-ns"},
			{title: "with / alone", unit: "p50-ns", over: "peer"},
			{title: "99 % of them within", unit: "p99-ns"},
			{title: "with / alone", unit: "p99-ns", over: "peer"},
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

const (
	recordsOurs    = "counter, duration, by method, route, code; in flight"
	recordsSlok    = "duration, response size by method, route, code; in flight by route"
	recordsSlokToo = "duration by method, route, code; in flight by route"
	recordsOtel    = "duration, request and response size by method, route, code, scheme, host, protocol"
)

var middlewareRows = []row{
	{title: "net/http | **shoal** | " + recordsOurs, keys: "router=nethttp side=shoal"},
	{title: "net/http | slok/go-http-metrics | " + recordsSlok, keys: "router=nethttp side=slok", peer: "side=slok"},
	{title: "net/http | the same without sizes | " + recordsSlokToo, keys: "router=nethttp side=slok-without-size", peer: "side=slok-without-size"},
	{title: "net/http | promhttp's three handlers | " + recordsOurs, keys: "router=nethttp side=promhttp", peer: "side=promhttp"},
	{title: "net/http | otelhttp | " + recordsOtel, keys: "router=nethttp side=otelhttp", peer: "side=otelhttp"},
	{title: "chi | **shoal** | " + recordsOurs, keys: "router=chi side=shoal"},
	{title: "chi | slok/go-http-metrics | " + recordsSlok, keys: "router=chi side=slok", peer: "side=slok"},
	{title: "chi | the same without sizes | " + recordsSlokToo, keys: "router=chi side=slok-without-size", peer: "side=slok-without-size"},
	{title: "chi | go-chi/metrics | counter by method, route, code, protocol; duration by method, route, code; in flight by protocol", keys: "router=chi side=go-chi-metrics", peer: "side=go-chi-metrics"},
	{title: "gin | **shoal** | " + recordsOurs, keys: "router=gin side=shoal"},
	{title: "gin | slok/go-http-metrics | " + recordsSlok, keys: "router=gin side=slok", peer: "side=slok"},
	{title: "gin | the same without sizes | " + recordsSlokToo, keys: "router=gin side=slok-without-size", peer: "side=slok-without-size"},
	{title: "gin | zsais/go-gin-prometheus | counter by method, route, code, handler, host; summaries of duration, request and response size without labels", keys: "router=gin side=go-gin-prometheus", peer: "side=go-gin-prometheus"},
	{title: "gin | otelgin | " + recordsOtel, keys: "router=gin side=otelgin", peer: "side=otelgin"},
	{title: "echo | **shoal** | " + recordsOurs, keys: "router=echo side=shoal"},
	{title: "echo | slok/go-http-metrics | " + recordsSlok, keys: "router=echo side=slok", peer: "side=slok"},
	{title: "echo | the same without sizes | " + recordsSlokToo, keys: "router=echo side=slok-without-size", peer: "side=slok-without-size"},
	{title: "echo | labstack's echoprometheus | counter, duration, request and response size by method, route, code, host", keys: "router=echo side=echoprometheus", peer: "side=echoprometheus"},
}
