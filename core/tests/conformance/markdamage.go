// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"crypto/sha1" // marks are found by it
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/shoal-metrics/shoal/core/internal/wire"
)

// storedMark is where the mark of a field is, and the mark. It is written here a second time, since
// other versions and clients in other languages rely on it.
func storedMark(field string, start int64, epoch byte) (bucket, mark string) {
	sum := sha1.Sum([]byte(field))
	digits := hex.EncodeToString(sum[:])
	n, _ := strconv.ParseInt(digits[:3], 16, 64)
	id, _ := hex.DecodeString(digits[3:13])
	return strconv.FormatInt(n%1024, 10), string(id) + string(binary.BigEndian.AppendUint64(nil, uint64(start))[1:]) + string(epoch)
}

// setBucket overwrites the bucket of a field.
func (f *redisFixture) setBucket(field, marks string) {
	f.Helper()
	bucket, _ := storedMark(field, 0, 0)
	f.must(f.client.HSet(f.ctx, marksKey(f.app, "a"), bucket, marks).Err())
}

// setControl overwrites a field of the control hash.
func (f *redisFixture) setControl(field, text string) {
	f.Helper()
	f.must(f.client.HSet(f.ctx, controlKey(f.app, "a"), field, text).Err())
}

// neighbour is a field whose mark is in the same bucket as that of another.
func neighbour(field string) string {
	bucket, _ := storedMark(field, 0, 0)
	for i := 0; ; i++ {
		other := "next\xff" + strconv.Itoa(i)
		if b, _ := storedMark(other, 0, 0); b == bucket && other != field {
			return other
		}
	}
}

