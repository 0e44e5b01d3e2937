// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"cmp"
	"context"
	"errors"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// NoIndex, in place of an index, means none, or no particular one.
const NoIndex = -1

// HoldRequest asks for a lease or its renewal.
type HoldRequest struct {
	Writer string
	Index  int // the index held so far, or NoIndex
	Wanted int // the index asked for, even if another writer holds it, or NoIndex
	// Predecessor, unless empty, is the only writer from which it takes Wanted; from others it
	// takes an index only after its lease has expired.
	Predecessor string
	// Lineage is the one under which the writer verified all its families; empty if it has
	// not, or the store does not tell its lineage.
	Lineage string
	// Current is the lineage that the store told just before; empty if it did not. The
	// store records it, and when it changed. Changed says that the writer knew another one
	// and has not verified its families since: even if nothing is recorded, this is not the
	// app's first start.
	Current string
	Changed bool
	// Unverified says that the writer found its lease or a family gone, in this same
	// lineage, and has not verified all its families since.
	Unverified bool
	// Candidate says that the process is scraped for its own page: see [Lease.Stamp].
	Candidate bool
	// Info describes the process to readers.
	Info Info
	TTL  time.Duration
}

// Info describes a process. Its texts may hold any characters.
type Info struct {
	Host    string
	Version string
	Started int64 // Unix time in microseconds, by the process's own clock
}

// HoldReply answers a [HoldRequest].
type HoldReply struct {
	Index int
	// Fenced is the writer from which this one took the index; empty if from none.
	Fenced string
	// Lost says that the writer had an index and its entry was gone: the store may lack
	// more. The new entry is Unverified.
	Lost bool
	// Now is the store's time.
	Now time.Time
}

// Lease is the lease of a living process.
type Lease struct {
	Index    int
	Writer   string
	Deadline time.Time
	TTL      time.Duration // for which it was given; 0 if the entry does not tell
	Lineage  string
	// Unverified says that its writer is verifying what the store may have lost.
	Unverified bool
	Info       Info
	// Stamp orders the candidates, processes that are scraped for their own pages: the living
	// one with the smallest stamp shows the shared families. It is 0 in all other leases.
	Stamp int64
}

// Hold implements [Store].
func (r *Redis) Hold(ctx context.Context, req HoldRequest) (HoldReply, error) {
	c := &call{
		script: holdScript,
		keys:   []string{r.keys.leases()},
		args: []any{req.Writer, req.Index, req.Wanted, req.TTL.Milliseconds(), leaseTail(req), req.Current, flag(req.Changed),
			req.Predecessor, flag(req.Candidate)},
	}
	r.run(ctx, c)
	reply, err := c.cmd.Slice()
	if err != nil {
		return HoldReply{}, err
	}
	if len(reply) != 6 {
		return HoldReply{}, unexpectedError{reply}
	}
	index, ok := reply[0].(int64)
	now, err := serverTime(reply[2], reply[3])
	if !ok || err != nil || index < 0 || index > MaxIndex {
		return HoldReply{}, unexpectedError{reply}
	}
	r.mended("the leases", reply[5])
	return HoldReply{Index: int(index), Fenced: text(reply[1]), Now: now, Lost: reply[4] == int64(1)}, nil
}

// Release implements [Store].
func (r *Redis) Release(ctx context.Context, writer string, index int) error {
	c := &call{
		script: releaseScript,
		keys:   []string{r.keys.leases(), r.keys.gauges(writer)},
		args:   []any{writer, index},
	}
	r.run(ctx, c)
	return c.cmd.Err()
}

// leaseTail returns the words of an entry behind the writer and the deadline: "lineage host
// version started ttl".
func leaseTail(req HoldRequest) string {
	lineage := leaseWord(req.Lineage)
	if req.Unverified {
		lineage = unverifiedWord
	}
	return lineage + " " + leaseWord(req.Info.Host) + " " +
		leaseWord(req.Info.Version) + " " + strconv.FormatInt(req.Info.Started, 10) + " " +
		strconv.FormatInt(req.TTL.Milliseconds(), 10)
}

// unverifiedWord is in the place of the lineage while a lease is Unverified. No escaped text
// is that word.
const unverifiedWord = "?"

// leaseWord escapes a text to one word: without spaces, and not empty. A lone dash stands
// for the empty text.
func leaseWord(s string) string {
	switch s {
	case "":
		return "-"
	case "-":
		return "%2D"
	}
	return url.QueryEscape(s)
}

func parseLeaseWord(s string) (string, error) {
	if s == "-" {
		return "", nil
	}
	return url.QueryUnescape(s)
}

var (
	errLease = errors.New("no lease of this protocol")
	errIndex = errors.New("not the number of an index")
)

