// SPDX-License-Identifier: Apache-2.0

package otel

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/shoal-metrics/shoal/core/tests/redistest"
	"github.com/shoal-metrics/shoal/core/tests/testkit"
	official "go.opentelemetry.io/otel/exporters/prometheus"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
)

// TestFleet_FourReplicasShowWhatOneWithTheOfficialExporterWould runs otelhttp, otelgin and
// otelgrpc in four processes without a Collector. Each of their pages is that of the official
// exporter in one process which did all the work.
func TestFleet_FourReplicasShowWhatOneWithTheOfficialExporterWould(t *testing.T) {
	for _, pushed := range []bool{false, true} {
		t.Run(fmt.Sprintf("pushed %v", pushed), func(t *testing.T) {
			config := replicaConfig{URL: redistest.Shared(t).URL(), App: newApplication(), Period: time.Second, Pushed: pushed}
			rounds := []int{1, 3, 4, 7}
			want := officialPage(t, rounds)
			if len(want) < 30 {
				t.Errorf("little to compare: %v", want)
			}
			var replicas []*replica
			for range rounds {
				replicas = append(replicas, start(t, config))
			}
			for i, r := range replicas {
				r.Tell(fmt.Sprint("work ", rounds[i]))
			}
			for _, r := range replicas {
				testkit.Eventually(t, func() error { return r.shows(want) })
			}
			// What they counted stays when they end; their up-down counters and target_info go.
			replicas[0].Tell("work 2")
			for _, r := range replicas[:3] {
				r.End()
			}
			want = officialPage(t, append(rounds, 2))
			testkit.Eventually(t, func() error {
				p, err := replicas[3].scrape()
				if err != nil {
					return err
				}
				if carts := "shop_carts{otel_scope_name=\"shop/jobs\",otel_scope_version=\"0.3\"}"; p[carts] != "7" {
					return fmt.Errorf("%s is %s, want that of the living replica", carts, p[carts])
				} else {
					p[carts] = want[carts]
				}
				if d := p.differences(want); d != "" {
					return errors.New(d)
				}
				return nil
			})
		})
	}
}

// newApplication is a name that no other run of a test has on the server that they share.
func newApplication() string { return fmt.Sprint("app", rand.Uint64()) }

// officialPage is the page of the official exporter in this process, after work in several lots.
func officialPage(t *testing.T, rounds []int) page {
	t.Helper()
	reg := prometheus.NewRegistry()
	exporter, err := official.New(official.WithRegisterer(reg))
	testkit.Must(t, err)
	provider := sdkmetric.NewMeterProvider(sdkmetric.WithResource(resourceOf("")), sdkmetric.WithReader(exporter))
	for _, n := range rounds {
		a, err := newApp(provider)
		testkit.Must(t, err)
		testkit.Must(t, a.work(t.Context(), n))
		a.close()
	}
	families, err := reg.Gather()
	testkit.Must(t, err)
	return timeless(families)
}

// timeless is a page without the values of durations, which no two runs have in common: of
// these only the count.
func timeless(families []*dto.MetricFamily) page {
	for _, f := range families {
		if !strings.Contains(f.GetName(), "duration") || strings.HasPrefix(f.GetName(), "shoal_") {
			continue
		}
		for _, m := range f.Metric {
			m.Histogram.SampleSum = new(0.0)
			for _, b := range m.Histogram.Bucket {
				b.CumulativeCount = new(uint64(0))
			}
		}
	}
	return pageOf(families)
}

func (r *replica) scrape() (page, error) {
	p, err := testkit.Fetch(context.Background(), r.page)
	if err != nil {
		return nil, err
	}
	parser := expfmt.NewTextParser(model.LegacyValidation)
	byName, err := parser.TextToMetricFamilies(strings.NewReader(p.Text))
	if err != nil {
		return nil, err
	}
	var families []*dto.MetricFamily
	for _, f := range byName {
		families = append(families, f)
	}
	return timeless(families), nil
}

func (r *replica) shows(want page) error {
	p, err := r.scrape()
	if err != nil {
		return err
	}
	if d := p.differences(want); d != "" {
		return fmt.Errorf("the pages differ:\n%s", d)
	}
	return nil
}

// jobs is how many jobs the page shows.
func (r *replica) jobs() (int, error) {
	p, err := testkit.Fetch(context.Background(), r.page)
	return int(p.Sum("shop_jobs_total")), err
}

func (r *replica) eventuallyShows(jobs int) {
	r.t.Helper()
	testkit.Eventually(r.t, func() error {
		got, err := r.jobs()
		if err == nil && got != jobs {
			err = fmt.Errorf("the page shows %d jobs, want %d", got, jobs)
		}
		return err
	})
}

// TestFleet_AKilledReplicaLosesAPeriodAtMost kills a replica that counts all the time. What it
// had counted a period before is on the page; nothing is there that it did not count.
func TestFleet_AKilledReplicaLosesAPeriodAtMost(t *testing.T) {
	t.Parallel()
	const period = time.Second
	const flush = 5 * time.Second // generous: a flush takes place about once a second, on a machine that others use too
	config := replicaConfig{URL: redistest.Shared(t).URL(), App: newApplication(), Period: period}
	victim, witness := start(t, config), start(t, config)
	type mark struct {
		at      time.Time
		counted int
	}
	var marks []mark
	for begin := time.Now(); time.Since(begin) < 2*period+flush; {
		counted := victim.count(1)
		marks = append(marks, mark{time.Now(), counted})
	}
	victim.Kill()
	killed := time.Now()
	most, least := marks[len(marks)-1].counted, 0
	for _, m := range marks {
		if killed.Sub(m.at) > period+flush {
			least = m.counted
		}
	}
	// The page no longer changes: the witness counts, and shows it.
	witness.count(most + 1)
	got := 0
	testkit.Eventually(t, func() (err error) {
		if got, err = witness.jobs(); err == nil && got <= most {
			err = fmt.Errorf("the page shows %d jobs", got)
		}
		return err
	})
	got -= most + 1
	t.Logf("counted %d, on the page %d", most, got)
	if got < least || got > most || least == 0 {
		t.Errorf("of what the killed replica counted the page shows %d, want %d to %d", got, least, most)
	}
}

func TestFleet_ARestartedRedisLosesNothing(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, "--appendonly", "yes", "--appendfsync", "always")
	fleetCountsThrough(t, server.URL(), func() {
		server.Kill()
	}, func() { server.Restart(t) })
}

func TestFleet_AFailoverLosesNothing(t *testing.T) {
	t.Parallel()
	s := redistest.StartSentinel(t)
	fleetCountsThrough(t, s.URL(), func() { s.Failover(t) }, func() { s.Agreed(t, s.Replicas[0]) })
}

// fleetCountsThrough counts in two replicas before, between and after the two events.
func fleetCountsThrough(t *testing.T, url string, first, second func()) {
	t.Helper()
	config := replicaConfig{URL: url, App: newApplication(), Period: 200 * time.Millisecond}
	replicas := []*replica{start(t, config), start(t, config)}
	total := 0
	count := func() {
		for range 200 {
			for i, r := range replicas {
				r.count(i + 1)
				total += i + 1
			}
		}
	}
	count()
	first()
	count()
	second()
	count()
	for _, r := range replicas {
		r.eventuallyShows(total)
	}
	count()
	replicas[0].End()
	replicas[1].eventuallyShows(total)
}
