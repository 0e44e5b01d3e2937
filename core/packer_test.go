// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"fmt"
	"strings"
	"testing"

	"github.com/shoal-metrics/shoal/core/internal/memstore"
)

// The first batch with a series marks it, which takes Redis several times as long, and longer
// with long labels: see docs/protocol.md, Batches and pipelines.
func TestPacker_BatchesThatMarkSeriesAreSmall(t *testing.T) {
	const series = 1024
	labels := []string{"a", "b", "c", "d", "e", "f", "g", "h"}
	for name, test := range map[string]struct {
		length int // of each label value
		first  int // batches that mark the series
	}{
		"short labels": {5, series / 60},
		"long labels":  {40, series / 48},
	} {
		t.Run(name, func(t *testing.T) {
			server := memstore.New()
			r, w := stepped(server.Store("shop"))
			v := r.NewCounterVec(CounterOpts{Name: "c_total"}, labels)
			batches := func() int {
				j := journalOf(server)
				for i := range series {
					value := fmt.Sprintf("%04d", i) + strings.Repeat("x", test.length-4)
					v.WithLabelValues(value, value, value, value, value, value, value, value).Inc()
				}
				if err := w.flushAll(); err != nil {
					t.Fatal(err)
				}
				return j.count(commitC)
			}
			if n := batches(); n < test.first {
				t.Errorf("%d batches mark %d series, want at least %d", n, series, test.first)
			}
			if n := batches(); n != series/batchWeight {
				t.Errorf("known series take %d batches, want %d", n, series/batchWeight)
			}
		})
	}
}
