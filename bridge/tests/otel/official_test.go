// SPDX-License-Identifier: Apache-2.0

package otel

import (
	"context"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	shoalotel "github.com/shoal-metrics/shoal/bridge/otel"
	"github.com/shoal-metrics/shoal/core/shoaltest"
	"github.com/shoal-metrics/shoal/core/tests/testkit"
	"go.opentelemetry.io/otel/attribute"
	official "go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/metric"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"
)

// sideBySide is a provider with a reader of ours and the official exporter.
type sideBySide struct {
	provider *sdkmetric.MeterProvider
	ours     func() page
	official func() (page, error)
}

var service = resource.NewSchemaless(attribute.String("service.name", "shop"), attribute.String("telemetry.sdk.version", "v1"))

type setting struct {
	opts     shoalotel.Opts
	official []official.Option
	provider []sdkmetric.Option
	pushed   bool // by a PeriodicReader and an Exporter, in place of a Reader
	batch    int  // of the PeriodicReader
}

func newSideBySide(t *testing.T, s setting) *sideBySide {
	t.Helper()
	reg, promReg := shoaltest.New(t), prometheus.NewRegistry()
	exporter, err := official.New(append(s.official, official.WithRegisterer(promReg))...)
	testkit.Must(t, err)
	var reader sdkmetric.Reader
	if s.pushed {
		e, err := shoalotel.NewExporter(reg, s.opts)
		testkit.Must(t, err)
		reader = sdkmetric.NewPeriodicReader(e, sdkmetric.WithMaxExportBatchSize(s.batch))
	} else {
		reader, err = shoalotel.NewReader(reg, s.opts)
		testkit.Must(t, err)
	}
	options := append([]sdkmetric.Option{sdkmetric.WithResource(service)}, s.provider...)
	provider := sdkmetric.NewMeterProvider(append(options, sdkmetric.WithReader(reader), sdkmetric.WithReader(exporter))...)
	t.Cleanup(func() { testkit.Check(t, provider.Shutdown(context.Background())) })
	return &sideBySide{
		provider: provider,
		ours: func() page {
			t.Helper()
			testkit.Must(t, provider.ForceFlush(testkit.Within(t)))
			families, err := reg.Gather()
			testkit.Must(t, err)
			return pageOf(families)
		},
		official: func() (page, error) {
			families, err := promReg.Gather()
			return pageOf(families), err
		},
	}
}

// meter is that of the official exporter's own tests.
func (s *sideBySide) meter() metric.Meter {
	return s.provider.Meter("testmeter", metric.WithInstrumentationVersion("v0.1.0"),
		metric.WithInstrumentationAttributes(attribute.String("fizz", "buzz")))
}

// want fails the test if the two pages differ.
func (s *sideBySide) want(t *testing.T) {
	t.Helper()
	theirs, err := s.official()
	testkit.Must(t, err)
	ours := s.ours()
	if len(ours) < 2 {
		t.Errorf("nothing to compare: %v", ours)
	}
	if d := ours.differences(theirs); d != "" {
		t.Errorf("the pages differ:\n%s", d)
	}
}
