// SPDX-License-Identifier: Apache-2.0

// Package guard checks what comes over a connection to Redis before the client reads it.
// go-redis allocates as many bytes as a reply announces, recurses as deep as a reply is
// nested, and reads a line until it ends. So anybody who can change what comes over the
// connection, or who pretends to be Redis, could end the process with a few bytes.
//
// A [Conn] follows the framing of the replies (RESP2 and RESP3). A reply that no Redis gives
// to shoal's commands ends the connection with an [*Error]. In place of a text that is too
// long the client reads [Overlong]; the bytes of the text are thrown away as they come.
//
// [Limits] counts the memory that the replies take, over all connections of one client.
package guard

import "github.com/shoal-metrics/shoal/core/internal/wire"

// Overlong is what the client reads in place of a text that is too long.
const Overlong = wire.Overlong

// The limits, above all that an honest server sends. Sizes are in bytes.
const (
	// maxText bounds a text in a list, which as a rule is one that is stored in Redis.
	maxText = wire.MaxText
	// maxLone bounds a text that is a whole reply. The longest is that of INFO, which has a
	// line for each replica.
	maxLone = 1 << 20
	// maxBulk is Redis's own limit (proto-max-bulk-len): nothing longer is stored.
	maxBulk = 512 << 20
	// maxLine bounds an error or a status, maxShort a number or another line.
	maxLine  = 64 << 10
	maxShort = 512
	// maxDepth bounds how deep lists are nested. COMMAND's reply has 8 levels.
	maxDepth = 16
	// perElement is about what go-redis allocates for an element besides its text.
	perElement = 64
	// maxTotal bounds the memory of the replies of all connections. Beyond fewTexts only
	// texts pass that are shorter than longText, so that a page lacks some series rather
	// than all.
	maxTotal = 128 << 20
	fewTexts = 96 << 20
	longText = 64
)
