// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/shoal-metrics/shoal/core/internal/memstore"
	"github.com/shoal-metrics/shoal/core/internal/wire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// counterOf, gaugeOf, summaryOf and histogramOf are series of another client. Labels are names
// and values in turn.
func counterOf(v float64, labels ...string) *dto.Metric {
	return &dto.Metric{Label: pairsOf(labels), Counter: &dto.Counter{Value: &v}}
}

func gaugeOf(v float64, labels ...string) *dto.Metric {
	return &dto.Metric{Label: pairsOf(labels), Gauge: &dto.Gauge{Value: &v}}
}

func summaryOf(n uint64, sum float64, labels ...string) *dto.Metric {
	return &dto.Metric{Label: pairsOf(labels), Summary: &dto.Summary{SampleCount: &n, SampleSum: &sum}}
}

// histogramOf takes the buckets as bound and cumulative count in turn.
func histogramOf(n uint64, sum float64, buckets []float64, labels ...string) *dto.Metric {
	h := &dto.Histogram{SampleCount: &n, SampleSum: &sum}
	for i := 0; i < len(buckets); i += 2 {
		h.Bucket = append(h.Bucket, &dto.Bucket{UpperBound: &buckets[i], CumulativeCount: proto.Uint64(uint64(buckets[i+1]))})
	}
	return &dto.Metric{Label: pairsOf(labels), Histogram: h}
}

func pairsOf(labels []string) (pairs []*dto.LabelPair) {
	for i := 0; i < len(labels); i += 2 {
		pairs = append(pairs, &dto.LabelPair{Name: &labels[i], Value: &labels[i+1]})
	}
	return pairs
}

// began says when a series began.
func began(m *dto.Metric, at time.Time) *dto.Metric {
	stamp := timestamppb.New(at)
	switch {
	case m.Counter != nil:
		m.Counter.CreatedTimestamp = stamp
	case m.Summary != nil:
		m.Summary.CreatedTimestamp = stamp
	case m.Histogram != nil:
		m.Histogram.CreatedTimestamp = stamp
	}
	return m
}

// familyOf is a family of another client; its type is that of the first series.
func familyOf(name string, metrics ...*dto.Metric) *dto.MetricFamily {
	t := dto.MetricType_UNTYPED
	switch m := metrics[0]; {
	case m.Counter != nil:
		t = dto.MetricType_COUNTER
	case m.Gauge != nil:
		t = dto.MetricType_GAUGE
	case m.Summary != nil:
		t = dto.MetricType_SUMMARY
	case m.Histogram != nil:
		t = dto.MetricType_HISTOGRAM
	}
	return &dto.MetricFamily{Name: &name, Help: proto.String("Help of " + name + "."), Type: &t, Metric: metrics}
}

// imports imports families and fails the test if something is refused.
func imports(t testing.TB, i *Importer, families ...*dto.MetricFamily) {
	t.Helper()
	if err := i.Import(families); err != nil {
		t.Fatal(err)
	}
}

// importerOf is an importer whose gauges are sums over the processes.
func importerOf(r *Registry, cumulative bool) *Importer {
	return r.newImporter(func(string) Mode { return Sum }, cumulative)
}

func TestImport_AddsWhatWasCountedAndSetsWhatIsMeasured(t *testing.T) {
	server := memstore.New()
	a, b := process(t, server, Opts{}), process(t, server, Opts{})
	for _, r := range []*Registry{a, b} {
		i := importerOf(r, false)
		for range 2 {
			imports(t, i,
				familyOf("c", counterOf(2, "x", "1"), counterOf(0, "y", "2"), counterOf(1)),
				familyOf("g", gaugeOf(5, "x", "1")),
				familyOf("u", &dto.Metric{Untyped: &dto.Untyped{Value: proto.Float64(7)}}),
				familyOf("s", summaryOf(3, 1.5)),
				familyOf("h", histogramOf(4, 10, []float64{1, 1, 2, 3}, "x", "1")))
		}
		flush(t, r)
	}
	stored(t, server).want(t, samples{
		`c{x="1"}`: 8, `c{y="2"}`: 0, `c`: 4,
		`g{x="1"}`: 10, `u`: 14,
		`s_count`: 12, `s_sum`: 6,
		`h_bucket{x="1",le="1"}`: 4, `h_bucket{x="1",le="2"}`: 12, `h_bucket{x="1",le="+Inf"}`: 16,
		`h_count{x="1"}`: 16, `h_sum{x="1"}`: 40,
	})
}

