// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"bytes"
	"io"
	"strconv"
	"strings"
)

// valuesReply takes in a reply to HMGET while go-redis reads it from a connection that
// has no guard: [Overlong] takes the place of a text that is too long, and of a reply
// that has more than room bytes the first values are kept, as read-1.lua does it on the
// server in twice the time. What is no such reply is not kept at all.
type valuesReply struct {
	room int

	kept []byte // the elements that are kept, as on the wire
	n    int    // how many these are
	left int    // elements still to come
	odd  bool   // it is something else, such as an error

	line [40]byte // that is under way
	size int      // of it
	text int      // bytes of a text still to come, with the end of its line
	drop bool     // that text is not kept
	some [512]byte
}

// values puts the values where they belong: the first n of those asked for.
func (v *valuesReply) values(into []SeriesValue) (n int, long, ok bool) {
	if v.odd || v.left > 0 || v.n > len(into) || v.n == 0 && len(into) > 0 {
		return 0, false, false
	}
	long, ok = parseElements(v.n, string(v.kept), into)
	return v.n, long, ok
}

// empty says whether nothing was read.
func (v *valuesReply) empty() bool { return v.n == 0 && v.left == 0 && !v.odd }

// Write is called for the lines, and may be for texts.
func (v *valuesReply) Write(p []byte) (int, error) {
	for at := 0; at < len(p); {
		if v.text > 0 {
			n := min(v.text, len(p)-at)
			if !v.drop {
				v.kept = append(v.kept, p[at:at+n]...)
			}
			at += n
			v.passed(n)
			continue
		}
		end := bytes.IndexByte(p[at:], '\n') + 1
		part := p[at:]
		if end > 0 {
			part = part[:end]
		}
		v.size += copy(v.line[v.size:], part)
		at += len(part)
		if end > 0 {
			v.head(v.line[:v.size])
			v.size = 0
		}
	}
	return len(p), nil
}

// ReadFrom is called for a text, and reads to the end of it.
func (v *valuesReply) ReadFrom(r io.Reader) (read int64, err error) {
	for {
		var n int
		if v.text > 0 && !v.drop {
			if cap(v.kept)-len(v.kept) < v.text { // which is bounded
				v.kept = append(make([]byte, 0, 2*cap(v.kept)+v.text), v.kept...)
			}
			n, err = r.Read(v.kept[len(v.kept) : len(v.kept)+v.text])
			v.kept = v.kept[:len(v.kept)+n]
			v.passed(n)
		} else {
			n, err = r.Read(v.some[:])
			_, _ = v.Write(v.some[:n])
		}
		read += int64(n)
		if err == io.EOF {
			return read, nil
		}
		if err != nil {
			return read, err
		}
	}
}

// head looks at a whole line: the head of the reply or of an element.
func (v *valuesReply) head(line []byte) {
	if v.odd {
		return
	}
	if v.left == 0 { // of the first reply, or of another where a hook sends twice
		n, rest, ok := cutNumber(string(line), '*')
		v.kept, v.n, v.left = v.kept[:0], 0, max(n, 0)
		v.odd = !ok || rest != "" || n < 0
		return
	}
	size := -1
	if string(line) != "_\r\n" { // RESP3's nil
		var rest string
		var ok bool
		if size, rest, ok = cutNumber(string(line), '$'); !ok || rest != "" || size < -1 {
			v.odd, v.left = true, 0
			return
		}
	}
	full := len(v.kept) > v.room
	v.drop = full || size > MaxText
	switch {
	case full:
	case size > MaxText:
		v.kept = append(v.kept, "$1\r\n"+Overlong+"\r\n"...)
	default:
		v.kept = append(v.kept, line...)
	}
	if !full {
		v.n++
	}
	if size < 0 {
		v.left--
		return
	}
	v.text = size + len("\r\n")
}

// passed notes that so many bytes of a text were read.
func (v *valuesReply) passed(n int) {
	if v.text -= n; v.text == 0 {
		v.left--
	}
}

// parseValues reads the reply to HMGET, whose texts then share one piece of
// memory. Where there are fewer than asked for, the server has ended it there. It
// returns false for whatever is no list of at most as many texts and nils. Long says
// whether one stands for a text that is too long.
func parseValues(raw []byte, into []SeriesValue) (n int, long, ok bool) {
	rest := string(raw)
	count, rest, ok := cutNumber(rest, '*')
	if !ok || count < 0 || count > len(into) || count == 0 && len(into) > 0 {
		return 0, false, false
	}
	long, ok = parseElements(count, rest, into)
	return count, long, ok
}

// parseElements reads as many texts and nils.
func parseElements(count int, rest string, into []SeriesValue) (long, ok bool) {
	for i := range count {
		if strings.HasPrefix(rest, "_\r\n") { // RESP3's nil
			rest = rest[3:]
			continue
		}
		var size int
		size, rest, ok = cutNumber(rest, '$')
		switch {
		case !ok || size < -1 || size > len(rest)-2:
			return false, false
		case size >= 0:
			into[i] = SeriesValue{Text: rest[:size], Found: true}
			long = long || size == len(Overlong) && into[i].Text == Overlong
			rest = rest[size+2:]
		}
	}
	return long, rest == ""
}

// cutNumber reads a line that begins with a sign of its type and goes on with
// a number.
func cutNumber(s string, sign byte) (n int, rest string, ok bool) {
	if s == "" || s[0] != sign {
		return 0, s, false
	}
	line, rest, ok := strings.Cut(s[1:], "\r\n")
	if !ok {
		return 0, s, false
	}
	n, err := strconv.Atoi(line)
	return n, rest, err == nil
}
