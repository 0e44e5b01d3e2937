// SPDX-License-Identifier: Apache-2.0

// Package guard stands between a connection to Redis and the client that reads
// it. The client takes memory by the lengths that a reply announces, recurses as
// deep as it is nested, and reads a line until it ends. So anybody who sits on the
// line, or pretends to be Redis, could end the process with a few bytes.
//
// A [Conn] reads the framing of the replies (RESP2 and RESP3) as they pass, before
// the client sees them. What no server says that shoal asks ends the connection
// with an [*Error]. A text too long to be believed is not let through: [Overlong]
// takes its place, and its bytes are thrown away as they come in.
//
// What the replies under way may take is counted over all connections of one
// client, in its [Limits].
package guard

import "github.com/shoal-metrics/shoal/core/internal/wire"

// Overlong is what the client reads in place of a text that was not let through.
const Overlong = wire.Overlong

// The largest that an honest server says, and more.
const (
	// maxText bounds a text within a list, which is stored in Redis as a rule.
	maxText = wire.MaxText
	// maxLone bounds a text that is a whole reply. The longest is that of INFO: it
	// has a line for each replica.
	maxLone = 1 << 20
	// maxBulk is Redis's own bound (proto-max-bulk-len): nothing longer is stored.
	maxBulk = 512 << 20
	// maxLine bounds an error or a status, maxShort a number or another line.
	maxLine  = 64 << 10
	maxShort = 512
	// maxDepth bounds how deep lists are nested. COMMAND's reply has 8 levels.
	maxDepth = 16
	// perElement is about what the client takes for an element beside its text.
	perElement = 64
	// maxTotal bounds what the replies under way may take. Beyond fewTexts, of
	// texts only those pass that are shorter than longText: a page lacks the others,
	// rather than everything.
	maxTotal = 128 << 20
	fewTexts = 96 << 20
	longText = 64
)