func TestImport_BringsTypeHelpAndBoundsWithTheData(t *testing.T) {
	server := memstore.New()
	r := process(t, server, Opts{})
	imports(t, importerOf(r, false), familyOf("h", histogramOf(1, 3, []float64{2, 0, 4, 1})), familyOf("nothing", histogramOf(2, 3, nil)))
	page := get(t, r.Handler(HandlerOpts{}), nil)
	for _, want := range []string{
		"# HELP h Help of h.\n# TYPE h histogram\nh_bucket{le=\"2\"} 0\nh_bucket{le=\"4\"} 1\nh_bucket{le=\"+Inf\"} 1\nh_sum 3\nh_count 1\n",
		"# TYPE nothing histogram\nnothing_bucket{le=\"+Inf\"} 2\nnothing_sum 3\nnothing_count 2\n",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks\n%s\nand is\n%s", want, page)
		}
	}
}

func TestImport_GaugesThatAreNoLongerGivenAreDeleted(t *testing.T) {
	server := memstore.New()
	r := process(t, server, Opts{})
	mode := map[string]Mode{"p": PerProcess, "l": Latest, "s": Sum}
	i := r.NewImporter(ImporterOpts{Mode: func(name string) Mode { return mode[name] }})
	all := []*dto.MetricFamily{}
	for name := range mode {
		all = append(all, familyOf(name, gaugeOf(1, "x", "1"), gaugeOf(2, "x", "2")))
	}
	all = append(all, familyOf("c", counterOf(1)))
	imports(t, i, all...)
	scrape(t, r).want(t, samples{
		`p{gauge_index="0",x="1"}`: 1, `p{gauge_index="0",x="2"}`: 2,
		`l{x="1"}`: 1, `l{x="2"}`: 2, `s{x="1"}`: 1, `s{x="2"}`: 2, "c": 1,
	})
	imports(t, i, familyOf("p", gaugeOf(3, "x", "2")), familyOf("l", gaugeOf(4, "x", "2")))
	scrape(t, r).want(t, samples{`p{gauge_index="0",x="2"}`: 3, `l{x="2"}`: 4, "c": 1})
	imports(t, i, all...)
	i.Close()
	scrape(t, r).want(t, samples{"c": 2, `l{x="1"}`: 1, `l{x="2"}`: 2}) // a Latest one belongs to no process
	if err := i.Import(all); !errors.Is(err, ErrClosed) {
		t.Errorf("Import after Close: %v", err)
	}
}

func TestImport_WhatIsRefusedLeavesTheRestAlone(t *testing.T) {
	server := memstore.New()
	r := process(t, server, Opts{})
	r.NewCounter(CounterOpts{Name: "own"}).Inc()
	r.NewHistogram(HistogramOpts{Name: "d"})
	i := importerOf(r, true)
	imports(t, i, familyOf("was", counterOf(1)))
	nan := math.NaN()
	for _, test := range []struct {
		name   string
		family *dto.MetricFamily
		want   string
	}{
		{"a declared name", familyOf("own", counterOf(9)), "leave one of the two out"},
		{"a name that a declared metric occupies", familyOf("d_sum", gaugeOf(9)), "rename"},
		{"another type", familyOf("was", gaugeOf(9)), "leave one of the two out"},
		{"no name", familyOf("", counterOf(9)), "no name"},
		{"a wrong name", familyOf("a-b", counterOf(9)), "not a metric name"},
		{"shoal's prefix", familyOf("shoal_x", counterOf(9)), "reserved"},
		{"nil", nil, "no name"},
		{"a nil series", &dto.MetricFamily{Name: proto.String("n"), Type: dto.MetricType_COUNTER.Enum(), Metric: []*dto.Metric{nil}}, "nil"},
		{"a value of another type", &dto.MetricFamily{Name: proto.String("v"), Type: dto.MetricType_COUNTER.Enum(), Metric: []*dto.Metric{gaugeOf(1)}}, "no value"},
		{"a gauge histogram", &dto.MetricFamily{Name: proto.String("gh"), Type: dto.MetricType_GAUGE_HISTOGRAM.Enum()}, "GAUGE_HISTOGRAM"},
		{"a wrong label", familyOf("l", counterOf(9, "a-b", "1")), "not a label name"},
		{"a reserved label", familyOf("l", counterOf(9, "gauge_index", "1")), "reserved"},
		{"a label twice", familyOf("l", counterOf(9, "a", "1", "a", "2")), "twice"},
		{"a series twice", familyOf("twice", counterOf(1, "a", "1"), counterOf(9, "a", "1")), "twice"},
		{"buckets that fall", familyOf("b", histogramOf(3, 1, []float64{1, 2, 2, 1})), "cumulative"},
		{"a bucket above the count", familyOf("b", histogramOf(3, 1, []float64{1, 4})), "cumulative"},
		{"bounds that fall", familyOf("b", histogramOf(3, 1, []float64{2, 1, 1, 2})), "ascend"},
		{"a bound of NaN", familyOf("b", histogramOf(3, 1, []float64{nan, 1})), "ascend"},
		{"a count beyond floats", familyOf("b", histogramOf(1<<60, 1, nil)), "exactly"},
		{"a count beyond floats in a summary", familyOf("bs", summaryOf(1<<60, 1)), "exactly"},
	} {
		t.Run(test.name, func(t *testing.T) {
			err := i.Import([]*dto.MetricFamily{familyOf("before", gaugeOf(1)), test.family, familyOf("after", gaugeOf(2))})
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("the error is %v, and does not tell %q", err, test.want)
			}
			page := scrape(t, r)
			if page["before"] != 1 || page["after"] != 2 {
				t.Errorf("the page is %v", page)
			}
		})
	}
	page := scrape(t, r)
	for series, want := range (samples{"own": 1, "d_sum": 0, "was": 1, `twice{a="1"}`: 1}) {
		if page[series] != want {
			t.Errorf("%s is %v", series, page[series])
		}
	}
	if _, err := r.RegisterCounter(CounterOpts{Name: "was", Help: "Help of was."}); err == nil || !strings.Contains(err.Error(), "leave one of the two out") {
		t.Errorf("declaring an imported name: %v", err)
	}
}

