// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"strings"
)

// growthGoals are limits for what grows: with families, series, processes, or on slow lines. An
// awaited addition takes a round trip itself, and may wait for two more and for a core of the
// machine. A page may take some two round trips for each 1,000 families.
var growthGoals = []goal{
	{"round trips of the first page of 1,000 families", "FirstPage line=20ms families=1000", column{unit: "round-trips"}, 5, false},
	{"a page of 100,000 series, one of them new / none new", "News series=100000 side=new", column{over: "side=known"}, 1.5, false},
	{"bytes allocated for that page / none new", "News series=100000 side=new", column{unit: "B/op", over: "side=known"}, 1.5, false},
	{"pages of 100 scrapes, a line of 80 ms, 120,000 series, one more each second", "NewsOnLine series=120000 line=80ms", column{unit: "%-pages"}, 100, true},
	{"longest awaited addition during housekeeping, 20 ms × 300 families, round trips more than before it", "AwaitedAdd during=housekeeping families=300", column{unit: "stall-trips"}, 2, false},
	{"the same, 1,000 families", "AwaitedAdd during=housekeeping families=1000", column{unit: "stall-trips"}, 2, false},
	{"of 100 families, how many that housekeeping has done, 20 ms × 1,000 families", "AwaitedAdd during=housekeeping families=1000", column{unit: "%-done"}, 100, true},
	{"a new lease beside 10,000, µs of Redis", "Lease kind=new leases=10000", column{unit: "server-µs/lease"}, 50, false},
	{"10,000 new leases at once, µs of Redis for each", "Lease kind=storm leases=10000", column{unit: "server-µs/lease"}, 50, false},
	{"flush of 10,000 families, for each", "FlushFamilies families=10000", column{unit: "family-ns"}, 40e-6, false},
	{"longest awaited addition during a refresh, 20 ms × 300 families, in round trips", "AwaitedAdd during=refresh families=300", column{unit: "longest-trips"}, 3.5, false},
	{"the same, 1,000 families", "AwaitedAdd during=refresh families=1000", column{unit: "longest-trips"}, 3.5, false},
	{"pages of 100 scrapes, each of which meets a dead connection", "Resets bad=dead", column{unit: "%-pages"}, 100, true},
	{"1 % of requests meet a reset", "Resets bad=1%", column{unit: "%-pages"}, 99, true},
	{"10 % of requests meet a reset", "Resets bad=10%", column{unit: "%-pages"}, 95, true},
	{"narrow line at two thirds, failures a minute", "NarrowLine", column{unit: "failures/min"}, 0, false},
	{"how late / the time that the line needs for the payload", "NarrowLine", column{unit: "late-over-line"}, 2, false},
	{"in-flight gauge, counter and histogram of one route, on each core / client_golang", "HotPath op=request mode=parallel side=shoal", column{over: "side=client_golang"}, 0.2, false},
	besideClientGolang("summary, `Observe`, one goroutine", "summary", "serial", 1.1),
	besideClientGolang("gauge, `Set`, one goroutine", "set", "serial", 1.1),
	besideClientGolang("counter, `Add(3)`, one goroutine", "add-integer", "serial", 1.1),
	{"page of 20 families and 200 series, nothing to send", "SmallPage load=idle side=shoal", column{}, 300e-6, false},
	{"scripts of a short-lived process", "ShortLived", column{unit: "scripts"}, 18, false},
	{"bytes that a short-lived process sends", "ShortLived", column{unit: "sent-B"}, 9000, false},
	{"removal of a control hash of 1,000,000 numbers, the longest call", "Delete writers=1000000", column{unit: "longest-call-ns"}, 1e-3, false},
	{"new series of 8 labels of 40 bytes, half of the calls", "NewSeries labels=long", column{unit: "median-call-ns"}, 1e-3, false},
	{"flush of 10,000 counters, whole numbers / bare", "Flush counters=10000 delta=integers side=shoal", column{over: "side=hincrby"}, 1.2, false},
	{"1,000 processes of 200 counters a second, cores of Redis", "Fleet kind=integers processes=1000", column{unit: "server-cores"}, 0.35, false},
}

// growth makes the table of these goals, before and now.
func (rs results) growth() string {
	var text strings.Builder
	text.WriteString("| | goal | before | now | |\n| --- | --- | ---: | ---: | --- |\n")
	for _, g := range growthGoals {
		before := g.column
		before.before = true
		fmt.Fprintf(&text, "| %s | %s | %s | %s | %s |\n", g.title, g.wanted(),
			before.cell(g.keys, "", rs), g.column.cell(g.keys, "", rs), g.verdict(rs))
	}
	return text.String()
}

// beforeAndNow doubles columns: those of the older commit come first.
func beforeAndNow(columns ...column) (both []column) {
	for _, c := range columns {
		old := c
		old.title, old.before = c.title+": before", true
		c.title = "now"
		both = append(both, old, c)
	}
	return both
}

