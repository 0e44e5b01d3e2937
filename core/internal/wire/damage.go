// SPDX-License-Identifier: Apache-2.0

package wire

import "strconv"

// StoredError says what is wrong with a stored text. A page may find many and
// reports few, so its own text is made when somebody asks for it.
type StoredError struct {
	What string // that it should be
	Text string // as stored
	Part string // of it, that is wrong; empty for the whole
	Why  error
}

func (e *StoredError) Error() string {
	text := e.What + " " + Quote(e.Text) + ": "
	if e.Part != "" {
		text += Quote(e.Part) + ": "
	}
	return text + e.Why.Error()
}

// Unwrap returns Why.
func (e *StoredError) Unwrap() error { return e.Why }

// unexpectedError is an errReply, and says a little of the reply: it may be as
// large as anybody who stands between us and the server likes.
type unexpectedError struct{ reply any }

func (e unexpectedError) Error() string {
	text := errReply.Error()
	switch reply := e.reply.(type) {
	case string:
		text += ": " + Quote(reply)
	case []any:
		text += ": a list of " + strconv.Itoa(len(reply))
		if len(reply) > 0 {
			if first, ok := reply[0].(string); ok {
				text += " that begins with " + Quote(first)
			}
		}
	}
	return text
}

func (e unexpectedError) Unwrap() error { return errReply }
