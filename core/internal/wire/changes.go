// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"context"
	"errors"
	"strconv"
	"strings"
)

// ChangesQuery asks which series of a family have changed since a version that was seen before.
type ChangesQuery struct {
	Family string
	// Since and Now are versions as in SeriesVersion of [FamilyState].
	Since, Now string
}

// ChangesReply answers a [ChangesQuery].
type ChangesReply struct {
	Err error // of this family alone
	// Known says whether the log of changes leads from Since to Now. If not, anything may have
	// changed.
	Known bool
	// Fields are those of the series that came, went, or began at another time, in any order,
	// each once.
	Fields []string
}

// The log of changes of a large family; see changes.lua.
const (
	// LargeFamily is how many series a family has at most that keeps no log.
	LargeFamily = 1000
	// ChangesKept is how many entries the log has at most.
	ChangesKept = 256
	// MaxChange bounds an entry in bytes. A field that does not fit into one is not logged.
	MaxChange = 2 << 10
	// ChangeSeparator is between the parts of an entry. No valid UTF-8 text has this byte.
	ChangeSeparator = "\xfe"
)

// roomForChanges bounds what one ReadChanges reads, in bytes. A log has half a MiB at most.
const roomForChanges = MaxPage / 8

// ReadChanges implements [Store].
func (r *Redis) ReadChanges(ctx context.Context, queries []ChangesQuery) ([]ChangesReply, error) {
	replies := make([]ChangesReply, len(queries))
	var asked []int // places in queries
	var entries []SeriesQuery
	for i, q := range queries {
		from, to, ok := changesBetween(q)
		if !ok {
			continue
		}
		asked = append(asked, i)
		fields := make([]string, 0, to-from)
		for n := from + 1; n <= to; n++ {
			fields = append(fields, "c:"+strconv.FormatUint(n%ChangesKept, 10))
		}
		entries = append(entries, SeriesQuery{Family: q.Family, Fields: fields})
	}
	reading := r.newSeriesReading(entries, queryKeys(entries, r.keys.control), roomForChanges)
	if _, err := reading.readAll(ctx, false); err != nil {
		return nil, err
	}
	for e, i := range asked {
		reply := reading.replies[e]
		if reply.Err != nil && !errors.Is(reply.Err, ErrTooLarge) {
			replies[i].Err = reply.Err
			continue
		}
		replies[i].Fields, replies[i].Known = followChanges(queries[i], reply.Values)
	}
	return replies, nil
}

// changesBetween returns the numbers of the changes that a query asks for: those above from, up
// to the number to. It returns false where the log can't have them all.
func changesBetween(q ChangesQuery) (from, to uint64, ok bool) {
	generation, since, _ := strings.Cut(q.Since, " ")
	other, now, _ := strings.Cut(q.Now, " ")
	from, okFrom := changeNumber(since)
	to, okTo := changeNumber(now)
	ok = okFrom && okTo && generation == other && (from < to || since == now) && to-from <= ChangesKept
	return from, to, ok
}

// changeNumber is the count in a shape.
func changeNumber(shape string) (uint64, bool) {
	count, _, _ := strings.Cut(shape, " ")
	n, err := strconv.ParseUint(count, 10, 64)
	return n, err == nil && n <= MaxSequence
}

// followChanges reads the fields in the entries. Each entry begins with the shape before it and
// its own. If these lead from one to the next, from the version that the reader knows to the
// present one, no change is missing.
func followChanges(q ChangesQuery, entries []SeriesValue) (fields []string, known bool) {
	_, shape, _ := strings.Cut(q.Since, " ")
	_, now, _ := strings.Cut(q.Now, " ")
	seen := make(map[string]struct{})
	for _, e := range entries {
		before, rest, _ := strings.Cut(e.Text, ChangeSeparator)
		own, list, ok := strings.Cut(rest, ChangeSeparator)
		if !ok || before != shape || len(e.Text) > MaxChange {
			return nil, false
		}
		shape = own
		for field := range strings.SplitSeq(list, ChangeSeparator) {
			if _, twice := seen[field]; !twice {
				field = strings.Clone(field) // not to keep the whole reply in memory
				seen[field] = struct{}{}
				fields = append(fields, field)
			}
		}
	}
	if shape != now {
		return nil, false
	}
	return fields, true
}
