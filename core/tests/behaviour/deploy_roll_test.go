// SPDX-License-Identifier: Apache-2.0

package behaviour_test

import (
	"slices"
	"strconv"
	"testing"

	"github.com/shoal-metrics/shoal/core/tests/redistest"
	"github.com/shoal-metrics/shoal/core/tests/testkit"
)

var oldVersion = version{
	{Kind: "counter", Name: "jobs_total", Help: "Jobs.", Labels: []string{"queue"}},
	{Kind: "counter", Name: "old_total", Help: "Only in the old version."},
	{Kind: "histogram", Name: "took_seconds", Help: "Old time.", Buckets: []float64{1, 2, 5, 10}},
	{Kind: "histogram", Name: "wait_seconds", Help: "Old wait.", Buckets: []float64{0.1, 1}, Labels: []string{"queue"}},
	{Kind: "summary", Name: "size_bytes", Help: "Size."},
	{Kind: "gauge", Name: "depth", Help: "Depth.", Mode: "sum"},
	{Kind: "gauge", Name: "temperature_celsius", Help: "Heat.", Labels: []string{"room"}},
	{Kind: "gauge", Name: "last_run_timestamp_seconds", Help: "Last run.", Mode: "latest"},
}

var youngVersion = version{
	{Kind: "counter", Name: "jobs_total", Help: "Jobs, by kind.", Labels: []string{"queue", "kind"}},
	{Kind: "counter", Name: "young_total", Help: "Only in the young version."},
	{Kind: "histogram", Name: "took_seconds", Help: "Young time.", Buckets: []float64{0.1, 2, 7.5, 20}},
	{Kind: "histogram", Name: "wait_seconds", Help: "Young wait.", Buckets: []float64{1, 5}, Labels: []string{"kind", "queue"}},
	{Kind: "summary", Name: "size_bytes", Help: "Size, by kind.", Labels: []string{"kind"}},
	{Kind: "gauge", Name: "depth", Help: "Depth.", Mode: "max"},
	{Kind: "gauge", Name: "temperature_celsius", Help: "Heat.", Mode: "avg", Labels: []string{"room"}},
	{Kind: "gauge", Name: "last_run_timestamp_seconds", Help: "Last run."},
}

// rollout is a deploy of processes that serve, work and are watched.
type rollout struct {
	t      *testing.T
	f      *fleet
	watch  *watch
	living []*instance
	old    int // rounds of all processes of the old version that rest or have ended
	young  int // those of the young version
}

// instance is one process of a rollout.
type instance struct {
	*testkit.Child
	url    string
	young  bool
	rounds int
}

func newRollout(t *testing.T) *rollout {
	return &rollout{t: t, f: fleetOn(t, redistest.Start(t)), watch: startWatch(t)}
}

// start starts a process and makes it work.
func (r *rollout) start(v version, young bool) *instance {
	r.t.Helper()
	i := &instance{Child: r.f.spawn(r.t, func(c *childConfig) { c.Version = v }), young: young}
	i.url = i.Tell("serve")
	i.Tell("work")
	r.living = append(r.living, i)
	r.watch.add(i.url)
	return i
}

// rest makes an instance rest, and adds its rounds to the sum of its version.
func (r *rollout) rest(i *instance) {
	r.t.Helper()
	rounds, err := strconv.Atoi(i.Tell("rest"))
	testkit.Must(r.t, err)
	if i.young {
		r.young += rounds - i.rounds
	} else {
		r.old += rounds - i.rounds
	}
	i.rounds = rounds
}

// end lets an instance close and end.
func (r *rollout) end(i *instance) {
	r.t.Helper()
	r.watch.remove(i.url)
	r.rest(i)
	i.Tell("close")
	i.Kill()
	r.living = slices.DeleteFunc(r.living, func(other *instance) bool { return other == i })
}

// rested waits for pages under load, makes all processes rest, and returns the page that
// all of them serve.
func (r *rollout) rested() testkit.Page {
	r.t.Helper()
	r.watch.more(r.t, 4*len(r.living))
	for _, i := range r.living {
		r.rest(i)
	}
	defer func() {
		for _, i := range r.living {
			i.Tell("work")
		}
	}()
	return r.watch.same(r.t)
}

// check checks the page of all processes. Its help and bounds must be those of the youngest process.
func (r *rollout) check(stage string, help string) testkit.Page {
	r.t.Helper()
	p := r.rested()
	for series, want := range map[string]int{
		`jobs_total{queue="w"}`: r.old, `jobs_total{kind="w",queue="w"}`: r.young, "old_total": r.old, "young_total": r.young,
		"size_bytes_count": r.old, `size_bytes_count{kind="w"}`: r.young, "took_seconds_count": r.old + r.young,
		`wait_seconds_count{queue="w"}`: r.old, `wait_seconds_count{kind="w",queue="w"}`: r.young,
		`took_seconds_bucket{le="+Inf"}`: r.old + r.young,
	} {
		if got, shown := p.Value(series); got != float64(want) || !shown && want > 0 {
			r.t.Errorf("%s: %s is %v, want %d", stage, series, got, want)
		}
	}
	if got := helpOf(p, "took_seconds"); got != help {
		r.t.Errorf("%s: the help is %q, want %q", stage, got, help)
	}
	return p
}

