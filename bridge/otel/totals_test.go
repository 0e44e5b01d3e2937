// SPDX-License-Identifier: Apache-2.0

package shoalotel

import (
	"errors"
	"fmt"
	"math"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/shoal-metrics/shoal/core/shoaltest"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
)

func TestTotals_CountEachDifferenceOnce(t *testing.T) {
	tr := translatorOf(t, bare)
	a, b := attribute.String("k", "a"), attribute.String("k", "b")
	for i, step := range []struct {
		points []metricdata.DataPoint[int64]
		want   []string
	}{
		{[]metricdata.DataPoint[int64]{pointOf[int64](5, a), pointOf[int64](7, b)}, []string{`c_total{k="a"} 5`, `c_total{k="b"} 7`}},
		{[]metricdata.DataPoint[int64]{pointOf[int64](6, a), pointOf[int64](7, b)}, []string{`c_total{k="a"} 1`, `c_total{k="b"} 0`}},
		{[]metricdata.DataPoint[int64]{pointOf[int64](9, a)}, []string{`c_total{k="a"} 3`}},                                           // b is not given
		{[]metricdata.DataPoint[int64]{pointOf[int64](2, a), pointOf[int64](8, b)}, []string{`c_total{k="a"} 2`, `c_total{k="b"} 1`}}, // a began again
	} {
		t.Logf("step %d", i)
		wantLines(t, tr, collection(counterOf("c", cumulative, step.points...)), step.want...)
	}
}

func TestTotals_AStartAfterTheLastReadingIsANewBeginning(t *testing.T) {
	tr := translatorOf(t, bare)
	start := time.Now()
	p := metricdata.DataPoint[int64]{Value: 5, StartTime: start, Time: start.Add(time.Second)}
	wantLines(t, tr, collection(counterOf("c", cumulative, p)), "c_total 5")
	p.Time = start.Add(3 * time.Second)
	p.Value = 6
	wantLines(t, tr, collection(counterOf("c", cumulative, p)), "c_total 1")
	p.StartTime, p.Time, p.Value = start.Add(4*time.Second), start.Add(5*time.Second), 7
	wantLines(t, tr, collection(counterOf("c", cumulative, p)), "c_total 7")
}

// The OpenTelemetry bridge for Prometheus takes the times of metrics that have their own, however long
// ago, and says that they began when the process did.
func TestTotals_ATimeBeforeTheStartIsNoNewBeginning(t *testing.T) {
	tr := translatorOf(t, bare)
	p := metricdata.DataPoint[int64]{Value: 5, StartTime: time.Now(), Time: time.Now().Add(-time.Hour)}
	for _, want := range []string{"c_total 5", "c_total 0", "c_total 0"} {
		wantLines(t, tr, collection(counterOf("c", cumulative, p)), want)
	}
}

// An observable counter's series that are beyond the limit of cardinality are others each time if its
// callback observes them in another order.
func TestTotals_AnOverflowSeriesThatFallsIsNoNewBeginning(t *testing.T) {
	tr := translatorOf(t, bare)
	for i, v := range []int64{50, 30, 50, 20, 60, 60} {
		want := []int{50, 0, 0, 0, 10, 0}[i]
		wantLines(t, tr, collection(counterOf("c", cumulative, pointOf(v, attribute.Bool("otel.metric.overflow", true)))),
			fmt.Sprintf(`c_total{otel_metric_overflow="true"} %d`, want))
	}
}

func TestTotals_WithoutTimesDecreasesTell(t *testing.T) {
	tr := translatorOf(t, bare)
	for _, step := range []struct{ value, want int64 }{{5, 5}, {6, 1}, {6, 0}, {1, 1}} {
		families, _ := tr.translate(collection(counterOf("c", cumulative, metricdata.DataPoint[int64]{Value: step.value, StartTime: time.Now()})))
		if got := families[0].Metric[0].Counter.GetValue(); got != float64(step.want) {
			t.Errorf("of %d, got %v, want %d", step.value, got, step.want)
		}
	}
}

