// SPDX-License-Identifier: Apache-2.0

package page

import (
	"context"

	dto "github.com/prometheus/client_model/go"
	"github.com/shoal-metrics/shoal/core/internal/wire"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// startSize is what a remembered start takes of the bytes that are read for a page.
const startSize = 8

// cumulative says whether the values of the family's series are sums since a start, which the
// page then shows.
func (f *storedFamily) cumulative() bool { return f.state.Type != wire.TypeGauge }

// startsOf names series of a family of which is to be read when they began.
type startsOf struct {
	family *storedFamily
	places []int // of the series; nil for all
}

// readStarts reads when series began that are new to the reader, or have changed. The package
// documentation says why it comes after the scans. If the marks cannot be read for a reason of
// their own, the page lacks the starts and no more.
func (v *valuesReading) readStarts(ctx context.Context) error {
	var queries []wire.StartsQuery
	var asked []startsOf
	for _, s := range v.starts {
		f := s.family
		fields := f.series.labels.fields
		if s.places != nil {
			fields = make([]string, len(s.places))
			for i, at := range s.places {
				fields[i] = f.series.labels.fields[at]
			}
		}
		if f.cumulative() && len(fields) > 0 {
			queries = append(queries, wire.StartsQuery{Family: f.name, Generation: f.state.Generation, Fields: fields})
			asked = append(asked, s)
		}
	}
	if len(queries) == 0 {
		return nil
	}
	starts, err := v.store.ReadStarts(ctx, queries)
	switch {
	case err == nil:
	case ctx.Err() != nil || wire.Trouble(err) != "":
		return err
	default:
		v.observer.OmittedValues("when series began", len(queries), err)
		return nil
	}
	for i, s := range asked {
		size := s.family.series.size
		if s.places == nil {
			s.family.series.noteStarts(starts[i])
		} else {
			s.family.series.noteStartsAt(s.places, starts[i])
		}
		v.room -= s.family.series.size - size
	}
	return nil
}

// noteStarts notes when the series began: parallel to the labels, 0 where that is not
// known.
func (s *seriesIndex) noteStarts(starts []int64) {
	known := int64(0)
	for i, at := range starts {
		known |= at
		if s.sameAsNext(i) { // the row has the place of its last series
			starts[i+1] = min(at, starts[i+1]) // 0 is the least
		}
	}
	if known != 0 {
		s.starts = starts
		s.size += startSize * len(starts)
	}
}

// start is when the series at this place of the labels began, in microseconds; 0 if that is
// not known, or not to be shown.
func (f *shownFamily) start(place int) int64 {
	if place < len(f.starts) && f.starts[place] <= f.now && f.starts[place] > f.after {
		return f.starts[place]
	}
	return 0
}

// addStarts adds to metrics, which are the family's rows, when each began.
func (f *shownFamily) addStarts(metrics []dto.Metric) {
	if f.starts == nil {
		return
	}
	timestamps := make([]timestamppb.Timestamp, len(metrics))
	for i := range metrics {
		_, place := f.row(i)
		at, timestamp := f.start(place), &timestamps[i]
		if at == 0 {
			continue
		}
		timestamp.Seconds, timestamp.Nanos = at/1e6, int32(at%1e6)*1e3
		switch m := &metrics[i]; f.kind {
		case wire.TypeCounter:
			m.Counter.CreatedTimestamp = timestamp
		case wire.TypeSummary:
			m.Summary.CreatedTimestamp = timestamp
		case wire.TypeHistogram:
			m.Histogram.CreatedTimestamp = timestamp
		}
	}
}
