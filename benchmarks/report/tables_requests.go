// SPDX-License-Identifier: Apache-2.0

package main

// hotPathTables are the same but for the mode.
var hotPathTables = []table{
	hotPathTable("hotpath", "one goroutine", "serial"),
	hotPathTable("hotpath-parallel", "a goroutine on each core", "parallel"),
}

func hotPathTable(name, head, mode string) table {
	shoal := "side=shoal mode=" + mode
	return table{
		name: name, bench: "HotPath", head: head,
		rows: []row{
			{title: "counter, `Inc`", keys: "op=inc"},
			{title: "counter, `Add(3)`", keys: "op=add-integer"},
			{title: "counter, `Add(0.5)`", keys: "op=add-float"},
			{title: "gauge, `Set`", keys: "op=set"},
			{title: "histogram, `Observe`, 12 buckets", keys: "op=histogram"},
			{title: "summary, `Observe`", keys: "op=summary"},
			{title: "gauge, `Inc` and `Dec`", keys: "op=gauge-inc-dec"},
			{title: "the four of a request: gauge `Inc` and `Dec`, counter, histogram", keys: "op=request"},
			{title: "3 labels, counter, `Inc`", keys: "op=labels-inc"},
			{title: "3 labels, counter, `Add(0.5)`", keys: "op=labels-add-float"},
			{title: "3 labels, gauge, `Set`", keys: "op=labels-set"},
			{title: "3 labels, histogram, `Observe`", keys: "op=labels-histogram"},
			{title: "3 labels, summary, `Observe`", keys: "op=labels-summary"},
		},
		columns: []column{
			{title: "shoal", keys: shoal},
			{title: "client_golang", keys: shoal + " side=client_golang"},
			{title: "VictoriaMetrics", keys: shoal + " side=victoriametrics"},
			{title: "shoal / client_golang", keys: shoal, over: "side=client_golang"},
			{title: "shoal / VictoriaMetrics", keys: shoal, over: "side=victoriametrics"},
			{title: "allocations: shoal", keys: shoal, unit: "allocs/op"},
			{title: "client_golang", keys: shoal + " side=client_golang", unit: "allocs/op"},
			{title: "VictoriaMetrics", keys: shoal + " side=victoriametrics", unit: "allocs/op"},
		},
	}
}

var middlewareTables = []table{
	{
		name: "routers", bench: "Middleware", head: "bare router",
		rows: []row{
			{title: "net/http", keys: "router=nethttp side=bare"},
			{title: "chi", keys: "router=chi side=bare"},
			{title: "gin", keys: "router=gin side=bare"},
			{title: "echo v4", keys: "router=echo side=bare"},
			{title: "echo v5", keys: "router=echov5 side=bare"},
			{title: "fiber v3", keys: "router=fiber side=bare"},
			{title: "fiber v2", keys: "router=fiberv2 side=bare"},
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
			{title: "shoal / the other", keys: "mode=serial side=shoal", minus: "side=bare", over: "peer"},
			{title: "on each core", keys: "mode=parallel", minus: "side=bare"},
			{title: "shoal / the other", keys: "mode=parallel side=shoal", minus: "side=bare", over: "peer"},
			{title: "bytes", keys: "mode=serial", minus: "side=bare", unit: "B/op"},
			{title: "allocations", keys: "mode=serial", minus: "side=bare", unit: "allocs/op"},
		},
	},
	{
		name: "wrk", bench: "Wrk", head: "", // the first column is only the rows' titles
		rows: []row{
			{title: "the router alone", keys: "side=bare"},
			{title: "with the middleware", keys: "side=shoal", peer: "side=bare"},
		},
		columns: []column{
			{title: "requests a second", unit: "req/s"},
			{title: "with / alone", unit: "req/s", over: "peer"},
			{title: "half of the answers within", unit: "p50-ns"},
			{title: "with / alone", unit: "p50-ns", over: "peer"},
			{title: "99 % of the answers within", unit: "p99-ns"},
			{title: "with / alone", unit: "p99-ns", over: "peer"},
		},
	},
}

const (
	recordsOurs    = "counter, duration, by method, route, code; in flight"
	recordsSlok    = "duration, response size by method, route, code; in flight by route"
	recordsSlokToo = "duration by method, route, code; in flight by route"
	recordsOtel    = "duration, request and response size by method, route, code, scheme, host, protocol"
	recordsChi     = "counter by method, route, code, protocol; duration by method, route, code; in flight by protocol"
	recordsGin     = "counter by method, route, code, handler, host; summaries of duration, request and response size without labels"
	recordsEcho    = "counter, duration, request and response size by method, route, code, host"
	recordsFiber   = "counter, duration, by method, route, code; in flight by method"
	recordsNothing = "nothing: what echo v4 takes for any middleware"
)

var middlewareRows = []row{
	ours("net/http", "nethttp"),
	theirs("net/http", "nethttp", "slok/go-http-metrics", recordsSlok, "slok"),
	theirs("net/http", "nethttp", "the same without sizes", recordsSlokToo, "slok-without-size"),
	theirs("net/http", "nethttp", "promhttp's three handlers", recordsOurs, "promhttp"),
	theirs("net/http", "nethttp", "otelhttp", recordsOtel, "otelhttp"),
	ours("chi", "chi"),
	theirs("chi", "chi", "slok/go-http-metrics", recordsSlok, "slok"),
	theirs("chi", "chi", "the same without sizes", recordsSlokToo, "slok-without-size"),
	theirs("chi", "chi", "go-chi/metrics", recordsChi, "go-chi-metrics"),
	ours("gin", "gin"),
	theirs("gin", "gin", "slok/go-http-metrics", recordsSlok, "slok"),
	theirs("gin", "gin", "the same without sizes", recordsSlokToo, "slok-without-size"),
	theirs("gin", "gin", "zsais/go-gin-prometheus", recordsGin, "go-gin-prometheus"),
	theirs("gin", "gin", "otelgin", recordsOtel, "otelgin"),
	ours("echo v4", "echo"),
	{title: "echo v4 | a middleware that only calls the next handler | " + recordsNothing, keys: "router=echo side=passing"},
	theirs("echo v4", "echo", "slok/go-http-metrics", recordsSlok, "slok"),
	theirs("echo v4", "echo", "the same without sizes", recordsSlokToo, "slok-without-size"),
	theirs("echo v4", "echo", "labstack's echoprometheus", recordsEcho, "echoprometheus"),
	ours("echo v5", "echov5"),
	theirs("echo v5", "echov5", "labstack's echoprometheus", recordsEcho, "echoprometheus"),
	ours("fiber v3", "fiber"),
	theirs("fiber v3", "fiber", "client_golang, by hand", recordsOurs, "by-hand"),
	ours("fiber v2", "fiberv2"),
	theirs("fiber v2", "fiberv2", "ansrivas/fiberprometheus", recordsFiber, "fiberprometheus"),
}

func ours(title, router string) row {
	return row{title: title + " | **shoal** | " + recordsOurs, keys: "router=" + router + " side=shoal"}
}

func theirs(title, router, name, records, side string) row {
	side = "side=" + side
	return row{title: title + " | " + name + " | " + records, keys: "router=" + router + " " + side, peer: side}
}
