// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"slices"
	"time"

	"github.com/shoal-metrics/shoal/core/internal/wire"
)

// packer cuts ops into batches. It gathers them in buffers that it uses again, so that
// a batch takes no more memory than its ops and one text for all their values.
type packer struct {
	out      *outbox
	now      time.Time
	overflow string // of the batches to come
	weight   int    // of an op
	load     int    // the weight of the batch at hand, without that of born
	born     int    // how many bytes the fields have that the batch at hand marks
	size     int    // of the batch at hand, in bytes
	*scratch
}

// scratch is the batch at hand.
type scratch struct {
	ops     []wire.Op
	values  []byte // one after the other
	ends    []int  // where each value ends in values
	waiters []*waiter
}

func newPacker(f *family, s *scratch) packer {
	p := packer{out: &f.out, now: time.Now(), weight: 1, scratch: s}
	switch f.def.kind {
	case wire.TypeHistogram:
		p.weight = histogramWeight
	case wire.TypeSummary:
		p.weight = summaryWeight
	}
	return p
}

// add puts an op into the batch at hand, and those who wait for it. It copies value. For born
// see wire.Op.Born; here it is 0 as well where a batch has told it before.
func (p *packer) add(kind wire.OpKind, field string, value []byte, born int64, waiters []*waiter) {
	for _, w := range waiters {
		w.op = len(p.ops)
	}
	p.ops = append(p.ops, wire.Op{Kind: kind, Field: field, Born: born})
	p.waiters = append(p.waiters, waiters...)
	p.values = append(p.values, value...)
	p.ends = append(p.ends, len(p.values))
	p.size += len(field) + len(value) + 56
	p.load += p.weight
	if born > 0 {
		p.load += birthWeight
		p.born += len(field)
	}
	if p.load+p.born/birthBytes >= batchWeight || p.size >= batchBytes {
		p.cut()
	}
}

// cut ends the batch at hand, if there is one.
func (p *packer) cut() {
	if len(p.ops) == 0 {
		return
	}
	b := &batch{
		frozen: p.now, ops: slices.Clone(p.ops), overflow: p.overflow,
		size: p.size, weight: max(p.load+p.born/birthBytes, p.size*batchWeight/batchBytes),
	}
	if len(p.waiters) > 0 {
		b.waiters = slices.Clone(p.waiters)
	}
	values, from := string(p.values), 0
	for i, end := range p.ends {
		b.ops[i].Value = values[from:end]
		from = end
	}
	p.out.push(b)
	p.load, p.born, p.size = 0, 0, 0
	clear(p.waiters)
	p.ops, p.values, p.ends, p.waiters = p.ops[:0], p.values[:0], p.ends[:0], p.waiters[:0]
}
