// SPDX-License-Identifier: Apache-2.0

package page

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/shoal-metrics/shoal/core/internal/wire"
)

// storedFamily is a family as it was read.
type storedFamily struct {
	name    string
	state   wire.FamilyState
	series  *seriesIndex       // nil if its values are gauges of processes, or not readable
	values  []wire.SeriesValue // parallel to series.labels
	scanned bool               // series is new, and all there is of this state
}

// shows says whether the series i is of the registered mode. A gauge whose mode
// changed may have series of Latest and of Total side by side.
func (f *storedFamily) shows(i int) bool {
	return wire.IsTotal(f.series.labels.fields[i]) == f.state.Total()
}

// readPage reads everything that a page shows: see the package documentation. The
// lineage is read before and after it: what was read in between is shown only if it
// is all of one history, under which the writers have verified their families.
func (r *Reader) readPage(ctx context.Context) (*Page, error) {
	var held *Held
	if r.config.Held != nil {
		held = r.config.Held() // before the head is read, or the head might lack what is registered meanwhile
	}
	began := time.Now()
	head, err := r.store.ReadHead(ctx, r.app)
	r.app = head.App // empty after an error: what was asked for may have caused it
	if err != nil {
		return nil, err
	}
	r.overlong.remove(&head, r.config.LeaseDuration)
	if err := r.recovery.check(head, began, held, r.observer); err != nil {
		return nil, err
	}
	r.tellOmitted(head)
	families := r.registered(head)
	after, err := r.readValues(ctx, families, head.Lineage)
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
	page, err := render(ctx, r.observer, r.own, head, families)
	if err != nil {
		return nil, err
	}
	if len(head.App.Families) == 0 && len(head.App.Leases) == 0 && r.config.Held == nil { // a process that writes will soon be there itself
		page.Note = fmt.Sprintf("shoal: Redis has no metric and no living process of the app %q: is that its name?", r.config.App)
	}
	return page, nil
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

// registered lists the families whose registration is readable, and drops all others
// from the index.
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
	r.index.keep(families)
	return families
}

// omit reports a family that the page can't show.
func (r *Reader) omit(name string, err error) {
	if errors.Is(err, wire.ErrTooLarge) {
		r.index.noteTooLarge(name)
	}
	r.observer.OmittedFamilies(name, 1, err)
}

// readValues reads the values of all shared families, and then the lineage. Before is
// the lineage as it was read first. A family takes at most half of what is left of the
// bytes that are read for a page, so that none pushes all others off.
func (r *Reader) readValues(ctx context.Context, families []storedFamily, before string) (lineage string, err error) {
	var queries []wire.SeriesQuery
	var asked, scanned []int // the families of the queries, and those that were scanned
	room := wire.MaxPage - r.index.size()
	for i := range families {
		f := &families[i]
		if !f.state.Shared() {
			continue // its values are with the writers' gauges
		}
		if known := r.index.families[f.name]; known != nil {
			// Where Redis does not tell the lineage, a failover within a reading goes
			// unseen: then what is remembered is not believed for long.
			believed := before != "" || time.Since(known.scanned) < r.recovery.bound()
			if known.version == f.state.SeriesVersion && known.version != "" && believed {
				f.series = known
				queries = append(queries, wire.SeriesQuery{Family: f.name, Fields: known.labels.fields, Texts: known.texts})
				asked = append(asked, i)
				continue
			}
			room += known.size
			delete(r.index.families, f.name)
		}
		switch err := r.scan(ctx, f, room/2); {
		case err == nil:
			room -= f.series.size
			scanned = append(scanned, i)
		case wire.Damaged(err), errors.Is(err, wire.ErrTooLarge):
			r.omit(f.name, err)
		default:
			return "", err
		}
	}
	taken, err := r.readStarts(ctx, families, scanned)
	if err != nil {
		return "", err
	}
	room -= taken
	if err := r.recheckGenerations(ctx, families, scanned); err != nil {
		return "", err
	}
	var gone []int
	replies, lineage, err := r.store.ReadSeries(ctx, queries, room)
	if err != nil {
		return "", err
	}
	for q, reply := range replies {
		f := &families[asked[q]]
		if reply.Err != nil {
			r.omit(f.name, reply.Err)
			delete(r.index.families, f.name)
			f.series = nil
			continue
		}
		f.values, f.series.texts = reply.Values, reply.Texts
		if len(f.values) > 0 && !slices.ContainsFunc(f.values, func(v wire.SeriesValue) bool { return v.Found }) {
			gone = append(gone, asked[q])
		}
	}
	return lineage, r.recheckGenerations(ctx, families, gone)
}

// scan reads all series of a family, unless they were just found not to fit.
func (r *Reader) scan(ctx context.Context, f *storedFamily, room int) error {
	if r.index.isTooLarge(f.name) {
		return wire.ErrTooLarge
	}
	stored, err := r.store.ScanSeries(ctx, f.name, room)
	if err != nil {
		return err
	}
	f.series, f.values, err = indexSeries(ctx, r.observer, f.name, f.state.SeriesVersion, stored)
	f.scanned = err == nil
	return err
}

// recheckGenerations looks up again the families that were scanned, or that have no
// known series left. If Redis lost one of them meanwhile, it returns an error. If series
// came or went between the head and the scan, nobody knows of which seriesVersion the
// scan is, so the family does not count as scanned.
func (r *Reader) recheckGenerations(ctx context.Context, families []storedFamily, which []int) error {
	if len(which) == 0 {
		return nil
	}
	names := make([]string, len(which))
	for n, i := range which {
		names[n] = families[i].name
	}
	states, err := r.store.ReadFamilies(ctx, names)
	if err != nil {
		return err
	}
	for n, i := range which {
		f := &families[i]
		if states[n].Generation != f.state.Generation {
			return &RecoveringError{cause: "Redis lost something while the page was read", wait: "it is read again"}
		}
		f.scanned = f.scanned && states[n].SeriesVersion == f.state.SeriesVersion
	}
	return nil
}
