// SPDX-License-Identifier: Apache-2.0

package memstore

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/shoal-metrics/shoal/core/internal/wire"
)

// entry is one of the log of changes: the fields of series that came, went, or began at another
// time.
type entry struct {
	before, own version
	fields      []string
}

// version is a series version without the generation.
type version struct {
	count uint64 // of the changes
	micro int64  // when the last one happened: after a step back the same count comes again
}

func (v version) String() string {
	return strconv.FormatUint(v.count, 10) + " " + strconv.FormatInt(v.micro, 10)
}

// size is about how many bytes an entry has in Redis.
func (e entry) size() int {
	size := len(e.before.String()) + len(wire.ChangeSeparator) + len(e.own.String())
	for _, field := range e.fields {
		size += len(wire.ChangeSeparator) + len(field)
	}
	return size
}

// LogChanges makes the server keep a log of changes for families of more than so many series:
// for smaller families than Redis does, so that tests need not make a thousand.
func (s *Server) LogChanges(above int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.large = above
}

// seriesChange notes that series came, went, or began at another time. The log names them if
// there were more than large series before.
func (c *control) seriesChange(now time.Time, logged bool, fields []string) {
	next := version{c.version.count + 1, now.UnixMicro()}
	entries, ok := logEntries(c.version, next, fields)
	if !logged || !ok {
		c.version = next
		return
	}
	for _, e := range entries {
		c.changes[e.own.count%wire.ChangesKept] = e
		c.version = e.own
	}
}

// logEntries divides a change into entries. It returns false for one that can't be logged.
func logEntries(before, own version, fields []string) (entries []entry, ok bool) {
	for _, field := range fields {
		if n := len(entries); n > 0 {
			last := &entries[n-1]
			last.fields = append(last.fields, field)
			if last.size() <= wire.MaxChange {
				continue
			}
			last.fields = last.fields[:len(last.fields)-1]
			before, own = last.own, version{last.own.count + 1, last.own.micro}
		}
		e := entry{before, own, []string{field}}
		if e.size() > wire.MaxChange || len(entries) == wire.ChangesKept {
			return nil, false
		}
		entries = append(entries, e)
	}
	unfit := func(field string) bool { return strings.Contains(field, wire.ChangeSeparator) }
	return entries, len(entries) > 0 && !slices.ContainsFunc(fields, unfit)
}

// changesSince follows the entries from one version to another.
func (f *family) changesSince(q wire.ChangesQuery) (reply wire.ChangesReply) {
	if f == nil || f.control == nil {
		return reply
	}
	generation, since, _ := strings.Cut(q.Since, " ")
	other, now, _ := strings.Cut(q.Now, " ")
	if generation == "" || generation != other {
		return reply
	}
	var fields []string
	for steps := 0; since != now; steps++ {
		count, _, _ := strings.Cut(since, " ")
		n, err := strconv.ParseUint(count, 10, 64)
		e, ok := f.control.changes[(n+1)%wire.ChangesKept]
		if err != nil || !ok || e.before.String() != since || steps == wire.ChangesKept {
			return reply
		}
		fields = append(fields, e.fields...)
		since = e.own.String()
	}
	slices.Sort(fields)
	return wire.ChangesReply{Known: true, Fields: slices.Compact(fields)}
}
