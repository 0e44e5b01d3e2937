// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"fmt"
	"strings"
	"testing"

	"github.com/shoal-metrics/shoal/core/internal/wire"
)

// A declaration that readers would take for damage is refused, and the largest that they
// accept is not.
func TestLimits_DeclarationsStayWithinWhatReadersAccept(t *testing.T) {
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

func TestLimits_LongTextsOfALeaseAreCut(t *testing.T) {
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
