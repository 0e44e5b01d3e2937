// SPDX-License-Identifier: Apache-2.0

package hostile_test

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
)

// crowd fills a key with very many valid entries: more than a page shows, or so many that the page
// made of them would take much memory.
func (s *session) crowd(d rng, t target, w *write) {
	n := pick(d, 1000, 10_000, 10_001, 25_000)
	deadline := time.Now().Add(time.Hour).UnixMilli()
	entry := func(i int) (field, value string) {
		return "x\xff" + strconv.Itoa(i), pick(d, "1", "sum:1 count:1", "8:1 sum:4")
	}
	switch t.kind {
	case "families":
		w.about = fmt.Sprintf("gets %d names", n)
		w.do = func(ctx context.Context, p redis.Pipeliner) {
			for from := 0; from < n; from += 1000 {
				members := make([]redis.Z, 1000)
				for i := range members {
					members[i] = redis.Z{Score: float64(deadline), Member: "n" + strconv.Itoa(from+i)}
				}
				p.ZAdd(ctx, t.key, members...)
			}
		}
		return
	case "leases":
		s.crowded = true // as documented, pages are 503
		entry = func(i int) (field, value string) {
			return "i:" + strconv.Itoa(i+5), fmt.Sprintf("w%d %d - host v 1 3600000", i, deadline)
		}
	case "g":
		entry = func(i int) (field, value string) {
			return "depth\xffx\xff" + strconv.Itoa(i), "1 " + strconv.FormatInt(deadline, 10)
		}
	case "ctl": // bounds, and as many series
		bounds := pick(d, 500, 1001, 10_000)
		text := make([]byte, 0, 8*bounds)
		for i := range bounds {
			text = append(strconv.AppendInt(text, int64(i), 10), ' ')
		}
		t.key = s.key("/" + t.family + "}:v")
		w.also = t.key
		fill := fillWith(t.key, n, entry)
		w.about = fmt.Sprintf("gets %d bounds, and beside it there are %d series", bounds, n)
		w.do = func(ctx context.Context, p redis.Pipeliner) {
			p.HSet(ctx, w.key, "bounds", string(text[:len(text)-1]))
			fill(ctx, p)
		}
		return
	}
	w.about = fmt.Sprintf("gets %d more entries", n)
	w.do = fillWith(t.key, n, entry)
}

// fillWith writes n entries to a hash, in commands that each take Redis little time.
func fillWith(key string, n int, entry func(i int) (field, value string)) func(ctx context.Context, p redis.Pipeliner) {
	return func(ctx context.Context, p redis.Pipeliner) {
		for from := 0; from < n; from += 1000 {
			pairs := make([]string, 0, 2000)
			for i := range 1000 {
				field, value := entry(from + i)
				pairs = append(pairs, field, value)
			}
			p.HSet(ctx, key, pairs)
		}
	}
}
