// SPDX-License-Identifier: Apache-2.0

package memstore

import (
	"errors"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/shoal-metrics/shoal/core/internal/wire"
)

// draft gathers what a batch does to a family's series, so that a batch which
// turns out to be malformed changes nothing.
type draft struct {
	now        int64             // in microseconds
	stored     map[string]string // not changed before store
	cleared    bool
	set        map[string]string
	gone       map[string]bool
	count      int // of the series there would be
	corrupt    int
	overflowed int
	took       []string // for each op the field that it went to, if it did
}

func newDraft(stored map[string]string, now time.Time) *draft {
	return &draft{
		now:    now.UnixMicro(),
		stored: stored,
		set:    make(map[string]string),
		gone:   make(map[string]bool),
		count:  len(stored),
	}
}

func (d *draft) get(field string) (string, bool) {
	if text, ok := d.set[field]; ok {
		return text, true
	}
	if d.cleared || d.gone[field] {
		return "", false
	}
	text, ok := d.stored[field]
	return text, ok
}

func (d *draft) put(field, text string) {
	if _, ok := d.get(field); !ok {
		d.count++
	}
	d.set[field] = text
}

func (d *draft) apply(op wire.Op, limit int, overflow string) error {
	d.took = append(d.took, "")
	switch op.Kind {
	case wire.OpDelete:
		if _, ok := d.get(op.Field); ok {
			d.count--
		}
		delete(d.set, op.Field)
		d.gone[op.Field] = true
		return nil
	case wire.OpClear:
		d.cleared = true
		d.count = 0
		clear(d.set)
		return nil
	case wire.OpAdd, wire.OpLatest:
	default:
		return RefusedError("ERR no such kind of op: " + string(rune(op.Kind)))
	}

	field := op.Field
	text, exists := d.get(field)
	if !exists && limit > 0 && d.count >= limit && field != overflow {
		d.overflowed++
		field = overflow
		text, exists = d.get(field)
	}
	fold := add
	if op.Kind == wire.OpLatest {
		fold = d.latest
	}
	result, stored, err := fold(text, exists, op.Value)
	if err != nil {
		return err
	}
	if !stored {
		d.corrupt++
	}
	d.put(field, result)
	d.took[len(d.took)-1] = field
	return nil
}

// totals gives the text that each op left.
func (d *draft) totals(ops []wire.Op) []string {
	totals := make([]string, len(ops))
	for i, op := range ops {
		if op.Kind == wire.OpAdd || op.Kind == wire.OpLatest {
			totals[i], _ = d.get(d.took[i])
		}
	}
	return totals
}

// store makes the draft come true and says whether the set of series changed.
func (d *draft) store(series map[string]string) bool {
	changed := d.cleared
	for field := range series {
		if d.cleared || d.gone[field] {
			if _, again := d.set[field]; !again {
				delete(series, field)
				changed = true
			}
		}
	}
	for field, text := range d.set {
		if _, ok := series[field]; !ok {
			changed = true
		}
		series[field] = text
	}
	return changed
}

// add gives the sum of two sparse vectors. A stored text that does not parse
// is replaced, which intact tells.
func add(text string, exists bool, delta string) (sum string, intact bool, err error) {
	more, err := wire.ParseVector(nil, delta)
	if err != nil {
		return "", false, RefusedError("ERR " + err.Error())
	}
	if len(more) > wire.MaxComponents {
		return "", false, RefusedError("ERR a vector of too many components")
	}
	intact = true
	var vector []wire.Component
	if exists {
		vector, err = wire.ParseVector(nil, text)
		if err != nil || len(text) > wire.MaxText || len(vector) > wire.MaxComponents || (vector[0].Name == "") != (more[0].Name == "") {
			vector, intact = nil, false
		}
	}
	had := len(vector)
	for _, c := range more {
		vector = addComponent(vector, c)
	}
	sum = string(wire.AppendVector(nil, vector))
	if had > 0 && (!fits(vector[:had], more) || len(sum) > wire.MaxText || len(vector) > wire.MaxComponents) {
		sum, _, err = add("", false, delta)
		return sum, false, err
	}
	return sum, intact, nil
}

// fits says whether a page makes something of what was stored, now that a delta was
// added to it.
func fits(stored, delta []wire.Component) bool {
	return stored[0].Name == "" ||
		wire.Fits(stored, slices.ContainsFunc(delta, func(c wire.Component) bool { return c.Name == wire.ComponentCount }))
}

func addComponent(vector []wire.Component, c wire.Component) []wire.Component {
	for i := range vector {
		if vector[i].Name == c.Name {
			vector[i].Value = clamp(vector[i].Value + c.Value)
			return vector
		}
	}
	c.Value = clamp(c.Value)
	return append(vector, c)
}

// clamp keeps sums finite: an infinity would swallow all that comes later.
func clamp(f float64) float64 {
	return max(-math.MaxFloat64, min(math.MaxFloat64, f))
}

// latest keeps the stored "number stamp deadline" if its stamp is newer. A stored
// stamp in the future is not believed, as the clock has been set back since; a new
// one in the future becomes the present.
func (d *draft) latest(text string, exists bool, value string) (kept string, intact bool, err error) {
	number, stamp, deadline, ok := stamped(value)
	if !ok {
		return "", false, RefusedError("ERR not a number, a stamp and a deadline: " + value)
	}
	if ahead := stamp - d.now; ahead > 0 {
		if deadline > 0 {
			deadline = max(1, deadline-ahead)
		}
		stamp -= ahead
		value = number + " " + strconv.FormatInt(stamp, 10) + " " + strconv.FormatInt(deadline, 10)
	}
	if !exists {
		return value, true, nil
	}
	_, stored, _, ok := stamped(text)
	ok = ok && len(text) <= wire.MaxText
	if ok && stored > stamp && stored <= d.now {
		return text, true, nil
	}
	return value, ok, nil
}

// stamped reads a value of a Latest gauge.
func stamped(text string) (number string, stamp, deadline int64, ok bool) {
	parts := strings.Split(text, " ")
	if len(parts) != 3 {
		return "", 0, 0, false
	}
	stamp, ok = microseconds(parts[1])
	deadline, okDeadline := microseconds(parts[2])
	return parts[0], stamp, deadline, ok && okDeadline
}

// microseconds reads a time, the greatest for one that is too great.
func microseconds(text string) (int64, bool) {
	n, err := strconv.ParseUint(text, 10, 63)
	return int64(n), err == nil || errors.Is(err, strconv.ErrRange)
}