// parseLease reads an entry of the leases: field i:<index>, and "writer deadline lineage host
// version started ttl stamp", the stamp only of candidates. Later releases may append words, and
// earlier ones wrote no ttl.
func parseLease(field, entry string) (Lease, error) {
	number, ok := strings.CutPrefix(field, "i:")
	words := strings.Split(entry, " ")
	if !ok || len(words) < 6 {
		return Lease{}, &StoredError{What: "lease", Text: entry, Part: field, Why: errLease}
	}
	var l Lease
	var err error
	check := func(e error) {
		if err == nil && e != nil {
			err = &StoredError{What: "lease", Text: entry, Part: field, Why: errLease}
		}
	}
	var e error
	l.Index, e = strconv.Atoi(number)
	check(e)
	if e == nil && (l.Index < 0 || l.Index > MaxIndex || strconv.Itoa(l.Index) != number) { // else 01 and 1 would be one index
		check(errIndex)
	}
	if l.Writer = words[0]; !isWriterID(l.Writer) {
		check(errWriter)
	}
	deadline, e := strconv.ParseInt(words[1], 10, 64)
	check(e)
	l.Deadline = time.UnixMilli(deadline)
	if l.Unverified = words[2] == unverifiedWord; !l.Unverified {
		l.Lineage, e = parseLeaseWord(words[2])
		check(e)
	}
	l.Info.Host, e = parseLeaseWord(words[3])
	check(e)
	l.Info.Version, e = parseLeaseWord(words[4])
	check(e)
	l.Info.Started, e = strconv.ParseInt(words[5], 10, 64)
	check(e)
	if len(words) > 6 {
		if ttl, err := strconv.ParseInt(words[6], 10, 64); err == nil { // else it is another client's word
			l.TTL = time.Duration(max(0, min(ttl, MaxTTL.Milliseconds()))) * time.Millisecond
			l.Stamp = parseStamp(words[7:])
		}
	}
	return l, err
}

// parseStamp reads the word of an entry that is the stamp of a candidate, if it is there.
func parseStamp(words []string) int64 {
	if len(words) == 0 {
		return 0
	}
	stamp, err := strconv.ParseInt(words[0], 10, 64)
	if err != nil || stamp < 0 || len(words[0]) > 16 {
		return 0 // another client's word
	}
	return stamp
}

var errWriter = errors.New("not the id of a writer")

// lineageField has the recorded lineage, in the hash of the leases.
const lineageField = "lineage"

// readLeases returns the leases of a reply whose deadline has not passed, one of each writer; those
// of candidates whose deadline has; and how many entries were damaged, which hold no index.
func readLeases(entries []any, now time.Time) (leases, expired []Lease, damaged int) {
	leases = make([]Lease, 0, len(entries)/2)
	for i := 0; i+1 < len(entries); i += 2 {
		field := text(entries[i])
		if !strings.HasPrefix(field, "i:") {
			continue // the lineage, housekept, next, stamp, left, or a field of a later release
		}
		l, err := parseLease(field, text(entries[i+1]))
		switch {
		case err != nil:
			damaged++
		case now.Before(l.Deadline):
			leases = append(leases, l)
		case l.Stamp > 0:
			expired = append(expired, l)
		}
	}
	return OneOfEach(leases, now), expired, damaged
}

// OneOfEach leaves one lease of each writer, the one that was renewed last, and orders them by
// index. It changes the slice that it is given.
func OneOfEach(leases []Lease, now time.Time) []Lease {
	places := make(map[string]int, len(leases)) // of the writers
	kept := leases[:0]
	for _, l := range leases {
		place, twice := places[l.Writer]
		switch {
		case !twice:
			places[l.Writer] = len(kept)
			kept = append(kept, l)
		case l.renewedAfter(kept[place], now):
			kept[place] = l
		}
	}
	slices.SortFunc(kept, func(a, b Lease) int { return cmp.Compare(a.Index, b.Index) })
	return kept
}

// Overlong says whether a lease lasts longer than it was given
// for: it was renewed before the store's clock was set back.
func (l Lease) Overlong(now time.Time) bool { return l.TTL > 0 && l.Deadline.Sub(now) > l.TTL }

// renewedAfter says which of two leases of one writer was renewed last: the one with the later
// deadline. But an overlong one was renewed before all others.
func (l Lease) renewedAfter(other Lease, now time.Time) bool {
	if l.Overlong(now) != other.Overlong(now) {
		return other.Overlong(now)
	}
	return l.Deadline.After(other.Deadline)
}

// recordedLineage reads the entry "lineage since" of the leases.
func recordedLineage(entries []any) (lineage string, since time.Time) {
	for i := 0; i+1 < len(entries); i += 2 {
		if text(entries[i]) != lineageField {
			continue
		}
		name, stamp, _ := strings.Cut(text(entries[i+1]), " ")
		ms, err := strconv.ParseInt(stamp, 10, 64)
		switch {
		case err != nil:
			return "", time.Time{} // not written by us
		case ms == 0:
			return name, time.Time{}
		}
		return name, time.UnixMilli(ms)
	}
	return "", time.Time{}
}

// leftField tells in the hash of the leases when a candidate went last.
const leftField = "left"

// recordedLeft reads that time; it is zero if none has gone.
func recordedLeft(entries []any) time.Time {
	for i := 0; i+1 < len(entries); i += 2 {
		if text(entries[i]) != leftField {
			continue
		}
		if ms, err := strconv.ParseInt(text(entries[i+1]), 10, 64); err == nil && ms > 0 {
			return time.UnixMilli(ms)
		}
	}
	return time.Time{}
}