// What is not a number is left to the importer, which refuses it; and changes nothing of what
// was counted.
func TestTotals_NotANumberIsNoBeginning(t *testing.T) {
	tr := translatorOf(t, bare)
	for _, step := range []struct{ value, want float64 }{{2, 2}, {math.NaN(), math.NaN()}, {math.Inf(1), math.Inf(1)}, {2.5, 0.5}} {
		families, _ := tr.translate(collection(metricdata.Metrics{Name: "c", Data: metricdata.Sum[float64]{
			IsMonotonic: true, Temporality: cumulative, DataPoints: []metricdata.DataPoint[float64]{pointOf(step.value)},
		}}))
		got := families[0].Metric[0].Counter.GetValue()
		if got != step.want && !(math.IsNaN(got) && math.IsNaN(step.want)) {
			t.Errorf("of %v, got %v, want %v", step.value, got, step.want)
		}
	}
}

// A sum that is no number stays so: what is refused once would be refused with each collection.
func TestTotals_ASumThatIsNoNumberIsGivenOncePerObservation(t *testing.T) {
	for _, sum := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
		tr := translatorOf(t, bare)
		for _, step := range []struct {
			count uint64
			want  string
		}{
			{1, fmt.Sprintf("count 1 sum %v", sum)}, {1, "count 0 sum 0"}, {1, "count 0 sum 0"},
			{3, fmt.Sprintf("count 2 sum %v", sum)}, {3, "count 0 sum 0"},
		} {
			wantLines(t, tr, collection(
				metricdata.Metrics{Name: "h", Data: metricdata.Histogram[float64]{Temporality: cumulative,
					DataPoints: []metricdata.HistogramDataPoint[float64]{{Count: step.count, Sum: sum}}}},
				metricdata.Metrics{Name: "s", Data: metricdata.Summary{DataPoints: []metricdata.SummaryDataPoint{{Count: step.count, Sum: sum}}}},
			), "h "+step.want, "s "+step.want)
		}
	}
}

// Deltas of fractions are rounded, and their sum must not drift away from the total.
func TestTotals_DeltasOfFractionsAddUpToTheTotal(t *testing.T) {
	ts := newTotals()
	total, counted := 0.0, 0.0
	for range 100_000 {
		total += 0.1
		m := counterMetric(total)
		ts.begin()
		must(t, ts.subtract(ts.of(instrument{}), m, point{temporality: cumulative}))
		d := m.Counter.GetValue()
		if d < 0 {
			t.Fatalf("a delta of %v", d)
		}
		counted += d
	}
	if math.Abs(counted-total) > 1e-9 {
		t.Errorf("counted %v of %v", counted, total)
	}
}

func TestTotals_HistogramsAndSummaries(t *testing.T) {
	tr := translatorOf(t, bare)
	histogram := func(sum float64, bounds []float64, counts ...uint64) metricdata.Metrics {
		count := uint64(0)
		for _, n := range counts {
			count += n
		}
		return metricdata.Metrics{Name: "h", Data: metricdata.Histogram[float64]{Temporality: cumulative, DataPoints: []metricdata.HistogramDataPoint[float64]{
			{Count: count, Sum: sum, Bounds: bounds, BucketCounts: counts},
		}}}
	}
	summary := func(count uint64, sum float64) metricdata.Metrics {
		return metricdata.Metrics{Name: "s", Data: metricdata.Summary{DataPoints: []metricdata.SummaryDataPoint{{Count: count, Sum: sum}}}}
	}
	for i, step := range []struct {
		data metricdata.Metrics
		want string
	}{
		{histogram(10, []float64{1, 2}, 1, 2, 3), "h count 6 sum 10 1:1 2:3"},
		{histogram(14, []float64{1, 2}, 1, 3, 4), "h count 2 sum 4 1:0 2:1"},
		{histogram(15, []float64{1, 1.5, 2}, 1, 1, 2, 5), "h count 1 sum 1 1:0 1.5:1 2:1"}, // a new bound: never more than the count
		{histogram(16, []float64{1, 1.5, 2}, 0, 1, 3, 6), "h count 1 sum 1 1:0 1.5:0 2:0"}, // values moved up, as when a scale changes
		{histogram(18, []float64{1, 1.5, 2}, 2, 0, 3, 7), "h count 2 sum 2 1:2 1.5:2 2:2"}, // down again: the next bucket has grown by less
		{histogram(19, []float64{1, 1.5, 2}, 6, 0, 0, 7), "h count 1 sum 1 1:1 1.5:1 2:1"}, // and more of them than there are new ones
		{histogram(3, []float64{1, 1.5, 2}, 1, 0, 0, 1), "h count 2 sum 3 1:1 1.5:1 2:1"},  // began again
		{summary(3, 1.5), "s count 3 sum 1.5"},
		{summary(5, 2), "s count 2 sum 0.5"},
		{summary(1, 1), "s count 1 sum 1"},
	} {
		t.Logf("step %d", i)
		wantLines(t, tr, collection(step.data), step.want)
	}
}

