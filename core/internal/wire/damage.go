// SPDX-License-Identifier: Apache-2.0

package wire

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
