// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"slices"

	"github.com/shoal-metrics/shoal/core/internal/wire"
)

// Mode says how the page shows a gauge that several processes set.
//
// For what a process has itself, such as its open connections, use Sum: the sum over the
// living processes. For what one process opens and another may close, such as a cart, use
// Total. For one thing that several processes measure, such as the length of a queue in a
// database, use Max or Latest.
type Mode string

// The modes of a gauge. Sum, Max, Min and Avg look only at living processes and skip NaN.
const (
	// PerProcess shows the value of each process, with its gauge_index as a label. It is the
	// default.
	PerProcess Mode = ""
	// Sum shows the sum over the living processes. The value of a process that ends is no
	// longer part of it.
	Sum Mode = wire.ModeSum
	// Max shows the largest value of a living process.
	Max Mode = wire.ModeMax
	// Min shows the smallest value of a living process.
	Min Mode = wire.ModeMin
	// Avg shows the mean over the living processes.
	Avg Mode = wire.ModeAvg
	// Latest shows the value that was set last, by whichever process. It belongs to no
	// process, and so outlives it: a batch job's last success. It can only be set: Add, Inc,
	// Dec and Sub are refused, since no process knows to what it would add.
	Latest Mode = wire.ModeLatest
	// Total shows the sum of all that any process ever added, ended ones included, each
	// addition exactly once: a counter that can go down. It shows 0 from its declaration on;
	// a child with labels from when it is asked for. It can only be added to: Set is
	// refused, and so are NaN and the infinities. What a killed process had not sent, or
	// would have subtracted later, stays wrong: use Sum for what ends with its process.
	Total Mode = wire.ModeTotal
)

// gaugeWrites is what a write does in a mode: quicker to compare than the mode's text.
type gaugeWrites uint8

const (
	ownValue    gaugeWrites = iota // set this process's value, or add to it
	latestValue                    // set the value of all processes, with the time
	totalValue                     // add to the sum of all processes
)

// writes is what a gauge of this mode does when it is written.
func (m Mode) writes() gaugeWrites {
	switch m {
	case Latest:
		return latestValue
	case Total:
		return totalValue
	}
	return ownValue
}

func (m Mode) valid() bool {
	return slices.Contains([]Mode{PerProcess, Sum, Max, Min, Avg, Latest, Total}, m)
}