func TestImport_ManyBadSeriesGiveOneShortError(t *testing.T) {
	r := New()
	var metrics []*dto.Metric
	for range 1000 {
		metrics = append(metrics, counterOf(1, "a-b", "x"))
	}
	err := r.Import([]*dto.MetricFamily{familyOf("c", metrics...)})
	if err == nil || len(err.Error()) > 300 || !strings.Contains(err.Error(), "999 more") {
		t.Errorf("the error is %v", err)
	}
}

func TestImport_ManyBadMetricsGiveOneErrorThatBeginsWithTheirNames(t *testing.T) {
	r := New()
	var families []*dto.MetricFamily
	for i := range 50 {
		families = append(families, familyOf(fmt.Sprintf("c%02d", i), counterOf(1, "a-b", "x")))
	}
	err := r.Import(families)
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok || len(joined.Unwrap()) != 50 {
		t.Fatalf("the error is %v", err)
	}
	text := err.Error()
	if !strings.HasPrefix(text, "shoal: import of 50 metrics (c00, c01, ") || !strings.Contains(text, "c39, 10 more): ") ||
		!strings.Contains(text, `import of counter "c00": `) || strings.Contains(text, "\n") || len(text) > 2000 {
		t.Errorf("the error is %s", text)
	}
	if err := r.Import(families[:1]); !strings.HasPrefix(err.Error(), `shoal: import of counter "c00": `) {
		t.Errorf("the error of one is %v", err)
	}
}

