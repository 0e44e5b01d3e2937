// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"strings"
	"time"
)

// What a process believes of what Redis holds. Anybody who can write the app's keys can
// store anything there; what is beyond these limits is damaged, takes no memory, and
// is replaced where a living process writes the same. What shoal itself writes stays
// within them, which declarations check.
const (
	// MaxText bounds a stored text in bytes: a field, a value, a lease.
	MaxText = 64 << 10
	// MaxHelp bounds a declared help text, and MaxRegistration what is read of a
	// family's registration in all, in bytes.
	MaxHelp         = 16 << 10
	MaxRegistration = 2*MaxText + 4<<10
	// MaxLease bounds the entry of a lease in bytes, MaxInfo the host and the
	// version in it.
	MaxLease = 4 << 10
	MaxInfo  = 255
	// MaxTTL is the longest time for which a lease is given: who finds one that
	// seems to last for longer does not believe it.
	MaxTTL = 24 * time.Hour
	// MaxBounds bounds how many buckets a histogram has, without +Inf: a series
	// of so many, each with the longest numbers, fits in MaxText.
	MaxBounds = 1000
	// MaxComponents bounds those of a stored vector: the buckets before and after a
	// deploy that changed all of them.
	MaxComponents = 2 * (MaxBounds + 1)
	// MaxNumber bounds the text of a number in bytes: the largest has 309 digits.
	MaxNumber = 400
	// MaxFamilies and MaxLeases bound how many of an app a page shows.
	MaxFamilies = 20_000
	MaxLeases   = 10_000
	// MaxGauges bounds how many of a process a page shows.
	MaxGauges = 500_000
	// MaxIndex is the largest index of a lease.
	MaxIndex = 1<<31 - 1
	// MaxSequence is the largest sequence number, and version of gauges: a float64,
	// as which Lua has it, holds every whole number up to there.
	MaxSequence = 1<<53 - 1
	// MaxPage bounds a page in bytes: as text, not compressed, and what is read of
	// series for it. Half of it is the bound for what is read of the gauges of
	// processes.
	MaxPage = 256 << 20
)

// Overlong stands in a reply for a text longer than MaxText, which was not read. The
// byte occurs in no valid UTF-8 text, so that it is no name, field or value.
const Overlong = "\xfc"

// What a series takes in memory beside its texts while a page is made of it: by
// itself, and for each name and each value of its labels.
const (
	seriesOverhead = 100
	labelOverhead  = 16
)

// Cost is what a stored series or gauge takes of the bytes that are read for a page.
func Cost(field, text string) int {
	return len(field) + len(text) + seriesOverhead + labelOverhead*strings.Count(field, Separator)
}
