// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/shoal-metrics/shoal/core/internal/memstore"
	"github.com/shoal-metrics/shoal/core/internal/wire"
)

// What readers would take for damaged is refused where it is declared, and what is just
// below is not.
func TestLimits_DeclarationsStayWithinWhatReadersBelieve(t *testing.T) {
	ascending := func(n int) []float64 {
		bounds := make([]float64, n)
		for i := range bounds {
			bounds[i] = float64(i)
		}
		return bounds
	}
	labels := func(n int) []string {
		names := make([]string, n)
		for i := range names {
			names[i] = fmt.Sprintf("l%02d", i)
		}
		return names
	}
	tests := map[string]func(more int) error{
		"the name has": func(more int) error {
			_, err := New().RegisterCounter(CounterOpts{Name: strings.Repeat("n", wire.MaxName+more)})
			return err
		},
		"the help text has": func(more int) error {
			_, err := New().RegisterCounter(CounterOpts{Name: "c", Help: strings.Repeat("h", wire.MaxHelp+more)})
			return err
		},
		"buckets: use at most": func(more int) error {
			_, err := New().RegisterHistogram(HistogramOpts{Name: "h", Buckets: ascending(wire.MaxBounds + more)})
			return err
		},
		"the value of the constant label": func(more int) error {
			_, err := New().RegisterCounter(CounterOpts{Name: "c", ConstLabels: Labels{"a": strings.Repeat("v", maxLabelValue+more)}})
			return err
		},
		"labels of up to": func(more int) error {
			_, err := New().RegisterCounterVec(CounterOpts{Name: "c"}, labels(63+more))
			return err
		},
	}
	for words, declare := range tests {
		if err := declare(0); err != nil {
			t.Errorf("%s: as much as may be: %v", words, err)
		}
		mentions(t, declare(1), words)
	}
}

func TestLimits_WhatALeaseTellsIsCut(t *testing.T) {
	o, err := Opts{App: "a", Host: strings.Repeat("h", 300), Version: strings.Repeat("\u00e4", 200)}.complete()
	if err != nil || len(o.Host) != wire.MaxInfo || o.Version != strings.Repeat("\u00e4", 127) {
		t.Errorf("%q, %q, %v", o.Host, o.Version, err)
	}
	index := wire.MaxIndex
	if index++; index > wire.MaxIndex { // it fits into an int
		_, err = Opts{App: "a", Index: &index}.complete()
		mentions(t, err, "Opts.Index is 2147483648")
	}
}

// A page that nobody waits for any more is not made to its end.
func TestPage_EndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	reg := New()
	r := newReader(reg, memstore.New().Store("shop"), Opts{LeaseDuration: time.Second})
	defer r.cancel()
	stored := make([]wire.Series, 10*endedEvery)
	for i := range stored {
		stored[i] = wire.Series{Field: fmt.Sprintf("a\xff%d", i), Text: "1"}
	}
	if _, _, err := r.learn(ctx, "c", "s", stored); !errors.Is(err, context.Canceled) {
		t.Errorf("learning ends with %v", err)
	}
	known, values, err := r.learn(t.Context(), "c", "s", stored)
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range []string{wire.TypeCounter, wire.TypeGauge} {
		b := newPageBuilder(ctx, reg, wire.AppState{})
		b.addGauges(wire.Lease{}, wire.GaugesReply{Entries: stored})
		f := readFamily{name: "c", known: known, values: values, state: wire.FamilyState{Definition: wire.Definition{Type: kind, Mode: wire.ModeLatest}}}
		if _, err := b.build([]readFamily{f}); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: building ends with %v", kind, err)
		}
		if b.rows > 3*endedEvery {
			t.Errorf("%s: it ends after %d rows", kind, b.rows)
		}
	}
}

// A vector whose buckets are none of the current ones costs no more the more bounds there are.
func TestPage_ForeignBucketsCostNoProductOfTheirNumberAndTheBounds(t *testing.T) {
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

// What a page would be is computed before anything is made of it, and the largest goes.
func TestPage_ThatWouldBeTooLongAsTextLacksItsLargestFamilies(t *testing.T) {
	b := newPageBuilder(t.Context(), New(), wire.AppState{})
	family := func(name string, series, bounds int) readFamily {
		return readFamily{
			name: name, known: &knownFamily{labels: &labelSets{fields: make([]string, series)}, text: 10 * series},
			state: wire.FamilyState{Definition: wire.Definition{Type: wire.TypeHistogram, Bounds: make([]string, bounds)}},
		}
	}
	families := []readFamily{family("a", 10, 10), family("b", 100_000, 1000), family("c", 50_000, 10), family("d", 30_000_000, 1000), family("e", 90_000, 10)}
	if large := b.tooLarge(families); len(large) != 2 || !large[1] || !large[3] {
		t.Errorf("too large are %v", large)
	}
	if large := b.tooLarge(families[:1]); large != nil {
		t.Errorf("too large are %v", large)
	}
	if n := mulBounded(math.MaxInt32, math.MaxInt32); n != wire.MaxPage+1 || addBounded(n, n) != n {
		t.Errorf("%d", n)
	}
}
