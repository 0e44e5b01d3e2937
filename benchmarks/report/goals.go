// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"strings"
)

// goal is a limit for a median.
type goal struct {
	title  string
	keys   string  // of the benchmark
	column column  // which value; if over is given, the limit is for the ratio
	limit  float64 // in the unit of the value
	least  bool    // the value must be at least limit; otherwise at most
}

var goals = append([]goal{
	besideClientGolang("counter, `Inc`, one goroutine", "inc", "serial", 1.3),
	besideClientGolang("counter, `Inc`, on each core", "inc", "parallel", 1.3),
	besideClientGolang("histogram, `Observe`, one goroutine", "histogram", "serial", 1.3),
	besideClientGolang("histogram, `Observe`, on each core", "histogram", "parallel", 0.8),
	besideClientGolang("counter, `Add(3)`, one goroutine", "add-integer", "serial", 1.1),
	besideClientGolang("gauge, `Set`, one goroutine", "set", "serial", 1.1),
	besideClientGolang("summary, `Observe`, one goroutine", "summary", "serial", 1.1),
	besideClientGolang("what a middleware counts of a request, one goroutine", "request", "serial", 1.1),
	{"time that a core loses on that where each core does it / client_golang", "HotPath op=request mode=parallel side=shoal",
		column{unit: "core-ns/op", minus: "mode=serial", over: "side=client_golang"}, 0.2, false},
	besideClientGolang("`WithLabelValues` of 3 labels and `Inc`, one goroutine", "labels-inc", "serial", 0.6),
	besideClientGolang("`WithLabelValues` of 3 labels and `Inc`, on each core", "labels-inc", "parallel", 0.6),
	withoutAllocation("counter, `Inc`", "inc"),
	withoutAllocation("histogram, `Observe`", "histogram"),
	withoutAllocation("`WithLabelValues` of 3 labels and `Inc`", "labels-inc"),
	{"requests a second with the middleware / without", "Wrk side=shoal", column{unit: "req/s", over: "side=bare"}, 0.95, true},
	{"flush of 10,000 counters, whole numbers / bare", "Flush counters=10000 delta=integers side=shoal", column{over: "side=hincrby"}, 1.3, false},
	{"flush of 10,000 counters, fractions / bare", "Flush counters=10000 delta=floats side=shoal", column{over: "side=hincrbyfloat"}, 0.9, false},
	{"a call of that flush, by the server, whole numbers", "Flush counters=10000 delta=integers side=shoal", column{unit: "server-ns/call"}, 1e-3, false},
	{"a call of that flush, by the server, fractions", "Flush counters=10000 delta=floats side=shoal", column{unit: "server-ns/call"}, 1e-3, false},
	{"a call of a flush of histograms, by the server", "Flush histograms=1000 side=shoal", column{unit: "server-ns/call"}, 1e-3, false},
	besidePromhttp("page of 10,000 counters / promhttp", "series=10000 kind=counters", 0.35),
	besidePromhttp("page of 100,000 counters / promhttp", "series=100000 kind=counters", 0.25),
	besidePromhttp("page of 10,000 lines of histograms / promhttp", "series=714 kind=histograms", 0.4),
	{"awaited additions a second, 100 goroutines", "SyncAdd goroutines=100 counters=1 side=shoal", column{unit: "adds/s"}, 100_000, true},
	{"gather and import of 10,000 series of client_golang, all changed / `Gather` alone", "Bridge changed=all side=bridge", column{unit: "gathers/op"}, 1.5, false},
	{"1,000 processes of 200 counters a second, cores of Redis", "Fleet kind=integers processes=1000", column{unit: "server-cores"}, 0.5, false},
	{"1,000 processes, mixed, cores of Redis", "Fleet kind=mixed processes=1000", column{unit: "server-cores"}, 1.2, false},
}, middlewareGoals()...)

func besideClientGolang(title, op, mode string, most float64) goal {
	return goal{title + " / client_golang", "HotPath op=" + op + " mode=" + mode + " side=shoal", column{over: "side=client_golang"}, most, false}
}

func withoutAllocation(title, op string) goal {
	return goal{title + ", allocations", "HotPath op=" + op + " mode=serial side=shoal", column{unit: "allocs/op"}, 0, false}
}

func besidePromhttp(title, keys string, most float64) goal {
	return goal{title, "Scrape format=text gzip=off side=shoal " + keys, column{over: "side=promhttp"}, most, false}
}

func middlewareGoals() (list []goal) {
	for _, m := range []struct {
		title, router string
		most          float64 // seconds
		allocations   float64
		peer, side    string // what the time is compared with; empty for nothing
	}{
		{"net/http", "nethttp", 300e-9, 1, "slok's", "slok"},
		{"chi", "chi", 300e-9, 1, "slok's", "slok"},
		{"gin", "gin", 300e-9, 1, "slok's", "slok"},
		{"echo v4", "echo", 300e-9, 1, "slok's", "slok"},
		{"echo v5", "echov5", 350e-9, 2, "echoprometheus's", "echoprometheus"},
		{"fiber v3", "fiber", 350e-9, 2, "", ""},
		{"fiber v2", "fiberv2", 350e-9, 2, "fiberprometheus's", "fiberprometheus"},
	} {
		keys := "Middleware router=" + m.router + " mode=serial side=shoal"
		list = append(list,
			goal{m.title + "'s middleware, more than the bare router", keys, column{minus: "side=bare"}, m.most, false},
			goal{"allocations of that middleware", keys, column{minus: "side=bare", unit: "allocs/op"}, m.allocations, false})
		if m.peer != "" {
			list = append(list, goal{"time of that middleware / " + m.peer, keys, column{minus: "side=bare", over: "side=" + m.side}, 0.5, false})
		}
	}
	return list
}

// goals makes the table that says whether each goal is met.
func (rs results) goals() string {
	var text strings.Builder
	text.WriteString("| | goal | measured | |\n| --- | --- | ---: | --- |\n")
	for _, g := range goals {
		fmt.Fprintf(&text, "| %s | %s | %s | %s |\n", g.title, g.wanted(), g.column.cell(g.keys, "", rs), g.verdict(rs))
	}
	return text.String()
}

func (g goal) wanted() string {
	sign := "≤ "
	if g.least {
		sign = "≥ "
	}
	if g.column.over != "" {
		return sign + ratio(g.limit)
	}
	return sign + figure(g.limit, g.column.inUnit())
}

func (g goal) verdict(found results) string {
	list := g.column.measured(g.keys, "", found)
	if len(list) == 0 {
		return "not measured yet"
	}
	median, _, _ := summary(list)
	if g.least && median >= g.limit || !g.least && median <= g.limit {
		return "met"
	}
	return "**missed**"
}
