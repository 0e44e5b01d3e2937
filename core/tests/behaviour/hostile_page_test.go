// SPDX-License-Identifier: Apache-2.0

package behaviour_test

import (
	"errors"
	"fmt"
	"net/http"
	"runtime/metrics"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	shoal "github.com/shoal-metrics/shoal/core"

	"github.com/shoal-metrics/shoal/core/tests/redistest"
	"github.com/shoal-metrics/shoal/core/tests/testkit"
)

// hostile is an app whose keys somebody else can write too. It has a server of its own.
type hostile struct {
	*fleet
	t      *testing.T
	writer *shoal.Registry
	reader *shoal.Registry
	heard  *testkit.Heard
}

// underAttack returns an app with a counter, a histogram and a gauge. A client of the test's own
// reads its pages, so no guard checks the replies.
func underAttack(t *testing.T) *hostile {
	t.Helper()
	server := redistest.Start(t)
	f := fleetOn(t, server)
	f.connect = func(t testing.TB) redis.UniversalClient { return server.Client(t, patient) }
	h := &hostile{fleet: f, t: t, heard: new(testkit.Heard)}
	h.writer = f.process(t, lease(time.Minute), func(o *shoal.Opts) { // long, for tests that store copies of it
		o.RefreshPeriod = time.Hour // a refresh would replace what the tests store in place of gauges
	})
	h.writer.NewCounter(shoal.CounterOpts{Name: "honest_total"}).Add(7)
	h.writer.NewHistogram(shoal.HistogramOpts{Name: "took_seconds", Buckets: []float64{1, 2}}).Observe(1.5)
	h.writer.NewGauge(shoal.GaugeOpts{Name: "depth", Mode: shoal.Sum, Expire: 2 * time.Hour}).Set(3)
	flush(t, h.writer)
	h.reader = f.reader(t, hearing(h.heard))
	h.page()
	return h
}

// page reads a page, which must show all that the writer counted.
func (h *hostile) page() testkit.Page {
	h.t.Helper()
	rec, _ := testkit.Get(h.reader, testkit.Patience)
	if rec.Code != http.StatusOK {
		h.t.Fatalf("status %d: %s", rec.Code, rec.Body)
	}
	p, err := testkit.Parse(rec.Body.String())
	testkit.Must(h.t, err)
	p.Want(h.t, "honest_total", "7", "took_seconds_count", "1", `took_seconds_bucket{le="1"}`, "0", "depth", "3")
	return p
}

func (h *hostile) values(family string) string { return h.family(family, "v") }

func (h *hostile) leasesKey() string { return h.key("}:leases") }

func (h *hostile) eval(script string, keys []string, args ...any) {
	h.t.Helper()
	if err := h.redis.Eval(h.t.Context(), script, keys, args...).Err(); !errors.Is(err, redis.Nil) {
		testkit.Must(h.t, err)
	}
}

// do sends a command to the app's Redis.
func (h *hostile) do(args ...any) {
	h.t.Helper()
	testkit.Must(h.t, h.redis.Do(h.t.Context(), args...).Err())
}

// store registers a family and stores n series of it, each with a label of length bytes.
func (h *hostile) store(name, kind, bounds string, n, length int, text string) {
	h.t.Helper()
	h.do("HSET", h.family(name, "ctl"), "gen", "g", "type", kind, "help", "", "mode", "",
		"bounds", bounds, "created", "1", "shape", "1")
	h.do("HSET", h.values(name), "\xfe", "g")
	h.fill(`redis.call('HSET', KEYS[1], 'a\255' .. i .. string.rep('x', ARGV[3]), ARGV[4])`, h.values(name), n, length, text)
	h.do("ZADD", h.key("}:families"), 1, name)
}

// fill executes a line of Lua for each i from 1 to n, in several calls, so that the server
// answers others in between. Its arguments are ARGV[3] and so on.
func (h *hostile) fill(line, key string, n int, args ...any) {
	h.t.Helper()
	const slice = 10_000
	for from := 1; from <= n; from += slice {
		h.eval("for i = ARGV[1], ARGV[2] do "+line+" end", []string{key}, append([]any{from, min(n, from+slice-1)}, args...)...)
	}
}

// allocated is how many bytes f allocates.
func allocated(f func()) uint64 {
	read := func() uint64 {
		s := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
		metrics.Read(s)
		return s[0].Value.Uint64()
	}
	before := read()
	f()
	return read() - before
}

// sent is how many bytes the server has sent.
func (h *hostile) sent() int {
	h.t.Helper()
	info := h.redis.InfoMap(h.t.Context(), "stats").Val()
	n, err := strconv.Atoi(info["Stats"]["total_net_output_bytes"])
	testkit.Must(h.t, err)
	return n
}

