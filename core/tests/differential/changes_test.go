// SPDX-License-Identifier: Apache-2.0

package differential

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/shoal-metrics/shoal/core/internal/wire"
)

// past is what a family had at a version of its series: the starts by field, without the fields
// of series that were not there.
type past struct {
	version string
	starts  map[string]int64
}

// pastsKept is how many versions of a family are asked for.
const pastsKept = 20

// named are the fields that requests name.
var named = append([]string{"k\xffover", filling(0), filling(wire.LargeFamily)}, fields...)

// present reads what a family has of the named fields.
func (x *side) present(family string) past {
	values, _, err := x.store.ReadSeries(x.ctx, []wire.SeriesQuery{{Family: family, Fields: named}}, wire.MaxPage)
	x.must(err)
	starts, err := x.store.ReadStarts(x.ctx, []wire.StartsQuery{{Family: family, Generation: x.generation[family], Fields: named}})
	x.must(err)
	now := past{x.version[family], map[string]int64{}}
	for i, field := range named {
		if values[0].Values[i].Found {
			now.starts[field] = starts[0][i]
		}
	}
	return now
}

// changes asks what has changed in each family since each version that was seen, and wants the
// log to name all that has.
func (x *side) changes(family string) (answers []string) {
	if x.version[family] == "" {
		return nil
	}
	now := x.present(family)
	var queries []wire.ChangesQuery
	for _, p := range x.pasts[family] {
		queries = append(queries, wire.ChangesQuery{Family: family, Since: p.version, Now: now.version})
	}
	replies, err := x.store.ReadChanges(x.ctx, queries)
	x.must(err)
	for i, r := range replies {
		x.must(r.Err)
		slices.Sort(r.Fields)
		answers = append(answers, fmt.Sprintf("%d versions ago: known %v, %q", len(replies)-i, r.Known, r.Fields))
		before := x.pasts[family][i].starts
		for _, field := range named {
			was, had := before[field]
			is, has := now.starts[field]
			switch what := "the log tells what "; {
			case was == is && had == has:
				continue
			case !r.Known:
				x.told["the log does not tell"]++
				continue
			case !had:
				x.told[what+"came"]++
			case !has:
				x.told[what+"went"]++
			case is < was:
				x.told[what+"began earlier"]++
			}
			if !slices.Contains(r.Fields, field) {
				x.t.Errorf("the log of %s from %q to %q names %q, and not %q", family, queries[i].Since, now.version, r.Fields, field)
			}
		}
	}
	if n := len(queries); n == 0 || queries[n-1].Since != now.version {
		x.pasts[family] = append(x.pasts[family], now)
		x.pasts[family] = x.pasts[family][max(0, len(x.pasts[family])-pastsKept):]
	}
	return answers
}

func filling(n int) string { return "fill\xff" + strconv.Itoa(n) }

// fill makes a family large.
func (s *schedule) fill() request {
	s.nonce++
	c := wire.Commit{Family: families[0], Writer: "filler" + strconv.Itoa(s.nonce), Seq: 1}
	for n := range wire.LargeFamily + 1 {
		c.Ops = append(c.Ops, wire.Op{Kind: wire.OpAdd, Field: filling(n), Value: "1", Born: 5})
	}
	return newRequest("fill "+c.Family, func(x *side) wire.CommitStatus {
		c := c
		if c.Generation = x.generation[c.Family]; c.Generation == "" {
			c.Generation = "never"
		}
		reply := x.store.Commit(x.ctx, []wire.Commit{c})[0]
		x.must(reply.Err)
		return reply.Status
	}, func(status wire.CommitStatus) {
		if status == wire.CommitOK {
			s.outcomes["filled"]++
		}
	})
}
