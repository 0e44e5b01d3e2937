// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"bytes"
	"io"
	"strconv"
	"strings"
)

// valuesReply receives a reply to HMGET while go-redis reads it from a connection without a
// guard. It keeps [Overlong] in place of a text that is too long, and of a reply with more
// than room bytes only the first values. read-1.lua does the same on the server, in twice the
// time. Of anything but a list of values it keeps nothing.
type valuesReply struct {
	room int // in bytes

	kept []byte // the elements that are kept, as the server sent them
	n    int    // how many these are
	left int    // elements still to come
	odd  bool   // the reply is not a list of values, but for instance an error

	line [40]byte // the line that is being read
	size int      // its bytes so far
	text int      // bytes of a text still to come, with the end of its line
	drop bool     // do not keep that text
	some [512]byte
}

// values puts the kept values into a slice: they are the first n of those asked for. long
// says whether one of them is Overlong.
func (v *valuesReply) values(into []SeriesValue) (n int, long, ok bool) {
	if v.odd || v.left > 0 || v.n > len(into) || v.n == 0 && len(into) > 0 {
		return 0, false, false
	}
	long, ok = parseElements(v.n, string(v.kept), into)
	return v.n, long, ok
}

// empty says whether nothing was read.
func (v *valuesReply) empty() bool { return v.n == 0 && v.left == 0 && !v.odd }

// Write is called with lines, and perhaps with texts.
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

// ReadFrom is called for a text, and reads it to its end.
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

// head takes in a whole line: the head of the reply or of an element.
func (v *valuesReply) head(line []byte) {
	if v.odd {
		return
	}
	if v.left == 0 { // a reply begins: the first, or a second if a hook sends the command twice
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

// passed notes that n bytes of a text were read.
func (v *valuesReply) passed(n int) {
	if v.text -= n; v.text == 0 {
		v.left--
	}
}

// parseValues reads a reply to HMGET of at most len(into) texts and nils, which may be fewer
// than were asked for; ok is false for anything else. The texts share one piece of memory.
// long says whether one of them is Overlong.
func parseValues(raw []byte, into []SeriesValue) (n int, long, ok bool) {
	rest := string(raw)
	count, rest, ok := cutNumber(rest, '*')
	if !ok || count < 0 || count > len(into) || count == 0 && len(into) > 0 {
		return 0, false, false
	}
	long, ok = parseElements(count, rest, into)
	return count, long, ok
}

// parseElements reads count texts and nils.
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

// cutNumber reads a line of the sign of its type and a number.
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
