// SPDX-License-Identifier: Apache-2.0

package page

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/shoal-metrics/shoal/core/internal/wire"
)

// A page that nobody waits for any more is not made to its end.
func TestPage_EndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	stored := make([]wire.Series, 10*endedEvery)
	for i := range stored {
		stored[i] = wire.Series{Field: fmt.Sprintf("a\xff%d", i), Text: "1"}
	}
	if _, _, err := indexSeries(ctx, newCounts(), "c", wire.TypeCounter, stored); !errors.Is(err, context.Canceled) {
		t.Errorf("indexing ends with %v", err)
	}
	series, values, err := indexSeries(t.Context(), newCounts(), "c", wire.TypeCounter, stored)
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range []string{wire.TypeCounter, wire.TypeGauge} {
		b := newBuilder(ctx, newCounts(), wire.AppState{})
		b.addGauges(wire.Lease{}, wire.GaugesReply{Entries: stored})
		f := storedFamily{name: "c", series: series, values: values, state: wire.FamilyState{Definition: wire.Definition{Type: kind, Mode: wire.ModeLatest}}}
		if _, err := b.build([]storedFamily{f}); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: building ends with %v", kind, err)
		}
		if b.rows > 3*endedEvery {
			t.Errorf("%s: it ends after %d rows", kind, b.rows)
		}
	}
}

// A stored vector may have many buckets, none of them a current one. To add it must not
// take longer where there are more current bounds.
func TestPage_TimeForForeignBucketsDoesNotGrowWithTheBounds(t *testing.T) {
	cost := func(bounds int, bucket string) time.Duration {
		sum := vectorSum{kind: wire.TypeHistogram}
		for i := range bounds {
			sum.bounds = append(sum.bounds, float64(i))
			sum.uppers = append(sum.uppers, wire.FormatBound(float64(i)))
		}
		text := strings.TrimSpace(strings.Repeat(bucket+":1 ", wire.MaxText/5))
		times := make([]time.Duration, 5)
		for i := range times {
			begin := time.Now()
			for range 5 {
				sum.reset()
				if err := sum.add(text); err != nil {
					t.Fatal(err)
				}
			}
			times[i] = time.Since(begin)
		}
		return slices.Min(times)
	}
	if few, many := cost(20, "0.5"), cost(wire.MaxBounds, "0.5"); many > 6*few {
		t.Errorf("%v with %d bounds, %v with 20", many, wire.MaxBounds, few)
	}
}

// The size of a page's text is computed before the page is made, without the largest
// families if it is too long.
func TestPage_ThatWouldBeTooLongAsTextLacksItsLargestFamilies(t *testing.T) {
	b := newBuilder(t.Context(), newCounts(), wire.AppState{})
	family := func(name string, n, bounds int) storedFamily {
		return storedFamily{
			name: name, series: &seriesIndex{labels: &labelSets{fields: make([]string, n)}, labelText: 10 * n},
			state: wire.FamilyState{Definition: wire.Definition{Type: wire.TypeHistogram, Bounds: make([]string, bounds)}},
		}
	}
	families := []storedFamily{family("a", 10, 10), family("b", 100_000, 1000), family("c", 50_000, 10), family("d", 30_000_000, 1000), family("e", 90_000, 10)}
	if large, _ := b.tooLarge(families); len(large) != 2 || !large[1] || !large[3] {
		t.Errorf("too large are %v", large)
	}
	if large, _ := b.tooLarge(families[:1]); large != nil {
		t.Errorf("too large are %v", large)
	}
	if n := mulBounded(math.MaxInt32, math.MaxInt32); n != wire.MaxPage+1 || addBounded(n, n) != n {
		t.Errorf("%d", n)
	}
}
