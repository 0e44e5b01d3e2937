// SPDX-License-Identifier: Apache-2.0

package wire

// Family types, as stored.
const (
	TypeCounter   = "counter"
	TypeGauge     = "gauge"
	TypeSummary   = "summary"
	TypeHistogram = "histogram"
)

// IsType says whether a stored type is one of them.
func IsType(s string) bool {
	return s == TypeCounter || s == TypeGauge || s == TypeSummary || s == TypeHistogram
}

// Gauge modes, as stored. The empty mode shows each process by itself.
const (
	ModeSum    = "sum"
	ModeMax    = "max"
	ModeMin    = "min"
	ModeAvg    = "avg"
	ModeLatest = "latest"
	ModeTotal  = "total"
)

// Definition is what the page needs to know of a family beside its values.
type Definition struct {
	Type   string
	Help   string
	Mode   string   // gauges only
	Bounds []string // histograms only: ascending, canonical text, without +Inf
}

// Latest says whether the page shows of each series the value set last.
func (d Definition) Latest() bool { return d.Type == TypeGauge && d.Mode == ModeLatest }

// Total says whether the page shows the sums of a gauge.
func (d Definition) Total() bool { return d.Type == TypeGauge && d.Mode == ModeTotal }

// Shared says whether the values of all processes are joined in the family's
// own hash, and not kept apart by process.
func (d Definition) Shared() bool { return Shared(d.Type, d.Mode) }

// Shared is [Definition.Shared] of a type and a mode.
func Shared(kind, mode string) bool {
	return kind != TypeGauge || mode == ModeLatest || mode == ModeTotal
}