func TestImport_ValuesAreRefusedAndCountedAsInAnyOtherWrite(t *testing.T) {
	server := memstore.New()
	for done, cumulative := range []bool{false, true} {
		r := process(t, server, Opts{})
		i := importerOf(r, cumulative)
		for _, v := range []float64{math.NaN(), math.Inf(1), -1} {
			imports(t, i, familyOf("c", counterOf(v)))
		}
		imports(t, i, familyOf("s", summaryOf(1, math.NaN())), familyOf("h", histogramOf(1, math.Inf(-1), []float64{1, 1})),
			familyOf("g", gaugeOf(1, "x", "\xff")),
			familyOf("c", counterOf(1, "x", strings.Repeat("é", 1000))))
		families, err := r.Gather()
		if err != nil {
			t.Fatal(err)
		}
		want := map[string]float64{"nan": 2, "infinite": 2, "negative": 1, "invalid_utf8": 1, "label_too_long": 1}
		for reason, n := range want {
			got := gathered(t, families)[`shoal_rejected_observations_total{reason="`+reason+`"}`]
			if got != n*float64(done+1) {
				t.Errorf("cumulative %v: %v were refused as %s, not %v", cumulative, got, reason, n)
			}
		}
		if err := r.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	page := stored(t, server)
	want := samples{"c": 0, "s_count": 2, "s_sum": 0, "h_count": 2, "h_sum": 0, `c{x="` + strings.Repeat("é", 512) + `"}`: 2}
	for series, v := range want {
		if got, ok := page[series]; !ok || got != v {
			t.Errorf("%s is %v", series, got)
		}
	}
}

func TestImport_ReachesRedisOnceAlsoFromBeforeConnect(t *testing.T) {
	server := memstore.New()
	r := New()
	i := importerOf(r, false)
	imports(t, i, familyOf("c", counterOf(2)), familyOf("g", gaugeOf(3)))
	connectTo(t, server, r, Opts{})
	imports(t, i, familyOf("c", counterOf(1)), familyOf("g", gaugeOf(4)))
	if err := r.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	stored(t, server).want(t, samples{"c": 3})
	if err := r.Import([]*dto.MetricFamily{familyOf("c", counterOf(1))}); !errors.Is(err, ErrClosed) {
		t.Errorf("Import after Close: %v", err)
	}
	if err := readOnly(t, server).Import(nil); !errors.Is(err, ErrReadOnly) {
		t.Errorf("Import of a read-only registry: %v", err)
	}
}

func TestImport_BeyondTheCapSharesTheOverflowSeries(t *testing.T) {
	server := memstore.New()
	r := process(t, server, Opts{SeriesLimit: 1})
	i := importerOf(r, true)
	for n := 1.0; n <= 2; n++ {
		imports(t, i, familyOf("c", counterOf(n, "x", "1"), counterOf(10*n, "x", "2"), counterOf(100*n, "x", "3"), counterOf(1000*n, "y", "1")))
		flush(t, r)
	}
	var sum float64
	for series, v := range scrape(t, r) {
		sum += v
		if strings.Contains(series, `"2"`) && strings.Contains(series, `"3"`) {
			t.Errorf("beyond the cap: %s", series)
		}
	}
	if sum != 2222 {
		t.Errorf("together there are %v", sum)
	}
}

func TestImport_AGaugeBeyondTheCapTakesThePlaceOfOneThatGoes(t *testing.T) {
	r := process(t, memstore.New(), Opts{SeriesLimit: 1})
	i := importerOf(r, true)
	imports(t, i, familyOf("g", gaugeOf(1, "x", "1"), gaugeOf(2, "x", "2")))
	scrape(t, r).want(t, samples{`g{x="1"}`: 1})
	for range 2 {
		imports(t, i, familyOf("g", gaugeOf(2, "x", "2")))
	}
	scrape(t, r).want(t, samples{`g{x="2"}`: 2})
}

func TestImport_AFamilyHasABoundedNumberOfSetsOfLabelNames(t *testing.T) {
	r := New()
	var metrics []*dto.Metric
	for n := range maxLabelSets + 1 {
		metrics = append(metrics, counterOf(1, "l"+strings.Repeat("x", n), "1"))
	}
	if err := r.Import([]*dto.MetricFamily{familyOf("c", metrics...)}); err == nil || !strings.Contains(err.Error(), "at most 100") {
		t.Errorf("the error is %v", err)
	}
}

func TestImport_OtherBoundsAreCountedAtTheNextLargerOne(t *testing.T) {
	server := memstore.New()
	r := process(t, server, Opts{})
	i := importerOf(r, true)
	imports(t, i, familyOf("h", histogramOf(3, 1, []float64{1, 1, 3, 2}, "x", "1"), histogramOf(5, 1, []float64{2, 4, math.Inf(1), 5}, "x", "2")))
	imports(t, i, familyOf("h", histogramOf(10, 1, []float64{.5, 1, 2.5, 6, 4, 9}, "x", "3")))
	page := scrape(t, r)
	page.want(t, samples{
		`h_bucket{x="1",le="1"}`: 1, `h_bucket{x="1",le="2"}`: 1, `h_bucket{x="1",le="3"}`: 2, `h_bucket{x="1",le="+Inf"}`: 3, `h_count{x="1"}`: 3, `h_sum{x="1"}`: 1,
		`h_bucket{x="2",le="1"}`: 0, `h_bucket{x="2",le="2"}`: 4, `h_bucket{x="2",le="3"}`: 4, `h_bucket{x="2",le="+Inf"}`: 5, `h_count{x="2"}`: 5, `h_sum{x="2"}`: 1,
		`h_bucket{x="3",le="1"}`: 1, `h_bucket{x="3",le="2"}`: 1, `h_bucket{x="3",le="3"}`: 6, `h_bucket{x="3",le="+Inf"}`: 10, `h_count{x="3"}`: 10, `h_sum{x="3"}`: 1,
	})
}

func TestImport_WhatIsUpToABoundOfMinusInfinityIsCountedAtTheNextLargerOne(t *testing.T) {
	r := process(t, memstore.New(), Opts{})
	for range 2 {
		imports(t, importerOf(r, false), familyOf("h", histogramOf(3, 1, []float64{math.Inf(-1), 1, 2, 2})))
	}
	scrape(t, r).want(t, samples{`h_bucket{le="2"}`: 4, `h_bucket{le="+Inf"}`: 6, "h_count": 6, "h_sum": 2})
}

func TestImport_LabelsInAnyOrderAreOneSeries(t *testing.T) {
	server := memstore.New()
	r := process(t, server, Opts{})
	i := importerOf(r, true)
	imports(t, i, familyOf("c", counterOf(2, "a", "1", "b", "2")))
	imports(t, i, familyOf("c", counterOf(3, "b", "2", "a", "1")))
	scrape(t, r).want(t, samples{`c{a="1",b="2"}`: 3})
}

func TestImport_TwoImportersShareAFamily(t *testing.T) {
	server := memstore.New()
	r := process(t, server, Opts{})
	one, two := importerOf(r, true), importerOf(r, true)
	for n := 1.0; n <= 3; n++ {
		imports(t, one, familyOf("c", counterOf(n, "db", "1")), familyOf("g", gaugeOf(n, "db", "1")))
		imports(t, two, familyOf("c", counterOf(10*n, "db", "2")), familyOf("g", gaugeOf(10*n, "db", "2")))
	}
	scrape(t, r).want(t, samples{`c{db="1"}`: 3, `c{db="2"}`: 30, `g{db="1"}`: 3, `g{db="2"}`: 30})
}

func TestImport_GaugesLiveThroughAnyRefreshPeriod(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := memstore.New()
		before, r := New(), New()
		imports(t, importerOf(before, false), familyOf("b", gaugeOf(1)))
		for _, r := range []*Registry{before, r} {
			connectTo(t, server, r, Opts{RefreshPeriod: 10 * time.Minute})
		}
		imports(t, importerOf(r, false), familyOf("g", gaugeOf(1)))
		for range 50 {
			elapse(time.Minute)
			stored(t, server).want(t, samples{"b": 1, "g": 1})
		}
	})
}

