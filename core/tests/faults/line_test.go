// SPDX-License-Identifier: Apache-2.0

package faults_test

import (
	"testing"
	"time"
)

// lineFaults happen to the line to a single server.
var lineFaults = []fault{
	{
		name: "slow", event: "latency of 100 ms, give or take 50",
		scrape: "pages, later", totals: "exact", spoilt: true,
		begin: func(t *testing.T, r *fixture) {
			r.line.spoil(t, "latency", "downstream", `"latency": 100, "jitter": 50`)
		},
		end: mend,
	},
	{
		name: "very slow", event: "latency of 5 s",
		scrape: "503 in time, `Redis has not answered in time`", totals: "exact", spoilt: true,
		begin: func(t *testing.T, r *fixture) { r.line.spoil(t, "latency", "upstream", `"latency": 5000`) },
		says:  "Redis has not answered in time", end: mend,
	},
	{
		name: "black hole", event: "packets vanish (a firewall that drops, a node that is gone)",
		scrape: "503 in time, `Redis has not answered in time`", totals: "exact", spoilt: true,
		begin: func(t *testing.T, r *fixture) {
			r.line.spoil(t, "timeout", "upstream", `"timeout": 0`)
			r.line.spoil(t, "timeout", "downstream", `"timeout": 0`)
		},
		says: "Redis has not answered in time", end: mend,
	},
	{
		name: "cut", event: "connections are cut, again and again",
		scrape: "pages, and now and then a 503 `the connection to Redis failed`", totals: "exact", spoilt: true, either: true,
		begin: func(t *testing.T, r *fixture) {
			for range 15 {
				r.line.mend(t)
				<-time.After(50 * time.Millisecond) // between two blows
			}
		},
	},
	{
		name: "reset", event: "every connection is reset after 20 ms",
		scrape: "503 `the connection to Redis failed`", totals: "exact", spoilt: true,
		begin: func(t *testing.T, r *fixture) { r.line.spoil(t, "reset_peer", "downstream", `"timeout": 20`) },
		says:  "connection to Redis failed|can't be reached", end: mend,
	},
	{
		name: "cut in the middle of replies", event: "every connection ends in the middle of a reply",
		scrape: "503 `the connection to Redis failed`", totals: "exact, though Redis did what was not answered", spoilt: true,
		begin: func(t *testing.T, r *fixture) { r.line.spoil(t, "limit_data", "downstream", `"bytes": 900`) },
		says:  "connection to Redis failed|can't be reached", either: true, end: mend,
	},
	{
		name: "cut in the middle of requests", event: "every connection ends in the middle of a request",
		scrape: "pages or 503 `the connection to Redis failed`", totals: "exact", spoilt: true, either: true,
		begin: func(t *testing.T, r *fixture) { r.line.spoil(t, "limit_data", "upstream", `"bytes": 1500`) },
		end:   mend,
	},
	{
		name: "slow to close", event: "connections that are cut take a second to close",
		scrape: "pages, and now and then a 503", totals: "exact", spoilt: true, either: true,
		begin: func(t *testing.T, r *fixture) {
			r.line.spoil(t, "slow_close", "downstream", `"delay": 1000`)
			r.line.spoil(t, "slow_close", "upstream", `"delay": 1000`)
			for range 5 {
				r.hangUp(t)
				<-time.After(100 * time.Millisecond) // between two blows
			}
		},
		end: mend,
	},
	{
		name: "narrow", event: "a line of 20 kB/s",
		scrape: "pages, later, or 503 in time", totals: "exact", spoilt: true, either: true,
		begin: func(t *testing.T, r *fixture) {
			r.line.spoil(t, "bandwidth", "downstream", `"rate": 20`)
			r.line.spoil(t, "bandwidth", "upstream", `"rate": 20`)
		},
		end: mend,
	},
	{
		name: "in small pieces", event: "packets of 100 bytes or so",
		scrape: "pages", totals: "exact", spoilt: true,
		begin: func(t *testing.T, r *fixture) {
			r.line.spoil(t, "slicer", "downstream", `"average_size": 100, "size_variation": 50, "delay": 10`)
			r.line.spoil(t, "slicer", "upstream", `"average_size": 100, "size_variation": 50, "delay": 10`)
		},
		end: mend,
	},
}

func mend(t *testing.T, r *fixture) { r.line.mend(t) }

// TestLine_Faults spoils the line to a single server in each of the ways of
// lineFaults.
func TestLine_Faults(t *testing.T) {
	t.Parallel()
	for i := range lineFaults {
		t.Run(lineFaults[i].name, lineFaults[i].run)
	}
}
