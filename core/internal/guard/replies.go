// SPDX-License-Identifier: Apache-2.0

package guard

import (
	"bytes"
	"fmt"
)

// maxHeld bounds in bytes what is held back until it is complete: the head of a text or a
// list, or a redirection.
const maxHeld = 512

// overlong is Overlong as a server sends it, without the end of its line. The end of the text
// that it replaces follows: the client must not have a complete reply before the server has
// sent all of the text, or the rest would be taken for the next reply.
const overlong = "$1\r\n" + Overlong

// replies follows a stream of replies. It must find the same ends of replies and texts as the
// client does: what the client takes for a head must not pass as part of a text.
type replies struct {
	conn *Conn
	err  error // what was refused; from then on nothing passes

	lacking [maxDepth]int64 // how many elements the open lists still lack, outermost first
	depth   int             // how many lists are open

	text  int64 // bytes of a text still to come, with the end of its line
	drop  bool  // that text does not pass
	line  int   // bytes so far of a line that has not ended
	limit int   // of that line
	cr    bool  // its last byte was a carriage return

	held  [maxHeld]byte // an incomplete head, to be read again with what follows it
	nHeld int
}

// unhold puts what was held back at the beginning of into.
func (r *replies) unhold(into []byte) int {
	n := copy(into, r.held[:r.nHeld])
	r.nHeld = 0
	return n
}

// refuse ends the connection.
func (r *replies) refuse(format string, args ...any) {
	r.err = &Error{Addr: r.conn.addr, What: fmt.Sprintf(format, args...)}
}

// filter follows the bytes in b, and moves those that pass to its beginning.
func (r *replies) filter(b []byte) (passed int) {
	var (
		taken = r.conn.limits.taken.Load()
		size  int64 // of short texts, not counted in taken yet
		from  int   // b[from:at] passes, and was not moved yet
		at    int   // what was followed so far
	)
	for at < len(b) && r.err == nil {
		if r.text > 0 {
			n := int(min(r.text, int64(len(b)-at)))
			if r.drop {
				passed = move(b, passed, from, at)
				from = at + n
			}
			at += n
			if r.text -= int64(n); r.text > 0 {
				break
			}
			if r.drop {
				r.text, r.drop = int64(len("\r\n")), false
				continue
			}
			r.ended()
			continue
		}
		if r.depth > 0 && r.line == 0 && taken+size < fewTexts {
			n, sum := r.shorts(b[at:])
			size += sum
			if at += n; at == len(b) {
				break
			}
		}
		kind := b[at]
		if kind != '$' && kind != '=' || r.line > 0 {
			n := r.other(b[at:])
			if n == 0 {
				break
			}
			at += n
			continue
		}
		length, n := number(b[at+1:])
		if n <= 0 {
			r.incomplete(b[at:], n)
			break
		}
		n++
		switch {
		case length < 0:
			r.ended()
		case length > maxBulk:
			r.refuse("it announces a text of %d bytes", length)
		case taken+size > maxTotal:
			r.refuse("it answers with more than %d MB", maxTotal>>20)
		case length > maxLone, length > maxText && r.depth > 0, length > longText && taken+size > fewTexts:
			passed = move(b, passed, from, at)
			passed += copy(b[passed:], overlong) // which is no longer than the head that it replaces
			from = at + n
			r.text, r.drop = length, true
		case length > maxText:
			r.conn.take(length) // the client allocates it before the text comes
			r.text = length + 2
		default:
			size += length
			r.text = length + 2
		}
		if r.err != nil {
			break
		}
		at += n
	}
	if size > 0 {
		r.conn.take(size)
	}
	return move(b, passed, from, at)
}

// shorts follows texts of a list that are completely in b, as most are, in a third of the
// time that filter's loop takes. It leaves the last text of the list to filter.
func (r *replies) shorts(b []byte) (passed int, size int64) {
	const ends = len("\r\n")
	lacking := r.lacking[r.depth-1]
	for ; lacking > 1; lacking-- {
		rest := b[passed:]
		if len(rest) < len("$1\r\n") || rest[0] != '$' {
			break
		}
		length := int(rest[1] - '0')
		if length > 9 {
			break
		}
		at := 2
		for at < 5 && at < len(rest) && rest[at]-'0' <= 9 {
			length = 10*length + int(rest[at]-'0')
			at++
		}
		end := at + ends + length + ends
		if end > len(rest) || rest[at] != '\r' || rest[at+1] != '\n' {
			break
		}
		passed += end
		size += int64(length)
	}
	r.lacking[r.depth-1] = lacking
	return passed, size
}

// move moves b[from:to] behind what has passed.
func move(b []byte, passed, from, to int) int {
	if passed != from {
		copy(b[passed:], b[from:to])
	}
	return passed + to - from
}

