// SPDX-License-Identifier: Apache-2.0

package shoaltest

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	dto "github.com/prometheus/client_model/go"
	shoal "github.com/shoal-metrics/shoal/core"
	"github.com/shoal-metrics/shoal/core/internal/bridge"
	"github.com/shoal-metrics/shoal/core/internal/memstore"
)

// Server stands for one Redis, in memory. Its methods are safe for concurrent
// use.
type Server struct {
	memory *memstore.Server
}

// NewServer returns an empty server.
func NewServer() *Server {
	return &Server{memstore.New()}
}

// Connect connects a registry to the server, as [shoal.Registry.Connect] does
// to Redis. An empty opts.App is "test".
func (s *Server) Connect(reg *shoal.Registry, opts shoal.Opts) error {
	if opts.App == "" {
		opts.App = "test"
	}
	return bridge.Connect(reg, opts, s.memory.Store)
}

// New returns a registry that is connected to the server as one more process
// of the app, and closed when the test ends.
func (s *Server) New(t testing.TB, opts shoal.Opts) *shoal.Registry {
	t.Helper()
	reg := shoal.New()
	if err := s.Connect(reg, opts); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := reg.Close(context.Background()); err != nil {
			t.Errorf("closing the registry: %v", err)
		}
	})
	return reg
}

// New returns a registry on a server of its own, closed when the test ends.
func New(t testing.TB) *shoal.Registry {
	t.Helper()
	return NewServer().New(t, shoal.Opts{})
}

// Connect connects a registry, such as [shoal.Default], to a server of its own.
// It is for TestMain: the caller closes the registry, which can't be connected again.
func Connect(reg *shoal.Registry) error {
	return NewServer().Connect(reg, shoal.Opts{})
}

// Value flushes the registry and returns the value of one series as the page
// shows it: of a histogram or summary its count. The labels are names and
// values in pairs, in any order, and must be all that the series has (a gauge's
// gauge_index included). The test fails at once if there is no such series.
func Value(t testing.TB, reg *shoal.Registry, name string, labels ...string) float64 {
	t.Helper()
	m := series(t, reg, name, labels)
	switch {
	case m.Counter != nil:
		return m.Counter.GetValue()
	case m.Gauge != nil:
		return m.Gauge.GetValue()
	case m.Summary != nil:
		return float64(m.Summary.GetSampleCount())
	}
	return float64(m.Histogram.GetSampleCount())
}

// Sum is [Value] for the sum of what a histogram or summary observed.
func Sum(t testing.TB, reg *shoal.Registry, name string, labels ...string) float64 {
	t.Helper()
	m := series(t, reg, name, labels)
	switch {
	case m.Summary != nil:
		return m.Summary.GetSampleSum()
	case m.Histogram != nil:
		return m.Histogram.GetSampleSum()
	}
	t.Fatalf("%s is no histogram or summary", name)
	return 0
}

// Exists says whether the page shows the series.
func Exists(t testing.TB, reg *shoal.Registry, name string, labels ...string) bool {
	t.Helper()
	m, _ := find(gather(t, reg), name, pairs(t, labels))
	return m != nil
}

func series(t testing.TB, reg *shoal.Registry, name string, labels []string) *dto.Metric {
	t.Helper()
	asked := pairs(t, labels)
	families := gather(t, reg)
	m, others := find(families, name, asked)
	switch {
	case m != nil:
	case len(others) > 0:
		t.Fatalf("the page has no series %s; of this metric it has:\n%s", seriesName(name, asked), strings.Join(others, "\n"))
	default:
		t.Fatalf("the page has no metric %s; it has: %s", name, strings.Join(namesOf(families), ", "))
	}
	return m
}

// seriesName is the series as a page names it.
func seriesName(name string, labels map[string]string) string {
	var parts []string
	for _, label := range slices.Sorted(maps.Keys(labels)) {
		parts = append(parts, fmt.Sprintf("%s=%q", label, labels[label]))
	}
	return name + "{" + strings.Join(parts, ",") + "}"
}

// namesOf returns the names of the families other than shoal's own.
func namesOf(families []*dto.MetricFamily) (names []string) {
	for _, f := range families {
		if !strings.HasPrefix(f.GetName(), "shoal_") {
			names = append(names, f.GetName())
		}
	}
	return names
}

func gather(t testing.TB, reg *shoal.Registry) []*dto.MetricFamily {
	t.Helper()
	if err := reg.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	return families
}

func pairs(t testing.TB, labels []string) map[string]string {
	t.Helper()
	if len(labels)%2 != 0 {
		t.Fatalf("labels are names, each followed by its value: %q", labels)
	}
	m := map[string]string{}
	for i := 0; i < len(labels); i += 2 {
		m[labels[i]] = labels[i+1]
	}
	return m
}

// find returns the series, or nil and the other series of that name.
func find(families []*dto.MetricFamily, name string, labels map[string]string) (found *dto.Metric, others []string) {
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.Metric {
			has := map[string]string{}
			for _, l := range m.Label {
				has[l.GetName()] = l.GetValue()
			}
			if maps.Equal(has, labels) {
				return m, nil
			}
			others = append(others, seriesName(name, has))
		}
	}
	return nil, others
}
