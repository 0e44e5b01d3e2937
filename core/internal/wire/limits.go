// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"strings"
	"time"
)

// The limits of what a process believes of what Redis holds, together with those of names
// (names.go). Anybody who can write the app's keys can store anything there. What exceeds a
// limit is damaged: a reader does not take it into memory, and a process that writes the
// same thing replaces it. A declaration that would exceed one is refused.
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
	// MaxTTL is the longest time for which a lease is given. A deadline further ahead is
	// not believed.
	MaxTTL = 24 * time.Hour
	// MaxBounds bounds how many buckets a histogram has, besides +Inf: a series of as
	// many, each with the longest numbers, fits into MaxText.
	MaxBounds = 1000
	// MaxComponents bounds the components of a stored vector. After a deploy that changed
	// all bounds it has the buckets of both definitions.
	MaxComponents = 2 * (MaxBounds + 1)
	// MaxNumber bounds the text of a number in bytes: the largest has 309 digits.
	MaxNumber = 400
	// MaxChange bounds an entry of a family's log of changes in bytes. A field that does not
	// fit into one is not logged.
	MaxChange = 2 << 10
	// MaxFamilies and MaxLeases bound how many of an app a page shows.
	MaxFamilies = 20_000
	MaxLeases   = 10_000
	// MaxGauges bounds how many of a process a page shows.
	MaxGauges = 500_000
	// MaxIndex is the largest index of a lease.
	MaxIndex = 1<<31 - 1
	// MaxSequence is the largest sequence number, and the largest version of gauges. In
	// Lua both are float64, which holds each whole number up to there.
	MaxSequence = 1<<53 - 1
	// MaxPage bounds a page in bytes: its text, not compressed, and what is read of series
	// for it. What is read of processes' gauges is bounded by half of it.
	MaxPage = 256 << 20
)

// Overlong stands in a reply for a text longer than MaxText, which was not read. No valid
// UTF-8 text has this byte, so it is no name, field or value.
const Overlong = "\xfc"

// What a series takes in memory besides its texts while a page is made of it, in bytes: by
// itself, and for each name and each value of its labels.
const (
	seriesOverhead = 100
	labelOverhead  = 16
)

// Cost is how many of the bytes that may be read for a page a stored series or gauge takes.
func Cost(field, text string) int {
	return len(field) + len(text) + seriesOverhead + labelOverhead*strings.Count(field, Separator)
}
