// SPDX-License-Identifier: Apache-2.0

package differential

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/shoal-metrics/shoal/core/internal/wire"
)

// removal is what a housekeeping removed.
type removal struct {
	wire.Removed
	failed string
}

func (s *schedule) housekeep() request {
	what, family := "housekeep", ""
	if s.oneIn(2) {
		family = pick(s.draw, families)
		what = "remove what has expired in " + family
	}
	return newRequest(what, func(x *side) removal {
		clear(x.pasts) // idle-3 removes in slices, in an order of its own
		var removed wire.Removed
		var err error
		if family == "" {
			removed, err = x.store.Housekeep(x.ctx, time.Hour, 0)
		} else {
			removed, err = wire.RemoveExpired(x.ctx, x.store, family)
		}
		return removal{removed, meaning(err)}
	}, func(answer removal) {
		if answer.Idle > 0 {
			s.outcomes["idle removed"]++
		}
		if answer.Expired > 0 {
			s.outcomes["expired removed"]++
		}
	})
}

func (s *schedule) mark() request {
	family, former := pick(s.draw, families), s.oneIn(10)
	marked := slices.Clone(fields)
	s.Shuffle(len(marked), func(i, j int) { marked[i], marked[j] = marked[j], marked[i] })
	marked = marked[:s.IntN(len(marked))]
	return newRequest(fmt.Sprintf("mark %q of %s", marked, family), func(x *side) wire.MarkReply {
		m := wire.Mark{Family: family, Generation: x.generation[family], Fields: marked}
		if former {
			m.Generation = x.former[family]
		}
		if m.Generation == "" {
			m.Generation = "never"
		}
		reply := x.store.Mark(x.ctx, []wire.Mark{m})[0]
		x.must(reply.Err)
		return reply
	}, func(reply wire.MarkReply) {
		if len(reply.Gone) > 0 {
			s.outcomes["gone"]++
		}
		if !reply.Unknown && len(reply.Gone) < len(marked) {
			s.outcomes["marked"]++
		}
	})
}

// age lets epochs of a family pass.
func (s *schedule) age() request {
	at, epochs := s.IntN(len(families)), pick(s.draw, []int{1, 2, 8, 9, 9, 12, 256})
	s.nonce++
	r := wire.Registration{
		Family: families[at], Writer: "w9", Nonce: "n" + strconv.Itoa(s.nonce),
		Definition: wire.Definition{Type: kinds[at], Retention: time.Hour},
	}
	if r.Type == wire.TypeGauge {
		r.Mode = r.Family
	}
	return newRequest(fmt.Sprintf("let %d epochs of %s pass", epochs, r.Family), func(x *side) wire.RegisterReply {
		var reply wire.RegisterReply
		for range epochs {
			x.target.EndEpoch(x.t, x.app, r.Family)
			reply = x.register(r)
		}
		return reply
	}, func(reply wire.RegisterReply) {
		if n, _ := strconv.Atoi(reply.Epoch); n >= epochs {
			s.outcomes["aged"]++
		}
	})
}