var markDamageTests = map[string]func(f *redisFixture){
	"Stored_MarksAreBucketsOf13Bytes": func(f *redisFixture) {
		gen := f.family("a", wire.TypeCounter)
		x, y := "x", neighbour("x")
		f.pass(3, registration("a", "w1", wire.TypeCounter))
		f.apply(batch("a", gen, 0, 1, held(x, 0x01020304050607)))
		f.apply(batch("a", gen, 1, 2, held(y, 0xff), held("", 1<<40)))
		bucket, markX := storedMark(x, 0x01020304050607, 3)
		_, markY := storedMark(y, 0xff, 3)
		other, mark := storedMark("", 1<<40, 3)
		want := map[string]string{"\xfe": gen, bucket: markX + markY, other: mark}
		if got := f.hash(marksKey(f.app, "a")); !maps.Equal(got, want) {
			f.Errorf("stored is %q, want %q", got, want)
		}
		f.apply(batch("a", gen, 2, 3, deleteX, wire.Op{Kind: wire.OpDelete, Field: ""}))
		if got := f.hash(marksKey(f.app, "a")); !maps.Equal(got, map[string]string{"\xfe": gen, bucket: markY}) {
			f.Errorf("stored is %q, want the mark of %q", got, y)
		}
		f.apply(batch("a", gen, 3, 4, clearAll))
		if got := f.hash(marksKey(f.app, "a")); !maps.Equal(got, map[string]string{"\xfe": gen}) {
			f.Errorf("after a reset: %q", got)
		}
	},
	"Stored_MarkIsFoundOnlyWhereOneBegins": func(f *redisFixture) {
		gen := f.family("a", wire.TypeCounter)
		f.apply(batch("a", gen, 0, 1, held("x", 100)))
		_, mark := storedMark("x", 100, 0)
		before := "other" + mark[:5] + "12" + "\x00" // a mark whose start has the bytes of x
		f.setBucket("x", before+mark)
		f.wantStart(gen, "x", 100)
		f.pass(2, registration("a", "w1", wire.TypeCounter))
		f.mark("a", gen, "x")
		bucket, mark := storedMark("x", 100, 2)
		if got := f.hash(marksKey(f.app, "a"))[bucket]; got != before+mark {
			f.Errorf("the bucket is %q, want %q", got, before+mark)
		}
	},
	"Stored_ResetLeavesNoMarkOfWhatCameBeforeIt": func(f *redisFixture) {
		gen := f.family("a", wire.TypeCounter)
		f.apply(batch("a", gen, 0, 1, held("y", 100), clearAll, held("x", 1<<60)))
		bucket, _ := storedMark("x", 0, 0)
		if got := slices.Sorted(maps.Keys(f.hash(marksKey(f.app, "a")))); !slices.Equal(got, []string{bucket, "\xfe"}) {
			f.Errorf("the marks are in %q", got)
		}
	},
	"Damage_MarksOfAnotherTypeAreReplaced": func(f *redisFixture) {
		r := registration("a", "w1", wire.TypeCounter)
		gen := f.register(r).Generation
		f.apply(batch("a", gen, 0, 1, held("x", 100)))
		f.must(f.client.Del(f.ctx, marksKey(f.app, "a")).Err())
		f.must(f.client.Set(f.ctx, marksKey(f.app, "a"), "a stranger's", 0).Err())
		f.apply(batch("a", gen, 1, 2, held("x", 100), held("y", 100), add("z", "1")))
		f.apply(batch("a", gen, 2, 3, wire.Op{Kind: wire.OpDelete, Field: "z"}))
		if gone := f.mark("a", gen, "x", "z"); !slices.Equal(gone, []int{1}) {
			f.Errorf("gone are %v", gone)
		}
		f.wantRemoved("a", nothingRemoved)
		if got := f.starts("a", gen, "x", "y"); !slices.Equal(got, []int64{0, 0}) {
			f.Errorf("they began at %v", got)
		}
		if reply := f.register(r); reply.Generation != gen {
			f.Errorf("registered: %+v", reply)
		}
		f.wantMended("the keys of a", 1)
		f.apply(batch("a", gen, 3, 4, held("new", 100)))
		f.pass(9, r)
		f.wantRemoved("a", oneIdle)
		f.wantFields("a", "x", "y")
	},
	"Damage_MarksOfAnotherGenerationCountAsNone": func(f *redisFixture) {
		r := registration("a", "w1", wire.TypeCounter)
		gen := f.register(r).Generation
		f.apply(batch("a", gen, 0, 1, held("x", 100)))
		f.pass(9, r)
		f.must(f.client.HSet(f.ctx, marksKey(f.app, "a"), "\xfe", "another").Err())
		f.wantStart(gen, "x", 0)
		f.wantRemoved("a", nothingRemoved)
		f.mark("a", gen, "x")
		f.register(r)
		f.wantMended("", 0)
		if got := f.hash(marksKey(f.app, "a")); !maps.Equal(got, map[string]string{"\xfe": gen}) {
			f.Errorf("stored is %q", got)
		}
	},
	// A damaged bucket costs starts, and is replaced by the next mark in it.
	"Damage_BucketThatIsNoneIsReplaced": func(f *redisFixture) {
		gen := f.family("a", wire.TypeCounter)
		other := neighbour("x")
		_, mark := storedMark("x", 100, 0)
		_, foreign := storedMark("foreign", 7, 0)
		seq := uint64(0)
		for name, text := range map[string]string{
			"empty": "", "a byte": "x", "half a mark": mark[:6], "more than a mark": mark + "x", "twice its id": strings.Repeat(mark[:5], 13),
			"misaligned": "123456" + strings.Repeat(mark, 100) + "1234567", "zeros": strings.Repeat("\x00", 13*2500), "others": strings.Repeat(foreign, 2500),
			"64 KiB": strings.Repeat("x", wire.MaxText), "long": strings.Repeat(mark, 100_000), "its own, many times": strings.Repeat(mark, 2500),
		} {
			before := f.now()
			f.apply(batch("a", gen, seq, seq+1, add("some", "1")))
			f.apply(batch("a", gen, seq+1, seq+2, clearAll, held("x", 100)))
			f.setBucket("x", text)
			starts := f.starts("a", gen, "x", other)
			if starts[0] > f.now() && name != "twice its id" {
				f.Errorf("%s: x began at %v", name, starts)
			}
			if gone := f.mark("a", gen, "x", other); !slices.Equal(gone, []int{1}) {
				f.Errorf("%s: gone are %v", name, gone)
			}
			if name != "twice its id" { // which is a mark of a strange epoch
				f.setBucket("x", text)
				f.wantRemoved("a", nothingRemoved)
			}
			f.setBucket("x", text)
			f.apply(batch("a", gen, seq+2, seq+3, held("x", 100), held(other, 1<<40), wire.Op{Kind: wire.OpDelete, Field: "absent"}))
			full := slices.Contains([]string{"zeros", "others", "its own, many times"}, name)
			if start := f.starts("a", gen, other)[0]; start < before && !full {
				f.Errorf("%s: the neighbour began at %v", name, start)
			}
			wantVector(f.T, name, f.series("a")["x"], "2")
			seq += 3
		}
	},
	"Damage_StartInTheFutureMovesBack": func(f *redisFixture) {
		gen := f.family("a", wire.TypeCounter)
		f.apply(batch("a", gen, 0, 1, held("x", 100)))
		for i, start := range []int64{1<<56 - 1, 1 << 55, f.now() + time.Hour.Microseconds()} {
			_, mark := storedMark("x", start, 0)
			f.setBucket("x", mark)
			f.wantStart(gen, "x", start)
			f.mark("a", gen, "x")
			f.apply(of("w2"+strconv.Itoa(i), batch("a", gen, 0, 1, held("x", 90))))
			f.wantStart(gen, "x", 90)
		}
	},
	// The age of a mark is not known, so all go. The ages begin anew.
	"Damage_EpochThatIsNoneAgesNothing": func(f *redisFixture) {
		r := registration("a", "w1", wire.TypeCounter)
		gen := f.register(r).Generation
		seq := uint64(0)
		for _, text := range []string{
			"", "18", "18 x", "x 18", "18  9", "-18 9", "0018 1", "18 1 1", "18e0 9", strings.Repeat("0", 400) + "18 9", strings.Repeat("9", 400) + " 9",
			strings.Repeat("9", 1<<20), "9 " + strings.Repeat("9", 400), "missing",
		} {
			f.apply(batch("a", gen, seq, seq+1, clearAll, held("x", 100)))
			seq++
			f.setControl("epoch", text)
			mended := 1
			if text == "missing" {
				f.must(f.client.HDel(f.ctx, controlKey(f.app, "a"), "epoch").Err())
				mended = 0
			}
			f.wantRemoved("a", nothingRemoved)
			f.apply(of("w2", batch("a", gen, seq-1, seq, held("y", 100))))
			f.mark("a", gen, "x")
			clear(f.mended)
			if reply := f.register(r); reply.Epoch != "0" || reply.Generation != gen {
				f.Errorf("%.20q: registered %+v", text, reply)
			}
			f.wantMended("the keys of a", mended)
			f.wantStart(gen, "x", 0)
			f.wantRemoved("a", nothingRemoved)
			f.pass(8, r)
			f.wantRemoved("a", nothingRemoved)
			f.pass(1, r)
			f.wantRemoved("a", wire.Removed{Idle: 2})
		}
	},
	"Damage_TimeOfTheLastRemovalThatIsNone": func(f *redisFixture) {
		gen := f.family("a", wire.TypeCounter)
		for i, text := range append([]string{fmt.Sprint(f.now()+time.Hour.Microseconds(), f.now())}, odd...) {
			f.setControl("removed", text)
			before := f.now()
			field := "x" + strconv.Itoa(i)
			f.apply(batch("a", gen, uint64(i), uint64(i)+1, held(field, 100)))
			if start := f.starts("a", gen, field)[0]; start != 100 && (i > 0 || start < before) {
				f.Errorf("%.20q: the series began at %d", text, start)
			}
			if reply := f.register(registration("a", "w1", wire.TypeCounter)); len(reply.Removed) > 33 {
				f.Errorf("%.20q: registered %.100v", text, reply)
			}
		}
	},
	"Damage_RetentionThatIsNoneIsReplaced": func(f *redisFixture) {
		r := registration("a", "w1", wire.TypeCounter)
		r.Born = 5
		gen := f.register(r).Generation
		f.apply(batch("a", gen, 0, 1, held("x", 100)))
		f.pass(9, r)
		older := registration("a", "w2", wire.TypeCounter)
		for _, text := range odd {
			f.setControl("retention", text)
			f.setControl("swept", text)
			if text != "007" && text != "9007199254740992" && !strings.HasPrefix(text, "999") && !strings.HasPrefix(text, "777") && !strings.HasPrefix(text, "111") {
				f.wantRemoved("a", nothingRemoved)
			}
			clear(f.mended)
			f.register(older)
			f.wantMended("the keys of a", 1)
			if got := f.hash(controlKey(f.app, "a"))["retention"]; got != "2592000000" {
				f.Errorf("%.20q became %.20q", text, got)
			}
		}
		f.housekeep(retention)
		f.wantFields("a")
	},
	"Clock_AnEpochOfATimeToComeBeginsNow": func(f *redisFixture) {
		r := registration("a", "w1", wire.TypeCounter)
		gen := f.register(r).Generation
		f.apply(batch("a", gen, 0, 1, held("x", 100)))
		f.setControl("epoch", "7 "+f.ago(-time.Hour))
		if reply := f.register(r); reply.Epoch != "7" {
			f.Errorf("registered: %+v", reply)
		}
		stored := f.hash(controlKey(f.app, "a"))["epoch"]
		if n, since, _ := strings.Cut(stored, " "); n != "7" || since > f.ago(0) || since < f.ago(time.Minute) {
			f.Errorf("the epoch is %q", stored)
		}
		f.wantStart(gen, "x", 100)
	},
	"Aging_LateTurnRemovesOnlyLeases": func(f *redisFixture) {
		r := registration("a", "w1", wire.TypeCounter)
		gen := f.register(r).Generation
		f.apply(batch("a", gen, 0, 1, held("x", 100)))
		f.pass(9, r)
		f.must(f.client.HSet(f.ctx, leasesKey(f.app), "i:0", "w 1 - - - 0 1000", "housekept", strconv.FormatInt(f.head().Now.Add(-61*time.Minute).UnixMilli(), 10)).Err())
		f.wantHousekept(retention, nothingRemoved)
		if fields := slices.Collect(maps.Keys(f.hash(leasesKey(f.app)))); !slices.Equal(fields, []string{"housekept"}) {
			f.Errorf("the leases are %q", fields)
		}
		f.wantHousekept(retention, oneIdle)
	},
	"Aging_FamiliesStayForTheirOwnRetention": func(f *redisFixture) {
		for name, keep := range map[string]time.Duration{"longer": 2 * retention, "ever": 0, "shorter": time.Hour} {
			r := registration(name, "w1", wire.TypeCounter)
			r.Retention = keep
			f.apply(batch(name, f.register(r).Generation, 0, 1, held("x", 100), held("y", 100)))
			f.list(name, retention+time.Minute)
			f.must(f.client.HSet(f.ctx, controlKey(f.app, name), "touched", f.ago(retention+time.Minute)).Err())
		}
		f.wantHousekept(retention, wire.Removed{Idle: 2})
		if names := slices.Sorted(slices.Values(f.head().Families)); !slices.Equal(names, []string{"ever", "longer"}) {
			f.Errorf("the families are %q", names)
		}
		if n := f.client.Exists(f.ctx, marksKey(f.app, "shorter")).Val(); n != 0 {
			f.Error("the marks are left")
		}
	},
}
