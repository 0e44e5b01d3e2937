// SPDX-License-Identifier: Apache-2.0

package memstore

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/shoal-metrics/shoal/core/internal/wire"
)

// draft is what a batch will make of a family's series. Nothing changes until store: so a
// batch that turns out to be malformed has changed nothing.
type draft struct {
	now        int64             // in microseconds
	stored     map[string]string // the series before the batch; only store changes it
	marks      *marks            // of the series in stored
	cleared    bool              // all of them are to go
	gone       map[string]bool   // fields of series that are to go
	set        map[string]string // texts by field of series that are to come or change
	count      int               // how many series there are after it
	corrupt    int
	overflowed int
	took       []string // for each op the field of the series that took it
	tookOp     []bool   // whether a series took the op
	// What store found: the fields of series that came and that went. A series that went and
	// came again with the same batch is in both.
	came, went []string
}

func newDraft(stored map[string]string, marks *marks, now time.Time) *draft {
	return &draft{
		now:    now.UnixMicro(),
		stored: stored,
		marks:  marks,
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
	d.took, d.tookOp = append(d.took, ""), append(d.tookOp, false)
	switch op.Kind {
	case wire.OpDelete:
		d.remove(op.Field, op.Born)
		return nil
	case wire.OpClear:
		if d.sparesAny(op.Born) {
			for field := range d.stored {
				d.remove(field, op.Born)
			}
			return nil
		}
		d.cleared = true
		d.count = 0
		clear(d.set)
		clear(d.tookOp)
		return nil
	case wire.OpAdd, wire.OpLatest:
	default:
		return RefusedError("ERR no such kind of op: " + string(rune(op.Kind)))
	}

	field := op.Field
	text, exists := d.get(field)
	if !exists && limit > 0 && d.count >= limit && field != overflow {
		d.overflowed++
		if op.Kind == wire.OpLatest { // the last value of many label sets says nothing
			return d.check(op)
		}
		field = overflow
		text, exists = d.get(field)
	}
	fold := add
	if op.Kind == wire.OpLatest {
		fold = d.latest
	}
	result, intact, err := fold(text, exists, op.Value)
	if err != nil {
		return err
	}
	if !intact {
		d.corrupt++
	}
	d.put(field, result)
	d.took[len(d.took)-1], d.tookOp[len(d.took)-1] = field, true
	return nil
}

// remove deletes a series, unless it began after the deletion was asked for.
func (d *draft) remove(field string, asked int64) {
	if _, ok := d.get(field); !ok || d.spares(field, asked) {
		return
	}
	d.count--
	delete(d.set, field)
	d.gone[field] = true
}

// A deletion that arrives late spares what began after it was asked for, in microseconds.
const (
	late = 10_000_000
	skew = 1_000_000 // by which the clocks of processes may differ
)

func isLate(asked, now int64) bool { return asked > 0 && now-asked > late }

func (d *draft) spares(field string, asked int64) bool {
	if !isLate(asked, d.now) {
		return false
	}
	m, ok := d.marks.get(field)
	return ok && m.start > asked+skew && m.start <= d.now
}

func (d *draft) sparesAny(asked int64) bool {
	for field := range d.stored {
		if d.spares(field, asked) {
			return true
		}
	}
	return false
}

// check returns an error if the value of an op that no series takes is malformed.
func (d *draft) check(op wire.Op) error {
	_, _, err := d.latest("", false, op.Value)
	return err
}

// totals returns the text of the series that took each op.
func (d *draft) totals(ops []wire.Op) []string {
	totals := make([]string, len(ops))
	for i := range ops {
		if d.tookOp[i] {
			totals[i], _ = d.get(d.took[i])
		}
	}
	return totals
}

// store changes the series as the draft says, and returns whether any came or went.
func (d *draft) store(series map[string]string) bool {
	for field := range series {
		if !d.cleared && !d.gone[field] {
			continue
		}
		if _, again := d.set[field]; d.cleared || !again {
			delete(series, field)
			d.went = append(d.went, field)
		}
	}
	for field, text := range d.set {
		if _, ok := series[field]; !ok {
			d.came = append(d.came, field)
		}
		series[field] = text
	}
	return d.cleared || len(d.came)+len(d.went) > 0
}

// add returns the sum of a stored vector and a delta. intact is false if the stored one was
// damaged, and the delta alone is the sum.
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

// fits says whether a page can show the components that were stored, now that a delta was
// added to them.
func fits(stored, delta []wire.Component) bool {
	return stored[0].Name == "" ||
		wire.Fits(stored, slices.ContainsFunc(delta, func(c wire.Component) bool { return c.Name == wire.ComponentCount }))
}

func addComponent(vector []wire.Component, c wire.Component) []wire.Component {
	for i := range vector {
		if vector[i].Name == c.Name {
			vector[i].Value = wire.Clamp(vector[i].Value + c.Value)
			return vector
		}
	}
	c.Value = wire.Clamp(c.Value)
	return append(vector, c)
}

// latest returns that of two "number stamp deadline" with the newer stamp. A stored stamp in
// the future is not believed: it was written before the clock was set back. A new one in the
// future becomes the present, and its deadline moves back as far. intact is false if the
// stored text was damaged.
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

// stamped reads "number stamp deadline".
func stamped(text string) (number string, stamp, deadline int64, ok bool) {
	parts := strings.Split(text, " ")
	if len(parts) != 3 {
		return "", 0, 0, false
	}
	stamp, ok = microseconds(parts[1])
	deadline, okDeadline := microseconds(parts[2])
	return parts[0], stamp, deadline, ok && okDeadline
}

// microseconds reads a time. One that is too large becomes the largest.
func microseconds(text string) (int64, bool) {
	n, err := strconv.ParseUint(text, 10, 63)
	return int64(n), err == nil || errors.Is(err, strconv.ErrRange)
}
