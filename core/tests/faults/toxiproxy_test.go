// SPDX-License-Identifier: Apache-2.0

package faults_test

import (
	"fmt"
	"strings"
	"testing"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/rs/zerolog"

	"github.com/shoal-metrics/shoal/core/tests/redistest"
	"github.com/shoal-metrics/shoal/core/tests/testkit"
)

// network is the network between the application and a server: a toxiproxy.
type network struct {
	proxy *toxiproxy.Proxy // another one after each reset
}

// startNetwork starts a network that leads to a server. It ends with the test.
func startNetwork(t *testing.T, server string) *network {
	t.Helper()
	n := &network{}
	n.start(t, redistest.FreeAddr(t), server)
	t.Cleanup(func() { n.proxy.Stop() })
	return n
}

func (n *network) addr() string { return n.proxy.Listen }

// addToxic adds a toxic to a direction, "upstream" or "downstream".
func (n *network) addToxic(t *testing.T, kind, stream, attributes string) {
	t.Helper()
	text := fmt.Sprintf(`{"name": %q, "type": %q, "stream": %q, "toxicity": 1, "attributes": {%s}}`,
		kind+"_"+stream, kind, stream, attributes)
	if _, err := n.proxy.Toxics.AddToxicJson(strings.NewReader(text)); err != nil {
		t.Fatal(err)
	}
}

// reset removes all toxics and cuts all connections: on an open connection the bytes that a
// toxic dropped would be missing, which no network does.
func (n *network) reset(t *testing.T) {
	t.Helper()
	n.proxy.Stop()
	n.start(t, n.proxy.Listen, n.proxy.Upstream)
}

func (n *network) start(t *testing.T, listen, server string) {
	t.Helper()
	// The port may be taken for a moment: a process that another test is starting right
	// now has a copy of the listener that was closed here.
	testkit.Eventually(t, func() error {
		api := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop())
		n.proxy = toxiproxy.NewProxy(api, "redis", listen, server)
		return n.proxy.Start()
	})
}
