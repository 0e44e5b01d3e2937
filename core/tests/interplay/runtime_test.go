// SPDX-License-Identifier: Apache-2.0

package interplay_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	dto "github.com/prometheus/client_model/go"
	"github.com/shoal-metrics/shoal/core/tests/testkit"
)

// left are the names that client_golang's collectors have by default and shoal leaves out.
var left = map[string]string{
	"process_network_receive_bytes_total":  "it is of the network namespace, which processes share",
	"process_network_transmit_bytes_total": "it is of the network namespace, which processes share",
}

// byName sorts families.
func byName(t *testing.T, from prometheus.Gatherer) map[string]*dto.MetricFamily {
	t.Helper()
	families, err := from.Gather()
	testkit.Must(t, err)
	list := map[string]*dto.MetricFamily{}
	for _, f := range families {
		list[f.GetName()] = f
	}
	return list
}

func TestRuntime_HasTheNamesAndTypesOfClientGolang(t *testing.T) {
	theirs := prometheus.NewRegistry()
	theirs.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	reg := process(t)
	testkit.Must(t, reg.RegisterRuntime())
	want, got := byName(t, theirs), byName(t, reg)
	for name, f := range want {
		switch own := got[name]; {
		case left[name] != "":
			if own != nil {
				t.Errorf("%s is there, though %s", name, left[name])
			}
		case own == nil:
			t.Errorf("no %s", name)
		case own.GetType() != f.GetType():
			t.Errorf("%s is a %v, client_golang's a %v", name, own.GetType(), f.GetType())
		}
	}
	for name, f := range got {
		if isRuntime(name) && want[name] == nil {
			t.Errorf("client_golang has no %s %s", f.GetType(), name)
		}
	}
	if len(want) < 30 && runtime.GOOS == "linux" {
		t.Errorf("client_golang has only %d", len(want))
	}
}

func isRuntime(name string) bool {
	return strings.HasPrefix(name, "go_") || strings.HasPrefix(name, "process_")
}

// value is that of a family's only series.
func value(f *dto.MetricFamily) float64 {
	m := f.GetMetric()[0]
	switch f.GetType() {
	case dto.MetricType_COUNTER:
		return m.GetCounter().GetValue()
	case dto.MetricType_GAUGE:
		return m.GetGauge().GetValue()
	}
	return float64(m.GetSummary().GetSampleCount())
}

// Both read the same process, one after the other.
func TestRuntime_HasTheValuesOfClientGolang(t *testing.T) {
	theirs := prometheus.NewRegistry()
	theirs.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	reg := process(t)
	testkit.Must(t, reg.RegisterRuntime())
	testkit.Eventually(t, func() error { // the other tests of this process use memory meanwhile
		before, own, after := byName(t, theirs), byName(t, reg), byName(t, theirs)
		return closeTo(before, own, after)
	})
}

// closeTo compares the values: each lies between those that client_golang had before and
// after, or near them.
func closeTo(before, own, after map[string]*dto.MetricFamily) error {
	for name, f := range own {
		if !isRuntime(name) {
			continue
		}
		low, high, v := value(before[name]), value(after[name]), value(f)
		low, high = min(low, high), max(low, high)
		slack := high / 4
		if name == "go_goroutines" {
			slack = 20 // Gather has some of its own
		}
		if v < low-slack || v > high+slack {
			return fmt.Errorf("%s is %v, client_golang says %v to %v", name, v, low, high)
		}
	}
	return nil
}
