// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"context"
	"time"
)

// What one round trip may cost. Redis executes the short requests of a pipeline one after the
// other, so each pipeline takes it some milliseconds at most, and the next one is sent when
// the reply has come.
const (
	fieldsPerScan = 1000    // of HSCAN
	bytesPerReply = 1 << 20 // of texts, by read-1.lua and living-n.lua
	// bytesPerPipeline bounds the replies of a pipeline of scripts. It is far below what the
	// guard lets pass, which counts a reply until its connection is used again.
	bytesPerPipeline = 16 << 20
)

// Scan is a scan of all series of a family. It may be cut, and go on later where it was. Series
// that exist from its beginning to its end are in it; those that come or go meanwhile may be.
type Scan struct {
	Family string
	Series []Series // found so far, each once
	Done   bool     // these are all
	// Err is of this family alone: its key is of another type, or it takes too much, see
	// [ErrTooLarge].
	Err error

	cursor string
	seen   map[string]struct{} // the fields of Series
	cost   int                 // of Series
	long   bool                // whether a text was met that is too long
}

// The calls of a pipeline of scans share what may be read in it. A server may return more than
// it was asked for: a hash of up to 128 short fields comes as a whole.
const (
	fewestScanned = 16      // fields
	fewestBytes   = 2 << 10 // of a reply; Redis returns at least fewestScanned fields
)

// Scan implements [Store].
func (r *Redis) Scan(ctx context.Context, scans []*Scan, room int) error {
	for _, s := range scans {
		room -= s.cost
	}
	for attempts := 1; ; {
		bytes := r.pace.bytes()
		most := max(1, min(bytes/fewestBytes, fieldsPerPipeline/(fewestScanned+costOfCall)))
		open := make([]*Scan, 0, min(most, len(scans)))
		for _, s := range scans {
			if !s.Done && s.Err == nil && len(open) < most {
				open = append(open, s)
			}
		}
		if len(open) == 0 {
			return nil
		}
		fields := max(fewestScanned, min(fieldsPerScan, fieldsPerPipeline/len(open)-costOfCall))
		calls := make([]*call, len(open))
		for i, s := range open {
			key := r.keys.values(s.Family)
			calls[i] = &call{script: readScript, keys: []string{key}, args: []any{"hscan", MaxText,
				min(bytesPerReply, bytes/len(open)), flag(r.long.has(key)), s.position(), "count", fields}}
		}
		begun := time.Now()
		r.run(ctx, calls...)
		took := time.Since(begun)
		err := calls[len(calls)-1].cmd.Err()
		if unanswered(ctx, err) && attempts < readAttempts {
			attempts++ // in a shorter pipeline, over another connection
			r.pace.took(bytes, took, err)
			continue
		}
		attempts, bytes = 1, 0
		for i, s := range open {
			cost := s.cost
			read, err := s.take(calls[i])
			if err != nil {
				return err
			}
			bytes += read
			if room -= s.cost - cost; s.cost > room { // more than half of what was left before this family
				room += s.cost
				s.Series, s.seen, s.cost, s.Err = nil, nil, 0, ErrTooLarge
			}
			if s.Done {
				r.long.note(r.keys.values(s.Family), s.long)
			}
		}
		r.pace.took(bytes, took, nil)
	}
}

// position is the cursor of the next slice.
func (s *Scan) position() string {
	if s.seen == nil {
		return "0"
	}
	return s.cursor
}

// take takes in the reply for a slice, of so many bytes. It returns an error that is not of this
// family alone.
func (s *Scan) take(c *call) (bytes int, err error) {
	reply, err := c.cmd.Slice()
	switch {
	case isReply(err, "WRONGTYPE"):
		s.Err = err
		return 0, nil
	case err != nil:
		return 0, err
	case len(reply) != 2:
		return 0, unexpectedError{reply}
	}
	if s.seen == nil {
		s.seen = make(map[string]struct{})
	}
	fields, _ := reply[1].([]any)
	for i := 0; i+1 < len(fields); i += 2 {
		field, value := text(fields[i]), text(fields[i+1])
		bytes += len(field) + len(value) + 2*textOverhead
		if _, ok := s.seen[field]; ok || field == GenerationField {
			continue
		}
		s.seen[field] = struct{}{}
		s.long = s.long || field == Overlong || value == Overlong
		s.Series = append(s.Series, Series{Field: field, Text: value})
		s.cost += Cost(field, value)
	}
	s.cursor = text(reply[0])
	s.Done = s.cursor == "0" || s.cursor == ""
	if s.Done {
		s.seen = nil
	}
	return bytes, nil
}

// ScanSeries scans one family to its end, as long as it takes no more than room.
func ScanSeries(ctx context.Context, s Store, family string, room int) ([]Series, error) {
	scan := &Scan{Family: family}
	if err := s.Scan(ctx, []*Scan{scan}, 2*room); err != nil {
		return nil, err
	}
	return scan.Series, scan.Err
}

// scanWhole visits each field of a hash once, in slices that are awaited one by one, as long as
// visit returns true. HSCAN may name a field twice; it names each field at least once that exists
// from its beginning to its end.
func (r *Redis) scanWhole(ctx context.Context, key string, visit func(field, value string) bool) error {
	seen, long := make(map[string]struct{}), false
	defer func() { r.long.note(key, long) }()
	for cursor := "0"; ; {
		c := r.reading(bytesPerReply, "hscan", key, cursor, "count", fieldsPerScan)
		r.read(ctx, c)
		reply, err := c.cmd.Slice()
		if err != nil {
			return err
		}
		if len(reply) != 2 {
			return unexpectedError{reply}
		}
		fields, _ := reply[1].([]any)
		for i := 0; i+1 < len(fields); i += 2 {
			field, value := text(fields[i]), text(fields[i+1])
			if _, ok := seen[field]; ok {
				continue
			}
			seen[field] = struct{}{}
			long = long || field == Overlong || value == Overlong
			if !visit(field, value) {
				return nil
			}
		}
		if cursor = text(reply[0]); cursor == "0" || cursor == "" {
			return nil
		}
	}
}