func TestImport_OfANativeHistogramTakesTheClassicPartAndReportsThatOnce(t *testing.T) {
	told := new(troubles)
	r := process(t, memstore.New(), Opts{OnError: told.add})
	h := histogramOf(3, 6, []float64{1, 1})
	h.Histogram.Schema = proto.Int32(3)
	h.Histogram.PositiveDelta = []int64{3}
	for range 3 {
		imports(t, importerOf(r, false), familyOf("h", h))
	}
	scrape(t, r).want(t, samples{`h_bucket{le="1"}`: 3, `h_bucket{le="+Inf"}`: 9, "h_count": 9, "h_sum": 18})
	if n := told.count("native"); n != 1 {
		t.Errorf("told %d times: %v", n, told.all())
	}
}

func TestImport_RepairsAHelpThatNoReaderWouldTake(t *testing.T) {
	r := process(t, memstore.New(), Opts{})
	for name, help := range map[string]string{"a": "caf\xe9", "b": strings.Repeat("é", wire.MaxHelp)} {
		f := familyOf(name, counterOf(1))
		f.Help = &help
		imports(t, importerOf(r, false), f)
	}
	page := get(t, r.Handler(HandlerOpts{}), nil)
	for _, want := range []string{"# HELP a caf\uFFFD\n", "# HELP b " + strings.Repeat("é", wire.MaxHelp/2) + "\n"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %.40q", want)
		}
	}
}

func TestImport_AFamilyThatComesFirstWithoutSeriesHasTheBoundsOfItsFirstOnes(t *testing.T) {
	r := process(t, memstore.New(), Opts{})
	i := importerOf(r, true)
	f := familyOf("h", histogramOf(1, 1, []float64{1, 1}))
	imports(t, i, &dto.MetricFamily{Name: f.Name, Type: f.Type})
	imports(t, i, f)
	scrape(t, r).want(t, samples{`h_bucket{le="1"}`: 1, `h_bucket{le="+Inf"}`: 1, "h_count": 1, "h_sum": 1})
}