// other follows what is no text: the head of a list, or a line. It returns how many bytes
// pass.
func (r *replies) other(b []byte) int {
	if r.line > 0 {
		return r.follow(b)
	}
	switch b[0] {
	case '*', '~', '%':
		return r.list(b)
	case '+', '-':
		return r.begin(b, maxLine)
	case ':', ',', '#', '(', '_':
		return r.begin(b, maxShort)
	case '>', '|', '!':
		r.refuse("it says what nobody asked for (a push, an attribute or a long error)")
	case 0x15, 0x16: // an alert or a handshake record
		r.refuse("it speaks TLS; use rediss:// in place of redis://")
	case 'H': // HTTP/1.1 400 Bad Request
		r.refuse("it speaks HTTP")
	default:
		r.refuse("it does not speak Redis's protocol")
	}
	return 0
}

// list follows the head of a list.
func (r *replies) list(b []byte) int {
	length, n := number(b[1:])
	if n <= 0 {
		r.incomplete(b, n)
		return 0
	}
	if b[0] == '%' {
		length *= 2
	}
	switch {
	case length <= 0: // none, or a nil
		r.ended()
		return n + 1
	case length > (maxTotal-r.conn.limits.taken.Load())/perElement:
		r.refuse("it announces a list of %d elements", length)
		return 0
	case r.depth == maxDepth:
		r.refuse("its lists are nested deeper than %d", maxDepth)
		return 0
	}
	r.conn.take(length * perElement)
	r.lacking[r.depth] = length
	r.depth++
	return n + 1
}

// begin follows a line from its first byte.
func (r *replies) begin(b []byte, limit int) int {
	end := bytes.IndexByte(b, '\n')
	if b[0] == '-' && r.depth == 0 && r.conn.limits.Redirect != nil {
		if end < 0 && len(b) < maxHeld {
			r.incomplete(b, 0)
			return 0
		}
		if addr, ok := redirection(b, end); ok && (end < 0 || !r.conn.limits.Redirect(addr)) {
			r.refuse("it leads to more servers than a Cluster has")
			return 0
		}
	}
	r.limit, r.cr = limit, false
	return r.follow(b)
}

// redirection returns the address of the server to which an error leads.
func redirection(b []byte, end int) (addr string, ok bool) {
	if !bytes.HasPrefix(b, []byte("-MOVED ")) && !bytes.HasPrefix(b, []byte("-ASK ")) {
		return "", false
	}
	if end < 0 {
		end = len(b)
	}
	b = bytes.TrimRight(b[:end], "\r")
	return string(b[bytes.LastIndexByte(b, ' ')+1:]), true
}

// follow follows more of a line.
func (r *replies) follow(b []byte) int {
	n := bytes.IndexByte(b, '\n') + 1
	ends := n > 0
	if !ends {
		n = len(b)
	}
	if r.line += n; r.line > r.limit {
		r.refuse("a line of it has more than %d bytes", r.limit)
		return 0
	}
	if ends {
		if n > 1 {
			r.cr = b[n-2] == '\r'
		}
		if !r.cr {
			r.refuse("a line of it does not end as one of Redis")
			return 0
		}
		if r.line > perElement {
			r.conn.take(int64(r.line))
		}
		r.line = 0
		r.ended()
		return n
	}
	r.cr = b[n-1] == '\r'
	return n
}

// incomplete holds back b, whose end was not read yet. n is what number returned: if it is
// negative, there is no number, and incomplete refuses b.
func (r *replies) incomplete(b []byte, n int) {
	if n < 0 {
		r.refuse("it announces a length that is no number")
		return
	}
	r.nHeld = copy(r.held[:], b)
}

// ended notes the end of an element, and of the lists of which it was the last.
func (r *replies) ended() {
	for r.depth > 0 {
		last := &r.lacking[r.depth-1]
		if *last--; *last > 0 {
			return
		}
		r.depth--
	}
}

// maxDigits is more than any length has that passes.
const maxDigits = 15

// number reads a length and the end of its line, n bytes together. n is 0 if the line is not
// complete, and -1 if it is no length. The only negative length is -1, which means nil.
func number(b []byte) (length int64, n int) {
	if len(b) > 0 && b[0] == '-' {
		const null = "-1\r\n"
		if len(b) >= len(null) && string(b[:len(null)]) == null {
			return -1, len(null)
		}
		if len(b) < len(null) && string(b) == null[:len(b)] {
			return 0, 0
		}
		return 0, -1
	}
	for i, c := range b {
		digit := int64(c) - '0'
		if digit < 0 || digit > 9 {
			switch {
			case i == 0 || c != '\r':
				return 0, -1
			case i+1 == len(b):
				return 0, 0
			case b[i+1] != '\n':
				return 0, -1
			}
			return length, i + 2
		}
		if i == maxDigits {
			return 0, -1
		}
		length = 10*length + digit
	}
	return 0, 0
}