// called is how often the server executed a command.
func (h *hostile) called(command string) int {
	h.t.Helper()
	line := h.redis.InfoMap(h.t.Context(), "commandstats").Val()["Commandstats"]["cmdstat_"+command]
	n, _ := strconv.Atoi(strings.TrimPrefix(strings.Split(line, ",")[0], "calls="))
	return n
}

// A text of 20 MB in each place where a page reads a text: Redis does not send it, and the page
// takes about as much memory as without it.
func TestHostileText_StaysInRedisAndIsOmittedFromThePage(t *testing.T) {
	for where, place := range map[string]func(h *hostile) (key, field string){
		"a value":               func(h *hostile) (string, string) { return h.values("honest_total"), "a\xffx" },
		"a value of a series":   func(h *hostile) (string, string) { return h.values("took_seconds"), "b\xffx" },
		"a help text":           func(h *hostile) (string, string) { return h.family("size", "ctl"), "help" },
		"bounds":                func(h *hostile) (string, string) { return h.family("size", "ctl"), "bounds" },
		"the type":              func(h *hostile) (string, string) { return h.family("size", "ctl"), "type" },
		"a shape":               func(h *hostile) (string, string) { return h.family("size", "ctl"), "shape" },
		"a generation":          func(h *hostile) (string, string) { return h.values("size"), "\xfe" },
		"a lease":               func(h *hostile) (string, string) { return h.leasesKey(), "i:5" },
		"a field of a lease":    func(h *hostile) (string, string) { return h.leasesKey(), "" },
		"a gauge":               func(h *hostile) (string, string) { return h.gaugeKeys(h.t)[0], "depth\xffa\xffx" },
		"a name of a gauge":     func(h *hostile) (string, string) { return h.gaugeKeys(h.t)[0], "" },
		"labels":                func(h *hostile) (string, string) { return h.values("honest_total"), "" },
		"what was scanned once": func(h *hostile) (string, string) { return h.values("honest_total"), "y" },
	} {
		t.Run(where, func(t *testing.T) {
			h := underAttack(t)
			h.store("size", "histogram", "1 2", 3, 1, "1:1")
			h.page()
			harmless, quiet := allocated(func() { h.page() }), h.sent()
			h.page()
			quiet = h.sent() - quiet
			key, field := place(h)
			h.eval(`local text = string.rep('7', 20000000)
				if ARGV[1] == '' then redis.call('HSET', KEYS[1], text, '1') else redis.call('HSET', KEYS[1], ARGV[1], text) end
				local ctl = string.gsub(KEYS[1], ':v$', ':ctl')
				if ctl ~= KEYS[1] then redis.call('HSET', ctl, 'shape', 'another') end`, []string{key}, field)
			before := h.sent()
			if took := allocated(func() { h.page() }); took > 4*harmless+4<<20 {
				t.Errorf("the first page allocated %d bytes, a harmless one %d", took, harmless)
			}
			if took := allocated(func() { h.page() }); took > 2*harmless+1<<20 {
				t.Errorf("a page allocated %d bytes, a harmless one %d", took, harmless)
			}
			limit := 4*quiet + 1<<20
			if where == "a generation" { // it is read with the values of known series: sent once, like those
				limit += 20_000_000
			}
			if n := h.sent() - before; n > limit {
				t.Errorf("Redis sent %d bytes for two pages, and %d for a harmless one", n, quiet)
			}
			if where != "a shape" && len(h.heard.Of("omitted")) == 0 {
				t.Error("nothing was reported")
			}
			if field != "" {
				h.do("HDEL", key, field)
				h.page()
			}
		})
	}
}

// A page has a line for each bound of each series. Families that do not fit are omitted before they
// take memory.
func TestHostileBounds_TakeNoMemory(t *testing.T) {
	many := func(n int) string {
		texts := make([]string, n)
		for i := range texts {
			texts[i] = strconv.Itoa(i)
		}
		return strings.Join(texts, " ")
	}
	for name, attack := range map[string]func(h *hostile){
		"10,000 bounds of 10,000 series":   func(h *hostile) { h.store("big", "histogram", many(10_000), 10_000, 1, "1:1") },
		"as many bounds as may be":         func(h *hostile) { h.store("big", "histogram", many(1000), 10_000, 1, "1:1") },
		"200,000 bounds":                   func(h *hostile) { h.store("big", "histogram", many(200_000), 3, 1, "1:1") },
		"a vector of 200,000":              func(h *hostile) { h.store("big", "histogram", "1 2", 3, 1, strings.Repeat("1:1 ", 200_000)+"sum:1") },
		"bounds that do not ascend":        func(h *hostile) { h.store("big", "histogram", "1 2 2", 3, 1, "1:1") },
		"a bound that is no number":        func(h *hostile) { h.store("big", "histogram", "1 NaN", 3, 1, "1:1") },
		"bounds of a counter":              func(h *hostile) { h.store("big", "counter", many(10_000), 10_000, 1, "x") },
		"as many bounds and a sum of each": func(h *hostile) { h.store("big", "histogram", many(1000), 2000, 1, many(30)) },
	} {
		t.Run(name, func(t *testing.T) {
			h := underAttack(t)
			h.store("plain", "counter", "", 10_000, 1, "1")
			harmless := allocated(func() { h.page() })
			attack(h)
			if took := allocated(func() { h.page() }); took > 4*harmless+8<<20 {
				t.Errorf("a page allocated %d bytes, a harmless one %d", took, harmless)
			}
			if len(h.heard.Of("big", "omitted")) == 0 && !strings.Contains(name, "vector") {
				t.Errorf("nobody was told: %q", h.heard.Of())
			}
		})
	}
}

