// SPDX-License-Identifier: Apache-2.0

package testkit_test

import (
	"strings"
	"testing"

	"github.com/shoal-metrics/shoal/core/tests/testkit"
)

const histogram = "# TYPE h histogram\nh_bucket{le=\"1\"} 2\nh_bucket{le=\"+Inf\"} 3\nh_sum 4\nh_count 3\n"

func TestParse_RefusesWhatPrometheusWouldAndPartsThatDoNotBelongTogether(t *testing.T) {
	for text, want := range map[string]string{
		histogram:               "",
		"a 1\nb{c=\"d\"} NaN\n": "",
		"a 1":                   "newline",
		"a 1\na 2\n":            "twice",
		"a one\n":               "in the page",
		strings.Replace(histogram, "} 3", "} 1", 1):         "the one below 2",
		strings.Replace(histogram, "count 3", "count 4", 1): "the count is 4",
	} {
		_, err := testkit.Parse(text)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q gives %v, want %q", text, err, want)
		}
	}
}

func TestPage_SumsTheSeriesThatHaveTheLabels(t *testing.T) {
	p, err := testkit.Parse(histogram + "# TYPE c counter\nc{a=\"1\",b=\"1\"} 5\nc{a=\"1\",b=\"2\"} 6\nc{a=\"2\",b=\"1\"} 7\n")
	testkit.Must(t, err)
	for _, got := range []float64{p.Sum("c") - 18, p.Sum("c", "a=1") - 11, p.Sum("c", "b=1", "a=2") - 7, p.Sum("c", "a=3"), p.Sum("h") - 3} {
		if got != 0 {
			t.Errorf("a sum is wrong by %v", got)
		}
	}
}

func TestRising_SeesWhatFallsOrVanishes(t *testing.T) {
	before := "# TYPE c counter\nc 5\n# TYPE g gauge\ng 5\n" + histogram
	for text, want := range map[string]string{
		before:                                   "",
		strings.Replace(before, "g 5", "g 1", 1): "",
		strings.Replace(before, "h_bucket{le=\"1\"} 2\n", "", 1):   "",
		strings.Replace(before, "c 5", "c 4", 1):                   "c fell from 5 to 4",
		strings.Replace(before, "c 5\n", "", 1):                    "c has vanished",
		strings.Replace(before, "{le=\"1\"} 2", "{le=\"1\"} 1", 1): "fell from 2 to 1",
		strings.Replace(before, "h_sum 4", "h_sum 3", 1):           "h_sum fell from 4 to 3",
	} {
		rises := testkit.Rising{}
		for i, text := range []string{before, text} {
			p, err := testkit.Parse(text)
			testkit.Must(t, err)
			err = rises.Check(p)
			if i == 0 {
				testkit.Must(t, err)
			} else if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
				t.Errorf("%q gives %v, want %q", text, err, want)
			}
		}
	}
}
