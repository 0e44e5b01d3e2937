// SPDX-License-Identifier: Apache-2.0

package redisclient

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

func TestClusterServers_AreAsManyAsAClusterHas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		servers := newClusterServerSet()
		named := func(from, n int) map[string]struct{} {
			addrs := make(map[string]struct{})
			for i := range n {
				addrs[fmt.Sprintf("host-%d:6379", from+i)] = struct{}{}
			}
			return addrs
		}
		if servers.admit(named(0, maxClusterServers+1)) {
			t.Error("one server more than a Cluster has")
		}
		if !servers.admit(named(0, maxClusterServers)) || !servers.admit(named(0, maxClusterServers)) {
			t.Error("no Cluster of that size")
		}
		if servers.admitOne("10.0.0.1:6379") || servers.admit(named(500, maxClusterServers)) {
			t.Error("ever more servers")
		}
		time.Sleep(3 * newServerEvery)
		if servers.admit(named(maxClusterServers, 4)) || !servers.admit(named(maxClusterServers, 3)) || servers.admitOne("10.0.0.1:6379") {
			t.Error("room for other than three, when it was made for three")
		}
		if !servers.admitOne("host-1:6379") {
			t.Error("a redirection to a server that is known")
		}
	})
}
