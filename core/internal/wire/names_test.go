// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"strings"
	"testing"
)

func TestNames_FollowTheLegacyRule(t *testing.T) {
	for name, want := range map[string][2]bool{ // as a label's, as a metric's
		"": {}, "a": {true, true}, "_": {true, true}, "A9_z": {true, true},
		"9a": {}, "a:b": {false, true}, ":": {false, true}, ":9": {false, true},
		"a-b": {}, "é": {}, "a b": {}, "a\xff": {}, "a/b": {}, "a}": {},
	} {
		if got := [2]bool{IsLabelName(name), IsMetricName(name)}; got != want {
			t.Errorf("%q: %v, want %v", name, got, want)
		}
	}
}

func TestNames_OfAnAppOrAWriterChangeNoKeyButItsOwn(t *testing.T) {
	for name, want := range map[string][2]bool{ // as an app's, as a writer's id
		"": {}, "shop": {true, true}, "shop-1_A": {true, true}, "shop:1": {true, false}, "šhop": {true, false},
		"a/b": {}, "{a": {}, "a}": {}, "a b": {}, "a\n": {}, "a\x00": {}, "a\u00a0b": {}, "a\xff": {},
		strings.Repeat("x", MaxWriter): {true, true}, strings.Repeat("x", MaxWriter+1): {true, false},
	} {
		if got := [2]bool{IsAppName(name), isWriterID(name)}; got != want {
			t.Errorf("%q: %v, want %v", name, got, want)
		}
	}
}
