// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"net/http"
	"sync"
	"time"
)

// frame is what is sent at once of a page that may have to be let go: what HTTP/2
// sends at once as well.
const frame = 16 << 10

// sending is a page on its way to a client that no deadline cuts off for certain. The
// write deadline of HTTP/2 is that of a stream: while the connection takes nothing,
// the Write that is under way does not return.
type sending struct {
	mu   sync.Mutex
	rest []byte // guarded by mu
}

// send writes a page, and lets go of it after d, whether or not w has returned. The
// client then gets less than it was promised.
func send(w http.ResponseWriter, body []byte, d time.Duration) {
	s := &sending{rest: body}
	defer time.AfterFunc(d, s.drop).Stop()
	buf := make([]byte, min(frame, len(body)))
	for {
		n := s.next(buf)
		if n == 0 {
			return
		}
		if _, err := w.Write(buf[:n]); err != nil {
			return
		}
	}
}

func (s *sending) next(buf []byte) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := copy(buf, s.rest)
	s.rest = s.rest[n:]
	return n
}

func (s *sending) drop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rest = nil
}
