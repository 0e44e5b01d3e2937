// SPDX-License-Identifier: Apache-2.0

package page

import (
	"strconv"
	"sync"
	"time"

	"github.com/shoal-metrics/shoal/core/internal/wire"
)

// Request is what a scrape asks for. The zero value is the page of all processes.
type Request struct {
	// Own asks for the page of this process: its own gauges, and the shared families if this is the
	// process that shows them. It is for a process that writes.
	Own bool
	// Instance is the value of the label instance that the shared families have on that page;
	// empty for none.
	Instance string
	// Came is when the request came, if it is for that page.
	Came time.Time
}

const instanceLabel = "instance"

// labelLength is how many bytes that label takes in each line at most.
func (r Request) labelLength() int {
	if !r.Own || r.Instance == "" {
		return 0
	}
	return len(instanceLabel) + len(`="",`) + 2*len(r.Instance)
}

// whatWasRead is the result of a reading, from which each of its scrapes gets its page.
type whatWasRead struct {
	page     *Page // everything; of a reading for this process alone, no more than its own page needs
	standing standing

	mu  sync.Mutex
	own map[view]*Page // guarded by mu
}

// view is what tells apart the pages of this process that are made of one reading.
type view struct {
	shared   bool
	instance string
}

// pageOf returns the page of a scrape, when the reading is done.
func (r *reading) pageOf(req Request) (*Page, error) {
	switch {
	case r.err != nil:
		return nil, r.err
	case req.Own:
		return r.read.ownPage(req)
	}
	return r.read.page, nil
}

// ownPage returns the page of this process.
func (w *whatWasRead) ownPage(req Request) (*Page, error) {
	s := &w.standing
	if !s.leased {
		return nil, &RecoveringError{cause: "this process has no lease", wait: "waiting for one", stale: true}
	}
	v := view{shared: s.shows(req.Came), instance: req.Instance}
	w.mu.Lock()
	defer w.mu.Unlock()
	if p := w.own[v]; p != nil {
		return p, nil
	}
	p := &Page{Note: w.page.Note, noRoom: w.page.noRoom}
	index := strconv.Itoa(s.index)
	for _, f := range w.page.families {
		switch {
		case f.perProcess:
			if own := f.of(index); own.len() > 0 {
				p.families = append(p.families, own)
			}
		case v.shared:
			p.families = append(p.families, f.seen(v.instance, s.since))
		}
	}
	if w.own == nil {
		w.own = map[view]*Page{}
	}
	w.own[v] = p
	return p, nil
}

// of returns the rows of one process in a family of per-process gauges.
func (f *shownFamily) of(index string) *shownFamily {
	own := &shownFamily{name: f.name, help: f.help, kind: f.kind, labels: &labelSets{}, perProcess: true}
	for i, labels := range f.labels.decoded {
		for _, l := range labels {
			if l.Name == indexLabel && l.Value == index {
				own.addLabelled(labels, f.numbers[i])
			}
		}
	}
	return own
}

// seen returns a shared family as it is on the page of a process that is the senior since this
// time, without the starts before it: another process's pages told these, with the same values. A
// scraper that takes the two processes for two targets would count the values twice.
func (f *shownFamily) seen(instance string, since time.Time) *shownFamily {
	c := *f
	if instance != "" {
		c.labels = f.labels.with(wire.Label{Name: instanceLabel, Value: instance})
	}
	if !since.IsZero() {
		c.after = since.UnixMicro()
	}
	return &c
}
