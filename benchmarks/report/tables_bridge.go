// SPDX-License-Identifier: Apache-2.0

package main

// bridgeTables are those of metrics that another client counts.
var bridgeTables = []table{
	{
		name: "bridge", head: "10,000 series of client_golang | compared with",
		rows: []row{
			{title: "gather and import, none changed | `Gather` alone", keys: "Bridge changed=none", peer: "side=gather"},
			{title: "gather and import, all changed | `Gather` alone", keys: "Bridge changed=all", peer: "side=gather"},
			{title: "the flush of what was imported | of shoal's own metrics", keys: "BridgeFlush", peer: "side=native"},
			{title: "client_golang's `Inc`, 10 imports a second | 10 times `Gather` a second", keys: "BridgeInc", peer: "side=gather"},
		},
		columns: []column{
			{title: "bridge", keys: "side=bridge"},
			{title: "the other", keys: "peer"},
			{title: "bridge / the other", keys: "side=bridge", over: "peer"},
			{title: "of it the import", keys: "side=bridge", unit: "import-ns/op"},
			{title: "the whole / its own `Gather`", keys: "side=bridge", unit: "gathers/op"},
		},
	},
	{
		name: "bridge-memory", bench: "BridgeMemory", head: "a series of 3 labels",
		rows: []row{
			{title: "counter", keys: "kind=counter"},
			{title: "gauge", keys: "kind=gauge"},
			{title: "histogram, 12 buckets", keys: "kind=histogram"},
		},
		columns: []column{
			{title: "in client_golang", keys: "side=client_golang", unit: "B/series"},
			{title: "once more, imported", keys: "side=bridge", unit: "B/series"},
		},
	},
}
