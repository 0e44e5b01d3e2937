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
	bytesPerReply = 1 << 20 // of texts, by read-1.lua and living-1.lua
	// bytesPerPipeline is far below what the guard lets pass, which counts a reply until its
	// connection is used again.
	bytesPerPipeline = callsPerPipeline * bytesPerReply
)

// sliceTimeout bounds the wait for one slice of a scan.
const sliceTimeout = 5 * time.Second

// ScanSeries implements [Store].
func (r *Redis) ScanSeries(ctx context.Context, family string, room int) ([]Series, error) {
	var series []Series
	err := r.scanWhole(ctx, r.keys.values(family), func(field, value string) bool {
		if field != GenerationField {
			series = append(series, Series{Field: field, Text: value})
			room -= Cost(field, value)
		}
		return room >= 0
	})
	if err == nil && room < 0 {
		err = ErrTooLarge
	}
	if err != nil {
		return nil, err
	}
	return series, nil
}

// scanWhole visits each field of a hash once, as long as visit returns true. HSCAN may name
// a field twice; it names each field at least once that exists from its beginning to its end.
func (r *Redis) scanWhole(ctx context.Context, key string, visit func(field, value string) bool) error {
	seen := make(map[string]struct{})
	long := false
	err := r.scan(ctx, key, func(field, value string) bool {
		if _, ok := seen[field]; ok {
			return true
		}
		seen[field] = struct{}{}
		long = long || field == Overlong || value == Overlong
		return visit(field, value)
	})
	r.long.note(key, long)
	return err
}

// scan visits the fields of a hash, in slices that are awaited one by one, as long
// as visit returns true.
func (r *Redis) scan(ctx context.Context, key string, visit func(field, value string) bool, match ...any) error {
	for cursor := "0"; ; {
		args := append([]any{cursor, "count", fieldsPerScan}, match...)
		c := r.reading(bytesPerReply, "hscan", key, args...)
		sliceCtx, cancel := context.WithTimeout(ctx, sliceTimeout)
		r.run(sliceCtx, c)
		cancel()
		reply, err := c.cmd.Slice()
		if err != nil {
			return err
		}
		if len(reply) != 2 {
			return unexpectedError{reply}
		}
		fields, _ := reply[1].([]any)
		for i := 0; i+1 < len(fields); i += 2 {
			if !visit(text(fields[i]), text(fields[i+1])) {
				return nil
			}
		}
		if cursor = text(reply[0]); cursor == "0" || cursor == "" {
			return nil
		}
	}
}