// A family that does not fit is omitted whole. However large it is, it takes the same memory, and
// it is not read again for each page. Other families are shown.
func TestHostileSeries_ThatDoNotFitAreOmittedWhole(t *testing.T) {
	took := map[int]uint64{}
	for _, n := range []int{140_000, 280_000} {
		h := underAttack(t)
		h.store("big_total", "counter", "", n, 1000, "1")
		took[n] = allocated(func() {
			if p := h.page(); len(p.Of("big_total")) > 0 {
				t.Errorf("a part of the series is shown: %d", len(p.Of("big_total")))
			}
		})
		if got := h.heard.Of("big_total", "omitted"); len(got) != 1 {
			t.Errorf("heard %q", got)
		}
		before := h.called("hscan")
		h.page()
		if n := h.called("hscan") - before; n > 10 {
			t.Errorf("%d slices were read again", n)
		}
	}
	if took[280_000] > took[140_000]+took[140_000]/5 {
		t.Errorf("allocated %v", took)
	}
}

// Known series get long values: the reader stops as soon as they do not fit.
func TestHostileSeries_ThatGrowAreOmittedWhole(t *testing.T) {
	took := map[int]uint64{}
	for _, n := range []int{2500, 5000} {
		h := underAttack(t)
		h.store("big_total", "counter", "", n, 1, "1")
		if shown := len(h.page().Of("big_total")); shown != n {
			t.Fatalf("%d series", shown)
		}
		h.eval(`local text = string.rep('7', 60000)
			for _, field in ipairs(redis.call('HKEYS', KEYS[1])) do if field ~= '\254' then redis.call('HSET', KEYS[1], field, text) end end`,
			[]string{h.values("big_total")})
		took[n] = allocated(func() {
			if shown := len(h.page().Of("big_total")); shown != 0 {
				t.Errorf("%d series are shown", shown)
			}
		})
		if got := h.heard.Of("big_total", "omitted"); len(got) != 1 {
			t.Errorf("heard %q", got)
		}
	}
	if took[5000] > took[2500]+took[2500]/5 {
		t.Errorf("allocated %v", took)
	}
}

// A process with more gauges than a page has room for is omitted; the gauges of others are shown.
func TestHostileGauges_ThatDoNotFitAreOmittedWhole(t *testing.T) {
	t.Parallel()
	h := underAttack(t)
	lease := h.redis.HGet(t.Context(), h.leasesKey(), "i:0").Val()
	id := strings.Fields(lease)[0]
	for i, attack := range []struct {
		n, length int
		shown     bool
	}{{100, 10, true}, {20_000, 10, true}, {100_000, 600, false}, {500_001, 1, false}} {
		writer := fmt.Sprint("evil", i)
		testkit.Must(t, h.redis.HSet(t.Context(), h.leasesKey(), fmt.Sprintf("i:%d", i+1), strings.Replace(lease, id, writer, 1)).Err())
		h.fill(`redis.call('HSET', KEYS[1], 'depth\255a\255' .. i .. string.rep('x', ARGV[3]), '1 99999999999999')`,
			h.key("}:g:"+writer), attack.n, attack.length)
		p := h.page()
		if n := len(p.Of("depth")) - 1; (n > 0) != attack.shown {
			t.Errorf("%d gauges of %d are shown", n, attack.n)
		}
		if told := len(h.heard.Of("gauges of the process with gauge_index "+strconv.Itoa(i+1), "omitted")) > 0; told == attack.shown && i < 3 {
			t.Errorf("%d gauges: told %v: %q", attack.n, told, h.heard.Of("omitted"))
		}
		h.do("DEL", h.key("}:g:"+writer))
		h.do("HDEL", h.leasesKey(), fmt.Sprintf("i:%d", i+1))
	}
}

