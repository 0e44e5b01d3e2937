// SPDX-License-Identifier: Apache-2.0

package shoal

import "fmt"

// overflowed counts writes that went to the overflow series.
func (r *Registry) overflowed(f *family, n int) {
	r.self.overflowed.WithLabelValues(f.def.name).Add(float64(n))
	r.report("overflow "+f.def.name, &overflowError{f})
}

// overflowError tells that a family reached its cap.
type overflowError struct{ f *family }

func (e *overflowError) Error() string {
	return "shoal: " + e.f.def.kind + " " + e.f.def.name + " has reached its cap of series: " +
		"further label sets share the series with the labels " + overflowValue +
		"; use fewer label values or raise Opts.SeriesLimit"
}

// reportBeyondCap reports the metrics that have more series than the cap that Connect has just
// set: before it there was none.
func (r *Registry) reportBeyondCap() {
	c := r.conn.Load()
	for _, f := range *r.families.Load() {
		if n := f.table.series.Len(); n > f.limit() && c.writer != nil {
			r.report("overflow "+f.def.name, &beyondCapError{f, n})
		}
	}
}

// beyondCapError tells that a family had more series than its cap when the registry was connected.
type beyondCapError struct {
	f      *family
	series int
}

func (e *beyondCapError) Error() string {
	what := "those for which Redis has no room share the series with the labels " + overflowValue
	if !e.f.shared() {
		what = "this process keeps them and makes no more"
	}
	return fmt.Sprintf("shoal: %s %s had %d series when the registry was connected, and its cap is %d: "+
		"%s; use fewer label values or raise Opts.SeriesLimit", e.f.def.kind, e.f.def.name, e.series, e.f.limit(), what)
}
