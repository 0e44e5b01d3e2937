// SPDX-License-Identifier: Apache-2.0

package wire

import "time"

// The types of a family, as stored.
const (
	TypeCounter   = "counter"
	TypeGauge     = "gauge"
	TypeSummary   = "summary"
	TypeHistogram = "histogram"
)

// IsType says whether s is the type of a family.
func IsType(s string) bool {
	return s == TypeCounter || s == TypeGauge || s == TypeSummary || s == TypeHistogram
}

// The modes of a gauge, as stored. The empty mode shows each process's value.
const (
	ModeSum    = "sum"
	ModeMax    = "max"
	ModeMin    = "min"
	ModeAvg    = "avg"
	ModeLatest = "latest"
	ModeTotal  = "total"
)

// Definition is what a page must know of a family besides its values.
type Definition struct {
	Type   string
	Help   string
	Mode   string   // gauges only
	Bounds []string // histograms only: ascending, canonical text, without +Inf
	// Retention is how long the store keeps a series that no process holds; 0 for ever. Readers
	// do not read it.
	Retention time.Duration
}

// Latest says whether each series shows the value that any process set last.
func (d Definition) Latest() bool { return d.Type == TypeGauge && d.Mode == ModeLatest }

// Total says whether each series is the sum of what all processes added to a gauge.
func (d Definition) Total() bool { return d.Type == TypeGauge && d.Mode == ModeTotal }

// Shared says whether all processes share the family's series. See [Shared].
func (d Definition) Shared() bool { return Shared(d.Type, d.Mode) }

// Shared says whether all processes share the series of a family of this type and mode, in
// the family's own hash. The gauges that they do not share are in a hash for each process.
func Shared(kind, mode string) bool {
	return kind != TypeGauge || mode == ModeLatest || mode == ModeTotal
}