// A callback may fail, or leave out what it can't ask for, as long as a database is away.
func TestTotals_FewAreRememberedHoweverLongNotGiven(t *testing.T) {
	tr := translatorOf(t, bare)
	now := time.Now()
	tr.totals.now = func() time.Time { return now }
	give := func(want string, m ...metricdata.Metrics) { wantLines(t, tr, collection(m...), want) }
	give("c_total 5", counterOf("c", cumulative, pointOf[int64](5)))
	for range 13 {
		now = now.Add(10 * time.Minute)
		give("d_total 0", counterOf("d", cumulative, pointOf[int64](0)))
	}
	give("c_total 2", counterOf("c", cumulative, pointOf[int64](7)))
}

func TestTotals_OfManyThoseLongNotGivenAreForgotten(t *testing.T) {
	tr := translatorOf(t, bare)
	tr.totals.most = 2
	now := time.Now()
	tr.totals.now = func() time.Time { return now }
	a, b := attribute.String("k", "a"), attribute.String("k", "b")
	give := func(m ...metricdata.Metrics) { tr.translate(collection(m...)) }
	give(counterOf("c", cumulative, pointOf[int64](1, a), pointOf[int64](1, b)), counterOf("d", cumulative, pointOf[int64](1)))
	for range 13 {
		now = now.Add(10 * time.Minute)
		give(counterOf("c", cumulative, pointOf[int64](1, a)))
	}
	n := 0
	for _, series := range tr.totals.instruments {
		n += len(series)
	}
	if n != 1 || len(tr.totals.instruments) != 1 {
		t.Errorf("%d totals of %d instruments are kept, want that of the series which is given", n, len(tr.totals.instruments))
	}
}

// Series that are two for the SDK may have the same labels: those of two scopes without their
// labels, or attributes of which one name is made. The SDK gives them in any order.
func TestTotals_SeriesOfTheSameLabelsAreCountedApart(t *testing.T) {
	reg := shoaltest.New(t)
	tr := translatorOf(t, bare)
	one, two := attribute.String("a.b", "1"), attribute.String("a/b", "1")
	for i, points := range [][]metricdata.DataPoint[int64]{
		{pointOf[int64](5, one), pointOf[int64](7, two)},
		{pointOf[int64](8, two), pointOf[int64](5, one)},
		{pointOf[int64](8, two)},
		{pointOf[int64](6, one), pointOf[int64](8, two)},
	} {
		families, problems := tr.translate(collection(counterOf("c", cumulative, points...)))
		if err := reg.Import(families); err != nil || len(problems) > 0 {
			t.Fatal(err, problems)
		}
		if got, want := shoaltest.Value(t, reg, "c_total", "a_b", "1"), []float64{12, 13, 13, 14}[i]; got != want {
			t.Errorf("collection %d: %v, want %v", i, got, want)
		}
	}
}

func TestTotals_TheSameSeriesTwiceInOneCollectionCountsOnce(t *testing.T) {
	tr := translatorOf(t, bare)
	for _, want := range []string{"c_total 5", "c_total 0"} {
		families, problems := tr.translate(collection(
			counterOf("c", cumulative, pointOf[int64](5)), counterOf("c", cumulative, pointOf[int64](7))))
		if len(problems) != 1 || !errors.Is(problems[0], errTwice) {
			t.Errorf("problems: %v", problems)
		}
		sameLines(t, lines(families), []string{want})
	}
}

func TestSeriesKey_TellsSeriesApart(t *testing.T) {
	seen := map[string]int{}
	for i, labels := range [][]string{{}, {"a", ""}, {"a", "", "b", ""}, {"ab", ""}, {"a", "b"}, {"a", "1b0 "}, {"a", "1", "b", "0 "}, {"a", "1 b1 2"}, {"a", "1", "b", "2"}} {
		var pairs []*dto.LabelPair
		for j := 0; j < len(labels); j += 2 {
			pairs = append(pairs, &dto.LabelPair{Name: &labels[j], Value: &labels[j+1]})
		}
		key := seriesKey(pairs)
		if other, ok := seen[key]; ok {
			t.Errorf("labels %d and %d have the key %q", i, other, key)
		}
		seen[key] = i
	}
}
