// SPDX-License-Identifier: Apache-2.0

package peers

import (
	"testing"

	"github.com/shoal-metrics/shoal/core/tests/redistest"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	// A peer's summaries have a goroutine that never ends.
	redistest.Main(m, goleak.IgnoreAnyFunction("github.com/VictoriaMetrics/metrics.summariesSwapCron"))
}
