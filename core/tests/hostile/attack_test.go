// SPDX-License-Identifier: Apache-2.0

package hostile_test

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"
)

// ownWriter stands in random contents for the id of a process of the app, since that differs
// from run to run.
const ownWriter = "%OWN%"

// write is one change of a key by an attack.
type write struct {
	key    string
	family string // of the key; empty for keys of the app as a whole
	also   string // another key that it writes to, if any
	about  string // a description
	do     func(ctx context.Context, p redis.Pipeliner)
}

// attack is all writes of a round.
type attack struct {
	writes  []write
	touched map[string]bool // families; and "families", "leases", "g"
	keys    []string
}

// mostWrites is how many writes a round has at most.
const mostWrites = 40

// target is a key that an attack may write to.
type target struct{ key, kind, family string }

// targets lists all keys of the app, and some keys that no process uses.
func (s *session) targets() (own, foreign []target) {
	for _, name := range slices.Concat(honestNames, selfNames) {
		own = append(own, s.keysOf(name)...)
	}
	own = append(own, target{s.key("}:families"), "families", ""}, target{s.key("}:leases"), "leases", ""})
	for _, w := range s.writers {
		own = append(own, target{s.key("}:g:" + w), "g", ""})
	}
	for _, name := range []string{"foreign_0", "foreign_1", "foreign_2", "foreign_3", honestNames[0] + "_total", honestNames[0] + "_sum"} {
		foreign = append(foreign, s.keysOf(name)...)
	}
	return own, append(foreign, target{s.key("}:g:nobody"), "g", ""}, target{s.key("}:g:"), "g", ""})
}

func (s *session) keysOf(family string) (keys []target) {
	for _, kind := range []string{"ctl", "v", "m"} {
		keys = append(keys, target{s.key("/" + family + "}:" + kind), kind, family})
	}
	return keys
}

// plan draws a round's attack. If the job names writes, the attack has only these.
func (s *session) plan(ctx context.Context, round uint64) (*attack, error) {
	var skip *regexp.Regexp
	if s.Skip != "" {
		skip = regexp.MustCompile(s.Skip)
	}
	d := roll(s.Seed, round, 0)
	own, foreign := s.targets()
	n := 1 + d.IntN(6)
	if d.one(12) {
		n = mostWrites // on nearly all keys
	}
	a := &attack{touched: map[string]bool{}}
	for i := range n {
		d := roll(s.Seed, round, uint64(i)+1)
		t := own[d.IntN(len(own))]
		switch d.IntN(6) {
		case 0:
			t = pick(d, foreign...)
		case 1:
			t = pick(d, own[len(own)-2-len(s.writers):]...) // one of the few keys of the app as a whole
		}
		if s.Only != nil && !slices.Contains(s.Only, i) {
			continue
		}
		w, err := s.draw(ctx, d, t, own)
		if err != nil {
			return nil, err
		}
		if skip != nil && skip.MatchString(w.key+" "+w.about) {
			continue
		}
		a.writes = append(a.writes, w)
		a.keys = append(a.keys, t.key)
		if w.also != "" {
			a.keys = append(a.keys, w.also)
		}
		switch t.kind {
		case "ctl", "v", "m":
			a.touched[t.family] = true
		default:
			a.touched[t.kind] = true
		}
	}
	return a, nil
}

// draw draws one write to a target.
func (s *session) draw(ctx context.Context, d rng, t target, own []target) (write, error) {
	w := write{key: t.key, family: t.family}
	switch n := d.IntN(10); {
	case d.one(1000):
		s.crowd(d, t, &w)
	case n == 0:
		w.about = "is deleted"
		w.do = func(ctx context.Context, p redis.Pipeliner) { p.Del(ctx, t.key) }
	case n == 1:
		s.wrongType(d, &w)
	case n == 2:
		other := pick(d, own...).key
		w.about = "is a copy of " + other
		w.do = func(ctx context.Context, p redis.Pipeliner) { p.Copy(ctx, other, t.key, 0, true) }
	case t.kind == "families":
		s.listed(d, &w)
	case n <= 5:
		return w, s.spoilt(ctx, d, t, &w)
	default:
		s.filled(d, t, &w)
	}
	return w, nil
}

// wrongType puts a value of another type in place of a key.
func (s *session) wrongType(d rng, w *write) {
	kind, text, n := pick(d, "string", "list", "set", "zset", "stream", "hash"), s.own(d, d.text()), min(d.times(), 100)
	w.about = fmt.Sprintf("becomes a %s of %d × %.60q", kind, n, text)
	w.do = func(ctx context.Context, p redis.Pipeliner) {
		p.Del(ctx, w.key)
		for i := range n {
			member := text + strconv.Itoa(i)
			switch kind {
			case "string":
				p.Set(ctx, w.key, text, 0)
			case "list":
				p.RPush(ctx, w.key, member)
			case "set":
				p.SAdd(ctx, w.key, member)
			case "zset":
				p.ZAdd(ctx, w.key, redis.Z{Score: float64(i), Member: member})
			case "stream":
				p.XAdd(ctx, &redis.XAddArgs{Stream: w.key, Values: []string{member, text}})
			case "hash":
				p.HSet(ctx, w.key, member, text)
			}
		}
	}
}