// growthTables show how much grows with what.
var growthTables = []table{
	{name: "growth", text: results.growth},
	{
		name: "first-page", bench: "FirstPage", head: "families", rows: sizes("families", 10, 100, 1000, 10_000),
		columns: beforeAndNow(
			column{title: "round trips", keys: "line=20ms", unit: "round-trips"},
			column{title: "bytes read", keys: "line=20ms", unit: "received-B"},
			column{title: "time", keys: "line=20ms", unit: "first-page-ns"},
			column{title: "answers 503", keys: "line=20ms", unit: "refused"},
		),
	},
	{
		name: "news", bench: "News", head: "series", rows: sizes("series", 1000, 10_000, 100_000),
		columns: beforeAndNow(
			column{title: "time", keys: "side=new"},
			column{title: "time / nothing new", keys: "side=new", over: "side=known"},
			column{title: "allocated", keys: "side=new", unit: "B/op"},
			column{title: "allocated / nothing new", keys: "side=new", unit: "B/op", over: "side=known"},
			column{title: "read", keys: "side=new", unit: "received-B"},
		),
	},
	{
		name: "flush-families", bench: "FlushFamilies", head: "families", rows: sizes("families", 10, 100, 1000, 10_000),
		columns: beforeAndNow(
			column{title: "a flush"},
			column{title: "for each family", unit: "family-ns"},
			column{title: "bytes for each", unit: "sent-B/series"},
			column{title: "allocations", unit: "allocs/op"},
		),
	},
	{
		name: "leases", bench: "Lease", head: "µs of Redis for a lease, beside", rows: sizes("leases", 10, 100, 1000, 10_000),
		columns: beforeAndNow(
			column{title: "a new one", keys: "kind=new", unit: "server-µs/lease"},
			column{title: "a renewal", keys: "kind=renewal", unit: "server-µs/lease"},
			column{title: "all new at once", keys: "kind=storm", unit: "server-µs/lease"},
			column{title: "all back at once", keys: "kind=return", unit: "server-µs/lease"},
		),
	},
	{
		name: "contended", bench: "HotPath", head: "a goroutine on each core, one series",
		rows: []row{
			{title: "counter, `Inc`", keys: "op=inc mode=parallel"},
			{title: "histogram, `Observe`", keys: "op=histogram mode=parallel"},
			{title: "summary, `Observe`", keys: "op=summary mode=parallel"},
		},
		columns: beforeAndNow(
			column{title: "shoal", keys: "side=shoal"},
			column{title: "shoal / client_golang", keys: "side=shoal", over: "side=client_golang"},
		),
	},
	{
		name: "awaited", bench: "AwaitedAdd", head: "meanwhile",
		rows: []row{
			{title: "refresh of 300 families", keys: "during=refresh families=300"},
			{title: "refresh of 1,000 families", keys: "during=refresh families=1000"},
			{title: "housekeeping of 300 families", keys: "during=housekeeping families=300"},
			{title: "housekeeping of 1,000 families", keys: "during=housekeeping families=1000"},
		},
		columns: beforeAndNow(
			column{title: "longest wait", unit: "longest-wait-ns"},
			column{title: "in round trips", unit: "longest-trips"},
			column{title: "more than in the 8 s before", unit: "stall-trips"},
			column{title: "half of the waits", unit: "median-wait-ns"},
			column{title: "% of the families done", unit: "%-done"},
		),
	},
	{
		name: "bad-lines", bench: "Resets", head: "connections",
		rows: []row{
			{title: "1 % of the requests meet a reset", keys: "bad=1%"},
			{title: "10 % of the requests meet a reset", keys: "bad=10%"},
			{title: "each scrape meets a dead connection", keys: "bad=dead"},
			{title: "120,000 series on a line of 80 ms, one more each second", keys: "NewsOnLine series=120000 line=80ms"},
		},
		columns: beforeAndNow(column{title: "% of the answers that are pages", unit: "%-pages"}),
	},
	{
		name: "narrow", bench: "NarrowLine", head: "", rows: []row{{title: "two thirds of the line"}},
		columns: beforeAndNow(
			column{title: "failures a minute", unit: "failures/min"},
			column{title: "seconds late", unit: "s-late"},
			column{title: "late / the time that the line needs", unit: "late-over-line"},
		),
	},
	{
		name: "small-page", bench: "SmallPage", head: "20 families, 200 series",
		rows: []row{{title: "nothing to send", keys: "load=idle"}, {title: "with a flush", keys: "load=writes"}},
		columns: beforeAndNow(
			column{title: "shoal", keys: "side=shoal"},
			column{title: "shoal / promhttp", keys: "side=shoal", over: "side=promhttp"},
			column{title: "allocations", keys: "side=shoal", unit: "allocs/op"},
		),
	},
	{
		name: "short-lived", bench: "ShortLived", head: "", rows: []row{{title: "a process"}},
		columns: beforeAndNow(
			column{title: "scripts", unit: "scripts"},
			column{title: "bytes sent", unit: "sent-B"},
			column{title: "round trips", unit: "round-trips"},
		),
	},
	{
		name: "blocking", bench: "NewSeries", head: "calls that block Redis",
		rows: []row{
			{title: "10,000 new series of 3 labels of 8 bytes", keys: "labels=short"},
			{title: "10,000 new series of 8 labels of 40 bytes", keys: "labels=long"},
			{title: "removal of a control hash of 10,000 numbers", keys: "Delete writers=10000"},
			{title: "of 100,000 numbers", keys: "Delete writers=100000"},
			{title: "of 1,000,000 numbers", keys: "Delete writers=1000000"},
		},
		columns: beforeAndNow(
			column{title: "half of the calls", unit: "median-call-ns"},
			column{title: "nine of ten", unit: "p90-call-ns"},
			column{title: "the longest", unit: "longest-call-ns"},
		),
	},
}

// sizes are the rows of a benchmark that grows.
func sizes(key string, list ...float64) (rows []row) {
	for _, n := range list {
		rows = append(rows, row{title: number(n), keys: fmt.Sprintf("%s=%.0f", key, n)})
	}
	return rows
}
