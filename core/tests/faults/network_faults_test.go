// SPDX-License-Identifier: Apache-2.0

package faults_test

import (
	"testing"
	"time"
)

// networkFaults happen to the network between the application and a single server.
var networkFaults = []fault{
	{
		name: "slow", event: "latency of 50 to 150 ms",
		scrape: "pages, more slowly", totals: "exact", viaToxiproxy: true,
		begin: func(t *testing.T, r *fixture) {
			r.network.addToxic(t, "latency", "downstream", `"latency": 100, "jitter": 50`)
		},
		end: resetNetwork,
	},
	{
		name: "very slow", event: "latency of 5 s",
		scrape: "503 in time, `Redis has not answered in time`", totals: "exact", viaToxiproxy: true,
		begin: func(t *testing.T, r *fixture) { r.network.addToxic(t, "latency", "upstream", `"latency": 5000`) },
		says:  "Redis has not answered in time", end: resetNetwork,
	},
	{
		name: "black hole", event: "packets are dropped (by a firewall, or since a node is gone)",
		scrape: "503 in time, `Redis has not answered in time`", totals: "exact", viaToxiproxy: true,
		begin: func(t *testing.T, r *fixture) {
			r.network.addToxic(t, "timeout", "upstream", `"timeout": 0`)
			r.network.addToxic(t, "timeout", "downstream", `"timeout": 0`)
		},
		says: "Redis has not answered in time", end: resetNetwork,
	},
	{
		name: "cut", event: "connections are cut, again and again",
		scrape: "pages, and sometimes a 503 `the connection to Redis failed`", totals: "exact", viaToxiproxy: true, either: true,
		begin: func(t *testing.T, r *fixture) {
			for range 15 {
				r.network.reset(t)
				<-time.After(50 * time.Millisecond) // between two of them
			}
		},
	},
	{
		name: "reset", event: "every connection is reset after 20 ms",
		scrape: "503 `the connection to Redis failed`", totals: "exact", viaToxiproxy: true,
		begin: func(t *testing.T, r *fixture) { r.network.addToxic(t, "reset_peer", "downstream", `"timeout": 20`) },
		says:  "connection to Redis failed|can't be reached", end: resetNetwork,
	},
	{
		name: "cut in the middle of replies", event: "every connection ends in the middle of a reply",
		scrape: "503 `the connection to Redis failed`", totals: "exact, though Redis executed commands whose replies were lost", viaToxiproxy: true,
		begin: func(t *testing.T, r *fixture) { r.network.addToxic(t, "limit_data", "downstream", `"bytes": 900`) },
		says:  "connection to Redis failed|can't be reached", either: true, end: resetNetwork,
	},
	{
		name: "cut in the middle of requests", event: "every connection ends in the middle of a request",
		scrape: "pages or 503 `the connection to Redis failed`", totals: "exact", viaToxiproxy: true, either: true,
		begin: func(t *testing.T, r *fixture) { r.network.addToxic(t, "limit_data", "upstream", `"bytes": 1500`) },
		end:   resetNetwork,
	},
	{
		name: "slow to close", event: "connections that are cut take a second to close",
		scrape: "pages, and sometimes a 503", totals: "exact", viaToxiproxy: true, either: true,
		begin: func(t *testing.T, r *fixture) {
			r.network.addToxic(t, "slow_close", "downstream", `"delay": 1000`)
			r.network.addToxic(t, "slow_close", "upstream", `"delay": 1000`)
			for range 5 {
				r.hangUp(t)
				<-time.After(100 * time.Millisecond) // between two of them
			}
		},
		end: resetNetwork,
	},
	{
		name: "narrow", event: "a bandwidth of 20 kB/s",
		scrape: "pages, more slowly, or 503 in time", totals: "exact", viaToxiproxy: true, either: true,
		begin: func(t *testing.T, r *fixture) {
			r.network.addToxic(t, "bandwidth", "downstream", `"rate": 20`)
			r.network.addToxic(t, "bandwidth", "upstream", `"rate": 20`)
		},
		end: resetNetwork,
	},
	{
		name: "in small pieces", event: "data comes in pieces of about 100 bytes",
		scrape: "pages", totals: "exact", viaToxiproxy: true,
		begin: func(t *testing.T, r *fixture) {
			r.network.addToxic(t, "slicer", "downstream", `"average_size": 100, "size_variation": 50, "delay": 10`)
			r.network.addToxic(t, "slicer", "upstream", `"average_size": 100, "size_variation": 50, "delay": 10`)
		},
		end: resetNetwork,
	},
}

func resetNetwork(t *testing.T, r *fixture) { r.network.reset(t) }

// TestNetwork_Faults runs networkFaults.
func TestNetwork_Faults(t *testing.T) {
	t.Parallel()
	for i := range networkFaults {
		t.Run(networkFaults[i].name, networkFaults[i].run)
	}
}
