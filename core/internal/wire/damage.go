// SPDX-License-Identifier: Apache-2.0

package wire

// StoredError says what is wrong with a stored text. A page may find many and reports few:
// Error builds its text only when it is called.
type StoredError struct {
	What string // what the text should be
	Text string // as stored
	Part string // the part of Text that is wrong; empty for all of it
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
