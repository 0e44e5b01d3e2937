// SPDX-License-Identifier: Apache-2.0

package shoalprom

import (
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	shoal "github.com/shoal-metrics/shoal/core"
)

func TestModes_ANameGoesBeforeAPatternAndALongerPatternBeforeAShorter(t *testing.T) {
	r, err := newRules(map[string]shoal.Mode{
		"*": shoal.Sum, "db_*": shoal.Max, "db_rows_*": shoal.Latest, "db_rows_a": shoal.Min, "*_rows_z": shoal.Avg,
		"db_rows_*x": shoal.PerProcess,
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]shoal.Mode{
		"other": shoal.Sum, "db_size": shoal.Max, "db_rows_b": shoal.Latest, "db_rows_a": shoal.Min,
		"db_rows_z": shoal.Latest, // of two patterns, the longer one by a character
		"my_rows_z": shoal.Avg, "db_rows_x": shoal.PerProcess, "http/requests": shoal.Sum,
	} {
		if got, _, found := r.mode(name); got != want || !found {
			t.Errorf("%s has the mode %q, want %q", name, string(got), string(want))
		}
	}
}

// Names match as Gather gives them, or as the page has them without the prefix.
func TestSkip_AndModes_MatchNamesWithoutThePrefix(t *testing.T) {
	reg := shop()
	reg.MustRegister(utf8Metric())
	for _, o := range []Opts{
		{Skip: []string{"http.requests", "took_*", "size_bytes", "plain", "orders_*"}},
		{Skip: []string{"http_req*", "took_seconds", "s*", "p[l]ain", "orders_total", "depth_*"}},
	} {
		o.Prefix, o.Modes = "depth_", map[string]shoal.Mode{"d?pth": shoal.Max, "depth_depth": shoal.Min}
		s := bridged(t, reg, o)
		if got, err := collect(t, s); err != nil || got != "# TYPE depth_depth gauge\ndepth_depth 11.5\n" {
			t.Errorf("%v\n%s", err, got)
		}
		if got := s.mode("depth_depth"); got != shoal.Max {
			t.Errorf("the mode is %q, want %q", string(got), string(shoal.Max))
		}
		if got := s.mode("depth"); got != shoal.PerProcess {
			t.Errorf("the mode of no family is %q", string(got))
		}
	}
}

// A pattern for gauges must not make the application's counters fall when a process ends.
func TestModes_ACounterBecomesAGaugeOnlyIfThatIsMeant(t *testing.T) {
	for _, c := range []struct {
		key   string
		mode  shoal.Mode
		gauge bool
	}{
		{"orders_total", shoal.Latest, true}, {"orders_total", shoal.Sum, true}, {"orders_total", shoal.PerProcess, true},
		{"orders_*", shoal.Latest, true}, {"orders_*", shoal.Max, true}, {"*", shoal.Min, true}, {"*_total", shoal.Avg, true},
		{"*", shoal.Sum, false}, {"orders_*", shoal.PerProcess, false}, {"other_total", shoal.Latest, false},
	} {
		s := bridged(t, shop(), Opts{Modes: map[string]shoal.Mode{c.key: c.mode}})
		got, err := collect(t, s)
		if gauge := strings.Contains(got, "# TYPE orders_total gauge\n"); err != nil || gauge != c.gauge {
			t.Errorf("with %q for %s it is a gauge: %v, %v", string(c.mode), c.key, gauge, err)
		}
	}
}

func TestBridge_SaysWhatIsWrongWithItsArguments(t *testing.T) {
	reg, from := shoal.New(), prometheus.NewRegistry()
	modes := func(key string, mode shoal.Mode) Opts { return Opts{Modes: map[string]shoal.Mode{key: mode}} }
	for _, c := range []struct {
		reg  *shoal.Registry
		from prometheus.Gatherer
		o    Opts
		want string
	}{
		{nil, from, Opts{}, "use shoal.Default()"},
		{reg, nil, Opts{}, "use prometheus.DefaultGatherer"},
		{reg, reg, Opts{}, "leave it out"},
		{reg, prometheus.Gatherers{from, prometheus.Gatherers{shoal.New()}}, Opts{}, "leave it out"},
		{reg, from, modes("a", shoal.Total), `Opts.Modes["a"]: a Total gauge can only be added to`},
		{reg, from, modes("a", "most"), `unknown gauge mode "most": use`},
		{reg, from, modes("a[", shoal.Max), `Opts.Modes["a["]: not a pattern`},
		{reg, from, modes("", shoal.Max), "it is empty: use"},
		{reg, from, Opts{Skip: []string{"b", `a\`}}, `Opts.Skip of "a\\": not a pattern`},
		{reg, from, Opts{Skip: []string{""}}, "it is empty: use"},
		{reg, from, Opts{Prefix: "a-b"}, `Opts.Prefix is "a-b": use`},
		{reg, from, Opts{Prefix: "shoal_x_"}, "reserved for shoal's own metrics"},
		{reg, from, Opts{Period: -1}, "Period is -1ns: use"},
	} {
		stop, err := Bridge(c.reg, c.from, c.o)
		if err == nil || stop != nil || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), "shoalprom: ") {
			t.Errorf("%v; want %s", err, c.want)
		}
	}
}