// The list of families has too many names: a page looks up at most as many as it can show, those
// that were touched last, and none that is not a valid name of a metric.
func TestHostileNames_APageLooksUpNoMoreThanItShows(t *testing.T) {
	t.Parallel()
	h := underAttack(t)
	fill := func(n int, name, score string) {
		t.Helper()
		h.fill(`redis.call('ZADD', KEYS[1], ARGV[4], ARGV[3] .. i)`, h.key("}:families"), n, name, score)
	}
	fill(25_000, "no name ", "5")
	before := h.called("hmget")
	h.page()
	if n := h.called("hmget") - before; n > 1000 {
		t.Errorf("%d look-ups of what is no name", n)
	}
	fill(25_000, "old_", "4")
	fill(25_000, "to_come_", "9e15")
	before = h.called("hmget")
	h.page()
	if n := h.called("hmget") - before; n > 21_000 {
		t.Errorf("%d look-ups", n)
	}
	if got := h.heard.Of("names of the list of metrics", "25000"); len(got) != 1 {
		t.Errorf("heard %q", got)
	}
}

// Too many leases: the page is a 503 that says why, until somebody removes them. A page that
// omitted leases could lack gauges of living processes.
func TestHostileLeases_MoreThanAPageIsMadeOfAre503AndWhy(t *testing.T) {
	t.Parallel()
	h := underAttack(t)
	kept := h.redis.HGetAll(t.Context(), h.leasesKey()).Val()
	h.fill(`redis.call('HSET', KEYS[1], 'i:' .. i + 5, 'x')`, h.leasesKey(), 10_001)
	h.refused("more processes have left leases than a page is made of")
	if got := h.heard.Of("leases", h.leasesKey(), "delete that key"); len(got) != 1 {
		t.Errorf("heard %q", h.heard.Of())
	}
	h.do("DEL", h.leasesKey())
	testkit.Must(t, h.redis.HSet(t.Context(), h.leasesKey(), kept).Err())
	h.page()
}

// refused wants a 503 with this reason, without an address.
func (h *hostile) refused(reason string) {
	h.t.Helper()
	rec, _ := testkit.Get(h.reader, testkit.Patience)
	if rec.Code != http.StatusServiceUnavailable || !strings.Contains(rec.Body.String(), reason) || strings.Contains(rec.Body.String(), "127.0.0.1") {
		h.t.Errorf("%d: %s", rec.Code, rec.Body)
	}
}

// A key that the whole app needs has another type: the page says which key.
func TestHostileType_OfTheListsIsNamedOnThePage(t *testing.T) {
	t.Parallel()
	for _, list := range []string{"families", "leases"} {
		h := underAttack(t)
		closeAll(t, h.writer)
		h.do("DEL", h.key("}:"+list))
		h.do("SET", h.key("}:"+list), "a stranger's")
		h.refused("the key shoal:1:{" + h.app + "}:" + list + " is of a wrong type")
		if got := h.heard.Of(list, "delete it"); len(got) != 1 {
			t.Errorf("heard %q", h.heard.Of())
		}
	}
}

// Leases that no process of the app wrote are counted as damage, and hide no other lease.
func TestHostileLeases_OfStrangersAreNoProcesses(t *testing.T) {
	t.Parallel()
	h := underAttack(t)
	lease := h.redis.HGet(t.Context(), h.leasesKey(), "i:0").Val()
	words := strings.Fields(lease)
	with := func(i int, word string) string {
		changed := append([]string(nil), words...)
		changed[i] = word
		return strings.Join(changed, " ")
	}
	id := words[0]
	strangers := []string{
		"i:1", with(0, "x}:g"), "i:2", with(0, "{other}"), "i:3", with(0, strings.Repeat("w", 65)), "i:4", with(0, "\xff\x00"),
		"i:2147483648", with(0, "w"), "i:99999999999999999999", with(0, "w"), "i:-1", with(0, "w"), "i:007", with(0, "w"),
		"i:8", with(1, "1e99"), "i:9", "", "i:10", with(4, "%zz"),
	}
	testkit.Must(t, h.redis.HSet(t.Context(), h.leasesKey(), strangers).Err())
	// The same process twice, and one with an unlimited time to live.
	testkit.Must(t, h.redis.HSet(t.Context(), h.leasesKey(), "i:11", with(1, strconv.Itoa(1)), "i:12", lease, "i:13", with(0, id+"-2")).Err())
	p := h.page()
	p.Want(t, "shoal_instances", "2")
	if got := h.heard.Of("the leases", "11 ("); len(got) != 1 {
		t.Errorf("heard %q", h.heard.Of())
	}
}
