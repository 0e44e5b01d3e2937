// SPDX-License-Identifier: Apache-2.0

package wire

import "context"

// slice is the next one of a family's hash; after the last, its cursor is 0. epoch is that in
// which idle-3.lua read the first one.
type slice struct{ family, cursor, epoch string }

// goOn goes through the rest of several hashes, one slice of each after the other. A pipeline has
// as many slices as width says, so that Redis serves other clients in between. request makes the
// call for a slice, and answered takes its reply and moves on to the next one.
func (r *Redis) goOn(ctx context.Context, list []slice, width, most int, causes *Causes, request func(slice) *call, answered func(*slice, *call) error) {
	for n := 0; n < most && len(list) > 0; n++ {
		var rest []slice
		for part := range chunks(len(list), width) {
			several := list[part.from:part.to]
			calls := make([]*call, len(several))
			for i, s := range several {
				calls[i] = request(s)
			}
			r.run(ctx, calls...)
			for i, s := range several {
				switch err := answered(&s, calls[i]); {
				case err != nil:
					causes.Add("family "+s.family, err)
				case s.cursor != "0":
					rest = append(rest, s)
				}
			}
		}
		list = rest
	}
}

// lapse removes the leases that are over.
func (r *Redis) lapse(ctx context.Context) error {
	cursor := "0"
	for range slicesPerTurn {
		c := &call{script: lapseScript, keys: []string{r.keys.leases()}, args: []any{cursor, sliceFields}}
		r.run(ctx, c)
		var err error
		if cursor, err = r.swept(c, "the leases"); err != nil || cursor == "0" {
			return err
		}
	}
	return nil
}

// swept reads the reply of a script that goes through a slice of a hash: the cursor of the next
// slice, and how much was damaged.
func (r *Redis) swept(c *call, where string) (cursor string, err error) {
	reply, err := c.cmd.Slice()
	if err != nil {
		return "", err
	}
	if len(reply) < 2 || text(reply[0]) == "" {
		return "", unexpectedError{reply}
	}
	r.mended(where, reply[1])
	return text(reply[0]), nil
}
