// SPDX-License-Identifier: Apache-2.0

package behaviour_test

import (
	"fmt"
	"math"
	"strings"
	"testing"

	shoal "github.com/shoal-metrics/shoal/core"

	"github.com/shoal-metrics/shoal/core/tests/testkit"
)

// The largest possible declarations are written and read as any others, and never taken for damage.
func TestLimits_TheLargestDeclarationsAreOnThePage(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	heard := new(testkit.Heard)
	reg := f.process(t, hearing(heard))
	bounds := make([]float64, 1000)
	for i := range bounds {
		bounds[i] = -math.Nextafter(1e-300, 0) / float64(i+1) // numbers with the longest text
	}
	h := reg.NewHistogram(shoal.HistogramOpts{Name: "took", Help: strings.Repeat("h", 16<<10), Buckets: bounds})
	for _, b := range bounds {
		h.Observe(b)
	}
	labels, values := make([]string, 62), make([]string, 62)
	for i := range labels {
		labels[i], values[i] = fmt.Sprintf("l%02d", i), strings.Repeat(fmt.Sprint(i%10), 1024)
	}
	name := strings.Repeat("n", 1024)
	reg.NewCounterVec(shoal.CounterOpts{Name: name}, labels).WithLabelValues(values...).Inc()
	reg.NewGaugeVec(shoal.GaugeOpts{Name: "g" + name[1:]}, labels).WithLabelValues(values...).Set(2)
	flush(t, reg)
	for range 2 {
		p := testkit.Scrape(t, reg)
		p.Want(t, "took_count", "1000", fmt.Sprintf(`took_bucket{le="%g"}`, bounds[0]), "1", "shoal_corrupt_values_total", "0", "shoal_omitted_families_total", "0")
		for _, family := range []string{name, "g" + name[1:]} {
			p.WantSamples(t, family, 1)
		}
	}
	if got := heard.Of("omitted"); len(got) > 0 {
		t.Errorf("heard %q", got)
	}
}
