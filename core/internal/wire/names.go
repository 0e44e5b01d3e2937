// SPDX-License-Identifier: Apache-2.0

package wire

import "strings"

// IsReservedLabel says whether a label name has a meaning of its own on the page.
func IsReservedLabel(name string) bool {
	return name == "le" || name == "quantile" || name == "gauge_index" || strings.HasPrefix(name, "__")
}

// OwnedNames lists the names on the page that a family of this name and type
// occupies: its own and those of its samples. OpenMetrics has the
// counter x_total as the family x.
func OwnedNames(name, kind string) []string {
	switch kind {
	case TypeHistogram:
		return []string{name, name + "_bucket", name + "_sum", name + "_count", name + "_created"}
	case TypeSummary:
		return []string{name, name + "_sum", name + "_count", name + "_created"}
	case TypeCounter:
		if base, ok := strings.CutSuffix(name, "_total"); ok {
			return []string{name, base, base + "_created"}
		}
	}
	return []string{name}
}
