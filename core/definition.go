// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"sort"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/shoal-metrics/shoal/core/internal/wire"
)

// Labels are label names and their values.
type Labels map[string]string

// DefBuckets are the default upper bounds of a histogram's buckets, in
// seconds: those of client_golang, made for the latency of a network service.
var DefBuckets = []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}

// DefExpire is how long a gauge stays in Redis after its last refresh, by default.
const DefExpire = 60 * time.Second

// maxLabelValue is the length in bytes beyond which a label value is cut: values may come
// from a request, and Redis and each reader store them.
const maxLabelValue = 1024

// definition is a metric as it was declared. It never changes.
type definition struct {
	name       string
	noName     bool // Opts.Name was empty: name is Namespace and Subsystem
	help       string
	kind       string // wire.TypeCounter, ...
	mode       Mode   // gauges
	expire     time.Duration
	retention  time.Duration // 0 for that of the registry
	upper      []float64     // histograms: ascending upper bounds without +Inf
	labelNames []string      // of the children, in the order of declaration
	constNames []string      // ordered
	constVals  []string      // parallel to constNames
	cadence    cadence
	imported   bool // declared by an Importer: its series may have different label names
}

// fullName joins the parts of a metric's name with underscores.
func fullName(namespace, subsystem, name string) string {
	parts := make([]string, 0, 3)
	for _, p := range []string{namespace, subsystem, name} {
		if p != "" {
			parts = append(parts, p)
		}
	}
	return strings.Join(parts, "_")
}

// setConstLabels takes over the constant labels, ordered by name.
func (d *definition) setConstLabels(labels Labels) {
	for name := range labels {
		d.constNames = append(d.constNames, name)
	}
	sort.Strings(d.constNames)
	for _, name := range d.constNames {
		d.constVals = append(d.constVals, labels[name])
	}
}

// setBuckets takes over the upper bounds, or DefBuckets if there are none. It drops a +Inf at
// the end, which is implied, and makes negative zero 0.
func (d *definition) setBuckets(bounds []float64) {
	if len(bounds) == 0 {
		bounds = DefBuckets
	}
	d.upper = slices.Clone(bounds)
	if n := len(d.upper); math.IsInf(d.upper[n-1], 1) {
		d.upper = d.upper[:n-1]
	}
	for i, b := range d.upper {
		if b == 0 {
			d.upper[i] = 0
		}
	}
}

// validate returns an error that names the metric, what is wrong with it, and what to do.
func (d *definition) validate() error {
	if err := d.problem(); err != nil {
		return fmt.Errorf("shoal: %s %q: %w", d.kind, d.name, err)
	}
	return nil
}

// problem is validate's error without the metric's name.
func (d *definition) problem() error {
	if d.noName {
		return fmt.Errorf("%s%sOpts.Name is empty: set it; Namespace and Subsystem only stand before it",
			strings.ToUpper(d.kind[:1]), d.kind[1:])
	}
	if !wire.IsMetricName(d.name) {
		return errors.New("not a metric name: use letters, digits, '_' and ':', and no digit first")
	}
	if err := d.tooMuch(); err != nil {
		return err
	}
	if strings.HasPrefix(d.name, wire.SelfPrefix) && !d.cadence.own() {
		return fmt.Errorf("the prefix %s is reserved for shoal's own metrics: choose another name", wire.SelfPrefix)
	}
	if !utf8.ValidString(d.help) {
		return errors.New("the help text is not valid UTF-8")
	}
	if d.expire < 0 {
		return fmt.Errorf("Expire is %v: use a positive duration, or 0 for the default", d.expire)
	}
	if d.retention < 0 && d.retention != KeepForever {
		return fmt.Errorf("Retention is %v: use a positive duration, KeepForever, or 0 for that of the registry", d.retention)
	}
	if !d.mode.valid() {
		return fmt.Errorf("unknown gauge mode %q: use PerProcess, Sum, Max, Min, Avg, Latest or Total", string(d.mode))
	}
	if d.retention != 0 && !wire.Shared(d.kind, string(d.mode)) {
		return fmt.Errorf("Retention is %v, but the gauge's values belong to processes and end with them: leave it out", d.retention)
	}
	if d.mode == Total && d.expire != 0 {
		return fmt.Errorf("Expire is %v, but a Total gauge is a sum that never expires: leave it out", d.expire)
	}
	seen := map[string]bool{}
	for _, name := range slices.Concat(d.constNames, d.labelNames) {
		switch {
		case !wire.IsLabelName(name):
			return fmt.Errorf("%q is not a label name: use letters, digits and '_', and no digit first", name)
		case wire.IsReservedLabel(d.kind, name):
			return fmt.Errorf("the label name %q is reserved: choose another", name)
		case seen[name]:
			return fmt.Errorf("the label %q is declared twice", name)
		}
		seen[name] = true
	}
	for i, v := range d.constVals {
		if !utf8.ValidString(v) {
			return fmt.Errorf("the value of the constant label %s is not valid UTF-8", d.constNames[i])
		}
	}
	for i, b := range d.upper {
		if math.IsNaN(b) || math.IsInf(b, 0) || (i > 0 && b <= d.upper[i-1]) {
			return fmt.Errorf("bucket bounds must ascend and be finite: %v", d.upper)
		}
	}
	return nil
}

