// SPDX-License-Identifier: Apache-2.0

package page

import (
	"strings"
	"testing"

	"github.com/prometheus/common/expfmt"
	"github.com/shoal-metrics/shoal/core/internal/wire"
)

// client_golang takes such names, and shows all of them.
func TestPage_NamesThatFamiliesShareInOpenMetricsAloneHideNoSeries(t *testing.T) {
	f := clocked(t)
	f.setClock(9e6)
	for _, name := range []string{"jobs", "orders_created", "took_created"} {
		f.family(name, 1, gaugeDef(wire.ModeTotal))
		f.add(name, wire.TotalMark, "1")
	}
	for _, name := range []string{"jobs_total", "orders_total", "visits_total"} {
		f.family(name, 2, counterDef(""))
		f.begin(name, "", "2", 1e6)
	}
	f.family("took", 2, wire.Definition{Type: wire.TypeSummary})
	f.begin("took", "", "sum:3 count:4", 1e6)

	page := f.page()
	if got := text(t, page); !strings.Contains(got, "# TYPE jobs gauge\njobs 1\n# TYPE jobs_total counter\njobs_total 2\n") {
		t.Errorf("in the text format:\n%s", got)
	}
	for _, family := range page.Proto() {
		if name := family.GetName(); strings.HasSuffix(name, "_total") && family.Metric[0].GetCounter().GetCreatedTimestamp() == nil {
			t.Errorf("%s in protobuf: %v", name, family)
		}
	}
	body, err := page.Encode(Encoding{Format: expfmt.TypeOpenMetrics, Created: true})
	var got []string
	for line := range strings.Lines(string(body)) {
		if !strings.HasPrefix(line, "# HELP ") && !strings.Contains(line, "shoal_") {
			got = append(got, line)
		}
	}
	const want = `# TYPE jobs gauge
jobs 1.0
# TYPE jobs_total unknown
jobs_total 2.0
# TYPE orders_created gauge
orders_created 1.0
# TYPE orders counter
orders_total 2.0
# TYPE took summary
took_sum 3.0
took_count 4
# TYPE took_created gauge
took_created 1.0
# TYPE visits counter
visits_total 2.0
visits_created 1.800000001e+09
# EOF
`
	if got := strings.Join(got, ""); err != nil || got != want {
		t.Errorf("in OpenMetrics, %v:\n%s\nwant\n%s", err, got, want)
	}
}
