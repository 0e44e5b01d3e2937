// SPDX-License-Identifier: Apache-2.0

package testkit

import (
	"errors"
	"fmt"
	"strings"

	dto "github.com/prometheus/client_model/go"
)

// Rising remembers the samples that never fall, over pages of any process: counters,
// buckets, counts, and sums, since no test that uses it observes a negative number.
type Rising map[string]float64

// Check returns an error if a sample fell or vanished since the page before. A bucket may
// vanish, since the shown bounds may change; when it is back it must not have fallen.
func (r Rising) Check(p Page) error {
	var errs []error
	for series, before := range r {
		v, shown := p.Value(series)
		switch {
		case !shown && !strings.HasSuffix(familyOf(series), "_bucket"):
			errs = append(errs, fmt.Errorf("%s has vanished, it was %v", series, before))
		case shown && v < before:
			errs = append(errs, fmt.Errorf("%s fell from %v to %v", series, before, v))
		}
	}
	for series := range p.Samples {
		if p.rises(familyOf(series)) {
			r[series], _ = p.Value(series)
		}
	}
	return errors.Join(errs...)
}

// rises says whether the samples of a name are of a counter, histogram or summary.
func (p Page) rises(name string) bool {
	if f := p.families[name]; f != nil {
		return f.GetType() == dto.MetricType_COUNTER
	}
	return true // a part of a histogram or summary
}
