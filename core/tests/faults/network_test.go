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

// line is the network between the application and a server: a toxiproxy.
type line struct {
	proxy *toxiproxy.Proxy
}

// newLine leads to a server and ends with the test.
func newLine(t *testing.T, server string) *line {
	t.Helper()
	l := &line{}
	l.start(t, redistest.FreeAddr(t), server)
	t.Cleanup(func() { l.proxy.Stop() })
	return l
}

func (l *line) addr() string { return l.proxy.Listen }

// spoil adds a toxic to a direction, "upstream" or "downstream".
func (l *line) spoil(t *testing.T, kind, stream, attributes string) {
	t.Helper()
	text := fmt.Sprintf(`{"name": %q, "type": %q, "stream": %q, "toxicity": 1, "attributes": {%s}}`,
		kind+"_"+stream, kind, stream, attributes)
	if _, err := l.proxy.Toxics.AddToxicJson(strings.NewReader(text)); err != nil {
		t.Fatal(err)
	}
}

// mend leads on without toxics. Lines under way are cut: bytes that a toxic
// swallowed would be missing in their middle, which no network does.
func (l *line) mend(t *testing.T) {
	t.Helper()
	l.proxy.Stop()
	l.start(t, l.proxy.Listen, l.proxy.Upstream)
}

func (l *line) start(t *testing.T, listen, server string) {
	t.Helper()
	// Another test may be starting a process just now, which for a moment has a
	// copy of the listener that was closed here.
	testkit.Eventually(t, func() error {
		api := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop())
		l.proxy = toxiproxy.NewProxy(api, "redis", listen, server)
		return l.proxy.Start()
	})
}
