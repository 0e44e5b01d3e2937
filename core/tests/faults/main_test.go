// SPDX-License-Identifier: Apache-2.0

package faults_test

import (
	"flag"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"github.com/shoal-metrics/shoal/core/tests/redistest"
	"github.com/shoal-metrics/shoal/core/tests/testkit"
)

var (
	runs     = flag.Int("runs", 1, "how often each failover with a replica that lags is done")
	chaosFor = flag.Duration("chaos", 20*time.Second, "how long TestChaos goes on")
	chaosAs  = flag.Uint64("seed", 1, "of TestChaos")
	rolling  = flag.Duration("rolling", 0, "for how long TestLines_ADeployLeavesNobodyWithoutAPage begins one deploy after another; at least one")
	update   = flag.Bool("update", false, "write the table of docs/faults.md anew")
)

func TestMain(m *testing.M) {
	redistest.Parallel(12)
	redis.SetLogger(new(testkit.Heard)) // go-redis would log every connection that a test cuts
	// The goroutine of a toxic that holds data when its connection is cut never ends,
	// nor do those of the toxics before and after it.
	redistest.Main(m,
		goleak.IgnoreAnyFunction("github.com/Shopify/toxiproxy/v2/toxics.(*ToxicStub).Run"),
		goleak.IgnoreAnyFunction("github.com/Shopify/toxiproxy/v2.(*ToxicLink).write"),
		goleak.IgnoreAnyFunction("github.com/Shopify/toxiproxy/v2.(*ToxicLink).read"))
}
