// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"
)

// maxOutgoing is how many bytes of pages may be on their way to clients at once. Scrapes
// that share no reading have pages of their own, so clients that receive nothing could
// otherwise keep in memory all that are made until their time is over.
const maxOutgoing = 256 << 20

// frame is how much of a page is written at once over HTTP/2, so that the rest can be
// dropped meanwhile. HTTP/2 sends as much in one frame.
const frame = 16 << 10

// outgoing are the pages on their way to clients, in all encodings.
type outgoing struct {
	mu    sync.Mutex
	limit int         // for tests; 0 is maxOutgoing; set before the first page
	size  int         // of all bodies; guarded by mu
	pages []*sentPage // the oldest first; guarded by mu
}

// sentPage is a page that at least one client has not received completely.
type sentPage struct {
	body []byte
	to   map[*sending]bool
}

// add notes that s begins to send its page, and returns the sendings to cut: all of the
// oldest pages, until the others are within the limit. A page that is being sent already
// takes no further memory.
func (o *outgoing) add(s *sending, body []byte) (cut []*sending) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, p := range o.pages {
		if &p.body[0] == &body[0] {
			p.to[s] = true
			return nil
		}
	}
	o.pages = append(o.pages, &sentPage{body, map[*sending]bool{s: true}})
	o.size += len(body)
	limit := o.limit
	if limit == 0 {
		limit = maxOutgoing
	}
	for o.size > limit && len(o.pages) > 1 {
		for s := range o.pages[0].to {
			cut = append(cut, s)
		}
		o.remove(0)
	}
	return cut
}

// done notes that s sends no more.
func (o *outgoing) done(s *sending) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for i, p := range o.pages {
		if p.to[s] {
			if delete(p.to, s); len(p.to) == 0 {
				o.remove(i)
			}
			return
		}
	}
}

func (o *outgoing) remove(i int) {
	o.size -= len(o.pages[i].body)
	o.pages = slices.Delete(o.pages, i, i+1)
}

// sending is a page on its way to one client.
type sending struct {
	control *http.ResponseController

	mu    sync.Mutex
	rest  []byte // guarded by mu
	ended bool   // the handler returns: control must not be used any more; guarded by mu
}

// send writes a page. It drops the rest after d, or when more than maxOutgoing is on its
// way. The client then gets an incomplete answer.
func (r *Registry) send(w http.ResponseWriter, req *http.Request, body []byte, d time.Duration) {
	if len(body) == 0 {
		return
	}
	s := &sending{control: http.NewResponseController(w), rest: body}
	defer s.end()
	defer r.outgoing.done(s)
	if cut := r.outgoing.add(s, body); len(cut) > 0 {
		for _, old := range cut {
			old.cut()
		}
		r.report("slow clients", fmt.Errorf("shoal: clients that are slow to receive the page were cut off: "+
			"more than %d MiB of pages were on their way", maxOutgoing>>20))
	}
	if req.ProtoMajor == 1 {
		_, _ = w.Write(body) // a scraper that went away is no trouble of ours
		return
	}
	// With HTTP/2 the write deadline is that of a stream: while the connection takes
	// nothing, a Write does not return.
	defer time.AfterFunc(d, func() {
		r.outgoing.done(s)
		s.cut()
	}).Stop()
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

// cut drops the rest of the page, and makes further writes to the client fail, so that
// the client can't take what it got for the whole page.
func (s *sending) cut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rest = nil
	if !s.ended {
		_ = s.control.SetWriteDeadline(time.Unix(1, 0))
	}
}

func (s *sending) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = true
}
