// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// How much of a foreign text an error shows, in bytes.
const (
	maxQuoted = 200  // of something stored
	maxSaid   = 500  // of the error of a server or a client
	maxLine   = 2000 // of the whole line
)

// Quote returns a text that shoal did not write, such as a stored one, for an error or a log
// line: in quotes, on one line, with everything escaped that is not printable, and no more
// than its first 200 bytes.
func Quote(text string) string {
	if len(text) <= maxQuoted {
		return strconv.Quote(text)
	}
	return fmt.Sprintf("%s... (%d bytes)", strconv.Quote(cut(text, maxQuoted)), len(text))
}

// QuoteName is [Quote] for what should be the name of a metric: if it is one, it has no
// quotes.
func QuoteName(name string) string {
	if len(name) <= maxQuoted && IsMetricName(name) {
		return name
	}
	return Quote(name)
}

// Cut returns the part of a text that [Quote] shows, in memory of its own.
func Cut(text string) string { return strings.Clone(cut(text, maxQuoted)) }

// Printable returns err with a text that is one line of bounded length, in which everything
// is escaped that is not printable. The text may come from a server, a client's hook or a
// panic.
func Printable(err error) error { return printable(err, maxLine) }

func printable(err error, most int) error {
	text := err.Error()
	if line := oneLine(text, most); line != text {
		return printableError{err, line}
	}
	return err
}

// printableError is an error with another text.
type printableError struct {
	error
	text string
}

func (e printableError) Error() string { return e.text }

func (e printableError) Unwrap() error { return e.error }

// oneLine escapes what is not printable, and cuts the text.
func oneLine(text string, most int) string {
	shown := cut(text, most)
	var b strings.Builder
	from := 0
	for i := 0; i < len(shown); {
		r, size := utf8.DecodeRuneInString(shown[i:])
		if bad := r == utf8.RuneError && size == 1; bad || !strconv.IsPrint(r) {
			b.WriteString(shown[from:i])
			quoted := strconv.Quote(shown[i : i+size])
			b.WriteString(quoted[1 : len(quoted)-1])
			from = i + size
		}
		i += size
	}
	if from == 0 && len(shown) == len(text) {
		return text
	}
	b.WriteString(shown[from:])
	line := b.String()
	if escaped := len(line); escaped > most {
		line = cut(line, most)
	}
	if len(line) < b.Len() || len(shown) < len(text) {
		line = fmt.Sprintf("%s... (%d bytes)", line, len(text))
	}
	return line
}

// cut returns the beginning of a text, up to the end of a character.
func cut(text string, most int) string {
	if len(text) <= most {
		return text
	}
	end := most
	for end > most-utf8.UTFMax && !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end]
}
