// SPDX-License-Identifier: Apache-2.0

package page

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/shoal-metrics/shoal/core/internal/wire"
)

// storedFamily is a family as it was read.
type storedFamily struct {
	name   string
	state  wire.FamilyState
	series *seriesIndex       // nil if its values are gauges of processes, or not readable
	values []wire.SeriesValue // parallel to series.labels; nil until they are read
	fresh  bool               // series was made in this reading
}

// shows says whether the series i is of the registered mode. A gauge whose mode
// changed may have series of Latest and of Total side by side.
func (f *storedFamily) shows(i int) bool {
	return wire.IsTotal(f.series.labels.fields[i]) == f.state.Total()
}

// readPage reads everything that a page shows: see the package documentation. The
// lineage is read before and after it: what was read in between is shown only if it
// is all of one history, under which the writers have verified their families.
func (r *Reader) readPage(ctx context.Context, job *reading) (*whatWasRead, error) {
	var held *Held
	if r.config.Held != nil {
		held = r.config.Held() // before the head is read, or the head might lack what is registered meanwhile
	}
	if !job.whole && !r.seniority.senior && held != nil {
		if own, err := r.readOwn(ctx, held); own != nil || err != nil {
			return own, err
		}
	}
	began := time.Now()
	head, err := r.store.ReadHead(ctx, r.expected)
	if err != nil {
		r.expected = wire.Expected{} // what was asked for may have caused it
		return nil, err
	}
	read := time.Now()
	defer func(app wire.AppState) { r.expected = r.index.expected(app) }(head.App)
	r.overlong.remove(&head, r.config.LeaseDuration)
	standing := r.seniority.judge(head.App, held, read)
	if err := r.recovery.check(head, began, held, r.observer); err != nil {
		return nil, err
	}
	r.tellOmitted(head)
	families := r.registered(head)
	r.index.keep(families, head.Lineage)
	after, err := r.readValues(ctx, families, head)
	if err != nil {
		return nil, err
	}
	if after != head.Lineage {
		return nil, &RecoveringError{
			cause: "Redis restarted or failed over while the page was read",
			wait:  "it is read again", stale: true,
		}
	}
	r.index.remember(families)
	b := newBuilder(ctx, r.observer, head.App)
	b.label = job.label
	page, err := b.render(r.own, head, families)
	if err != nil {
		return nil, err
	}
	if len(head.App.Families) == 0 && len(head.App.Leases) == 0 && r.config.Held == nil { // a process that writes will soon be there itself
		page.Note = fmt.Sprintf("shoal: Redis has no metric and no living process of the app %q: is that its name?", r.config.App)
	}
	return &whatWasRead{page: page, standing: standing}, nil
}

// readOwn reads what the page of this process needs while another one shows the shared families. It
// returns nil if that is not enough: now this process shows them, or there may be a reason to hold
// pages back.
func (r *Reader) readOwn(ctx context.Context, held *Held) (*whatWasRead, error) {
	names := r.config.Gauges()
	head, err := r.store.ReadOwn(ctx, held.Process, names)
	if err != nil {
		return nil, err
	}
	read := time.Now()
	r.overlong.remove(&head, r.config.LeaseDuration)
	standing := r.seniority.judge(head.App, held, read)
	if standing.senior || !r.recovery.calm(head, held.only(names)) {
		return nil, nil
	}
	r.tellOmitted(head)
	b := newBuilder(ctx, r.observer, head.App)
	b.narrow = true
	page, err := b.render(r.own, head, r.registered(head))
	if err != nil {
		return nil, err
	}
	return &whatWasRead{page: page, standing: standing}, nil
}

var (
	errNames    = fmt.Errorf("they are no names of metrics, or there are more than %d", wire.MaxFamilies)
	errLeases   = errors.New("entries that are no leases")
	errDeadline = errors.New("entries without a deadline")
)

// tellOmitted tells the observer what the head omits.
func (r *Reader) tellOmitted(head wire.Head) {
	if n := head.App.Omitted; n > 0 {
		r.observer.OmittedFamilies("names of the list of metrics", n, errNames)
	}
	if n := head.App.Damaged; n > 0 {
		r.observer.OmittedValues("the leases", n, errLeases)
	}
	for i, g := range head.Gauges {
		if g.Err != nil {
			r.observer.OmittedFamilies("all gauges of the process with gauge_index "+strconv.Itoa(head.App.Leases[i].Index), 1, g.Err)
		}
		if g.Damaged > 0 {
			r.observer.OmittedValues("the gauges of a process", g.Damaged, errDeadline)
		}
	}
}

// registered lists the families whose registration is readable.
func (r *Reader) registered(head wire.Head) []storedFamily {
	families := make([]storedFamily, 0, len(head.States))
	for i, state := range head.States {
		name := head.App.Families[i]
		switch {
		case errors.Is(state.Err, wire.ErrUnregistered): // its registration is under way
		case state.Err != nil:
			r.observer.OmittedFamilies(name, 1, state.Err)
		default:
			families = append(families, storedFamily{name: name, state: state})
		}
	}
	return families
}

// omit reports a family that the page can't show.
func (r *Reader) omit(name string, err error) {
	if errors.Is(err, wire.ErrTooLarge) {
		r.index.noteTooLarge(name)
	}
	r.observer.OmittedFamilies(name, 1, err)
}