// tooMuch returns an error for a definition that is beyond what readers accept, or whose series
// may be; see [wire.MaxText].
func (d *definition) tooMuch() error {
	field := len(d.name) // of the series with the longest values, as it is stored
	for _, name := range d.labelNames {
		field += len(name) + maxLabelValue + 2*len(wire.Separator)
	}
	for i, name := range d.constNames {
		if n := len(d.constVals[i]); n > maxLabelValue {
			return fmt.Errorf("the value of the constant label %s has %d bytes: use at most %d", name, n, maxLabelValue)
		}
		field += len(name) + len(d.constVals[i]) + 2*len(wire.Separator)
	}
	switch {
	case len(d.name) > wire.MaxName:
		return fmt.Errorf("the name has %d bytes: use at most %d", len(d.name), wire.MaxName)
	case len(d.help) > wire.MaxHelp:
		return fmt.Errorf("the help text has %d bytes: use at most %d", len(d.help), wire.MaxHelp)
	case len(d.upper) > wire.MaxBounds:
		return fmt.Errorf("a histogram of %d buckets: use at most %d", len(d.upper), wire.MaxBounds)
	case field > wire.MaxText:
		return fmt.Errorf("labels of up to %d bytes a series, where each value has %d: use fewer, so that it is at most %d",
			field, maxLabelValue, wire.MaxText)
	}
	return nil
}

// expiresLate says whether the gauge expires after two refreshes at the earliest, whatever expire
// is: the program did not declare it, and so could not choose a longer time.
func (d *definition) expiresLate() bool { return d.cadence.own() || d.imported }

// hasLabel says whether the metric was declared with this label.
func (d *definition) hasLabel(name string) bool {
	return slices.Contains(d.labelNames, name) || slices.Contains(d.constNames, name)
}

// same says whether two declarations are of one metric: only the values of their constant
// labels may differ.
func (d *definition) same(o *definition) bool {
	return d.name == o.name && d.help == o.help && d.kind == o.kind && d.mode == o.mode && d.imported == o.imported &&
		d.expire == o.expire && d.retention == o.retention && slices.Equal(d.upper, o.upper) &&
		slices.Equal(d.labelNames, o.labelNames) && slices.Equal(d.constNames, o.constNames)
}

// importedPrefix begins the String of an imported definition.
const importedPrefix = "imported "

// String is the definition in an error.
func (d *definition) String() string {
	var b strings.Builder
	if d.imported {
		b.WriteString(importedPrefix)
	}
	fmt.Fprintf(&b, "%s %s (help %q", d.kind, d.name, d.help)
	if d.mode != PerProcess {
		fmt.Fprintf(&b, ", mode %s", string(d.mode))
	}
	if d.kind == wire.TypeGauge && d.mode != Total {
		fmt.Fprintf(&b, ", expire %v", d.expire)
	}
	if d.retention != 0 {
		fmt.Fprintf(&b, ", retention %v", d.retention)
	}
	if d.kind == wire.TypeHistogram {
		fmt.Fprintf(&b, ", buckets %v", d.upper)
	}
	if len(d.labelNames) > 0 {
		fmt.Fprintf(&b, ", labels %q", d.labelNames)
	}
	for i, name := range d.constNames {
		fmt.Fprintf(&b, ", %s=%q", name, d.constVals[i])
	}
	b.WriteByte(')')
	return b.String()
}

// wire returns the part of the definition that is stored. retention is the registry's.
func (d *definition) wire(retention time.Duration) wire.Definition {
	w := wire.Definition{Type: d.kind, Help: d.help, Mode: string(d.mode), Retention: max(0, cmp.Or(d.retention, retention))}
	for _, b := range d.upper {
		w.Bounds = append(w.Bounds, wire.FormatBound(b))
	}
	return w
}

// overflowValue is the value of every label of the overflow series, which takes what
// exceeds the cap of series.
const overflowValue = "shoal_overflow"