// A deploy, a rollback and a deploy again, under load, while one process of the old version stays:
// every page is valid, no counter falls whichever process answers, all processes serve the same
// page, and each total is exact.
func TestDeploy_ForwardAndBackUnderLoadNothingFallsAndEveryTotalIsExact(t *testing.T) {
	t.Parallel()
	r := newRollout(t)
	outlives, old := r.start(oldVersion, false), r.start(oldVersion, false)
	p := r.check("before", "Old time.")
	p.WantNone(t, "young_total")

	young := r.start(youngVersion, true)
	r.check("side by side", "Young time.")

	r.end(old)
	another := r.start(youngVersion, true)
	r.check("forward", "Young time.")

	back := r.start(oldVersion, false)
	r.end(young)
	r.end(another)
	p = r.check("back", "Old time.")
	p.WantSamples(t, "took_seconds_bucket", 5)

	again := r.start(youngVersion, true)
	r.end(back)
	r.check("forward again", "Young time.")

	r.end(outlives)
	p = r.check("the last old one has ended", "Young time.")
	buckets(t, p)
	r.end(again)
	if n := len(r.watch.helps); n != 4 {
		t.Errorf("the definition changed %d times for 3 deploys: %q", n-1, r.watch.helps)
	}
	t.Logf("%d pages, %d old and %d young rounds", r.watch.pages, r.old, r.young)
}

// buckets compares each bucket on the page with what was observed. An observation is stored under
// the smallest of its writer's bounds at or above it.
func buckets(t *testing.T, p testkit.Page) {
	t.Helper()
	total, _ := p.Value("took_seconds_count")
	low, _ := p.Value(`took_seconds_bucket{le="2"}`) // exact, since both versions have this bound
	if want := total * 2 / float64(len(observed)); low < want-12 || low > want+12 {
		t.Errorf("%v of %v observations are at most 2, want a third: the processes observe one after the other", low, total)
	}
	for _, le := range []string{"0.1", "2", "7.5", "20", "+Inf"} {
		if _, ok := p.Value(`took_seconds_bucket{le="` + le + `"}`); !ok {
			t.Errorf("no bucket %s: %q", le, p.Of("took_seconds_bucket"))
		}
	}
}

// The page does not show a new type under an old name as long as Redis has the old type. A rollback
// leaves no trace of the new type. After a second deploy, with the old keys deleted, the page shows
// it.
func TestDeploy_AnotherTypeForwardAndBack(t *testing.T) {
	t.Parallel()
	r := newRollout(t)
	changed := slices.Clone(oldVersion)
	changed[3] = declared{Kind: "summary", Name: "wait_seconds", Help: "No histogram any more."}
	changed[4] = declared{Kind: "histogram", Name: "size_bytes", Help: "Size, in buckets.", Buckets: []float64{10}}
	total := func(p testkit.Page, old int) {
		t.Helper()
		for series, want := range map[string]int{
			`wait_seconds_count{queue="w"}`: old, "size_bytes_count": old, "took_seconds_count": r.old + r.young, "old_total": r.old + r.young,
		} {
			if got, _ := p.Value(series); got != float64(want) {
				t.Errorf("%s is %v, want %d", series, got, want)
			}
		}
		p.WantNone(t, "size_bytes_bucket")
		p.WantSamples(t, "wait_seconds_bucket", 3)
	}
	old := r.start(oldVersion, false)
	total(r.rested(), r.old)
	young := r.start(changed, true)
	total(r.rested(), r.old) // both versions run
	r.end(young)
	total(r.rested(), r.old) // after the rollback

	young = r.start(changed, true)
	total(r.rested(), r.old)
	r.end(old)
	total(r.rested(), r.old) // after the second deploy the old type is still shown

	// docs/operations.md, "Type clash": delete the keys once no process declares the old type.
	for _, name := range []string{"wait_seconds", "size_bytes"} {
		testkit.Must(t, r.watch.forget(name, func() error {
			return r.f.redis.Del(t.Context(), r.f.family(name, "ctl"), r.f.family(name, "v")).Err()
		}))
	}
	fresh := r.start(changed, true) // it has met no clash; the other process tries again within a minute
	p := r.rested()
	if got, _ := p.Value("size_bytes_count"); got < float64(fresh.rounds) || got > float64(fresh.rounds+young.rounds) {
		t.Errorf("size_bytes_count is %v, want %d and at most %d that were withheld", got, fresh.rounds, young.rounds)
	}
	if help := helpOf(p, "wait_seconds"); help != "No histogram any more." {
		t.Errorf("the help is %q", help)
	}
	r.end(young)
	r.end(fresh)
}
