// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"math"
	"slices"
	"testing"

	"github.com/shoal-metrics/shoal/core/internal/wire"
)

func TestSummary_SendsSumAndCount(t *testing.T) {
	s := New().NewSummary(SummaryOpts{Name: "s"})
	vector := func(sum, count float64) []wire.Component {
		return []wire.Component{{Name: "sum", Value: sum}, {Name: "count", Value: count}}
	}
	s.Observe(2.5)
	s.Observe(-4)
	s.Observe(0)
	if got := s.drain(nil); !slices.Equal(got, vector(-1.5, 3)) {
		t.Errorf("drained %v", got)
	}
	s.Observe(math.MaxFloat64)
	s.Observe(math.MaxFloat64)
	if got := s.drain(nil); !slices.Equal(got, vector(math.MaxFloat64, 2)) {
		t.Errorf("a sum too large was drained as %v, want it kept finite", got)
	}
	s.Observe(1)
	if got := s.drain(nil); !slices.Equal(got, vector(1, 1)) {
		t.Errorf("drained %v after an overflow", got)
	}
}