// listed adds names to the list of families, or takes some away.
func (s *session) listed(d rng, w *write) {
	members := make([]redis.Z, d.times())
	for i := range members {
		name, score := d.member()
		if len(members) > 10 && d.one(2) {
			name += strconv.Itoa(i)
		}
		members[i] = redis.Z{Score: score, Member: name}
	}
	if d.one(4) {
		name := pick(d, honestNames...)
		w.about = "loses " + name
		w.do = func(ctx context.Context, p redis.Pipeliner) { p.ZRem(ctx, w.key, name) }
		return
	}
	w.about = fmt.Sprintf("gets %d names, such as %.60q", len(members), members[0].Member)
	w.do = func(ctx context.Context, p redis.Pipeliner) { p.ZAdd(ctx, w.key, members...) }
}

// filled adds fields that look nearly right.
func (s *session) filled(d rng, t target, w *write) {
	n := d.times()
	pairs := make([]any, 0, 2*n)
	var about []string
	size := 0
	for i := range n {
		field, value := d.entry(t.kind)
		if n > 10 && d.one(2) {
			field += strconv.Itoa(i)
		}
		field, value = s.own(d, field), s.own(d, value)
		if size += len(field) + len(value); size > 6<<20 {
			break // a round's writes are bounded, so that it is quick
		}
		pairs = append(pairs, field, value)
		if i < 5 {
			about = append(about, fmt.Sprintf("%.60q: %.100q", field, value))
		}
	}
	replaced := d.one(4)
	w.about = fmt.Sprintf("gets %d fields (%d bytes; others gone: %v): %s", len(pairs)/2, size, replaced, strings.Join(about, ", "))
	w.do = func(ctx context.Context, p redis.Pipeliner) {
		if replaced {
			p.Del(ctx, t.key)
		}
		p.HSet(ctx, t.key, pairs...)
	}
}

// spoilt changes some of what the processes stored in a key.
func (s *session) spoilt(ctx context.Context, d rng, t target, w *write) error {
	had, err := s.attacker.HGetAll(ctx, t.key).Result()
	if err != nil && !strings.HasPrefix(err.Error(), "WRONGTYPE") {
		return err
	}
	if len(had) == 0 {
		s.filled(d, t, w)
		return nil
	}
	fields := make([]string, 0, len(had))
	for field := range had {
		fields = append(fields, field)
	}
	slices.Sort(fields)
	n := min(len(fields), d.times())
	var pairs []any
	var gone, about []string
	for range n {
		field := pick(d, fields...)
		switch d.IntN(6) {
		case 0:
			gone = append(gone, field)
			about = append(about, fmt.Sprintf("%.60q is gone", field))
		case 1:
			name := d.spoilt(field)
			pairs = append(pairs, name, had[field])
			about = append(about, fmt.Sprintf("%.60q: %.100q", name, had[field]))
		case 2:
			other := had[pick(d, fields...)]
			pairs = append(pairs, field, other)
			about = append(about, fmt.Sprintf("%.60q: %.100q", field, other))
		default:
			value := s.own(d, d.spoilt(had[field]))
			pairs = append(pairs, field, value)
			about = append(about, fmt.Sprintf("%.60q: %.100q", field, value))
		}
	}
	w.about = "is spoilt: " + strings.Join(about[:min(len(about), 8)], ", ")
	w.do = func(ctx context.Context, p redis.Pipeliner) {
		if len(pairs) > 0 {
			p.HSet(ctx, t.key, pairs...)
		}
		if len(gone) > 0 {
			p.HDel(ctx, t.key, gone...)
		}
	}
	return nil
}

// own replaces ownWriter by the id of a process of the app.
func (s *session) own(d rng, text string) string {
	if len(s.writers) == 0 || !strings.Contains(text, ownWriter) {
		return text
	}
	return strings.ReplaceAll(text, ownWriter, s.writers[d.IntN(len(s.writers))])
}

// launch makes the writes. Redis may refuse some of them, since an earlier write changed the
// type of the key.
func (a *attack) launch(ctx context.Context, client redis.UniversalClient) error {
	p := client.Pipeline()
	for _, w := range a.writes {
		w.do(ctx, p)
	}
	_, err := p.Exec(ctx)
	if _, refused := err.(redis.Error); refused {
		err = nil
	}
	return err
}

func (a *attack) String() string {
	var b strings.Builder
	for _, w := range a.writes {
		fmt.Fprintf(&b, "  %s %s\n", w.key, w.about)
	}
	return b.String()
}
