// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"errors"
	"strconv"
	"time"
)

// errReply is for a reply that no script of shoal gives: it may come from a proxy.
var errReply = errors.New("unexpected reply of the store")

// unexpectedError is errReply with the beginning of the reply, which may be of any size.
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

// text returns a string of a reply, and "" for anything else.
func text(v any) string {
	s, _ := v.(string)
	return s
}

// serverTime returns the time in a reply to TIME.
func serverTime(seconds, micros any) (time.Time, error) {
	s, err := strconv.ParseInt(text(seconds), 10, 64)
	if err != nil {
		return time.Time{}, err
	}
	us, err := strconv.ParseInt(text(micros), 10, 64)
	if err != nil {
		return time.Time{}, err
	}
	return time.Unix(s, us*1000), nil
}
