// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Every rule of what a name may be is in this file. Keys are made of names in keys.go.

// How long names are at most, in bytes.
const (
	MaxName       = 1 << 10 // of a metric, and so of its family
	MaxWriter     = 64      // a writer's id
	MaxGeneration = 256     // of a generation
)

// SelfPrefix begins the names of shoal's own metrics, and no others.
const SelfPrefix = "shoal_"

// IsLabelName says whether s is a label name by the rule that every
// Prometheus reads: [a-zA-Z_][a-zA-Z0-9_]*.
func IsLabelName(s string) bool {
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c != '_' && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return s != ""
}

// IsMetricName says whether s is a metric name by the rule that every
// Prometheus reads: [a-zA-Z_:][a-zA-Z0-9_:]*.
func IsMetricName(s string) bool {
	return s != "" && IsLabelName(strings.ReplaceAll(s, ":", "_"))
}

// IsReservedLabel says whether a label name has a meaning of its own on the page, in families of
// this type.
func IsReservedLabel(kind, name string) bool {
	switch name {
	case "le":
		return kind == TypeHistogram
	case "quantile":
		return kind == TypeSummary
	}
	return name == "gauge_index" || strings.HasPrefix(name, "__")
}

// OwnedNames lists the names on the page that a family of this name and type
// occupies: its own and those of its samples. In OpenMetrics it has more, which
// it may share with other families.
func OwnedNames(name, kind string) []string {
	switch kind {
	case TypeHistogram:
		return []string{name, name + "_bucket", name + "_sum", name + "_count"}
	case TypeSummary:
		return []string{name, name + "_sum", name + "_count"}
	}
	return []string{name}
}

// IsAppName says whether s can be the name of an app. The hash tag of its keys, in
// braces, is the name, or the name, a slash and the name of a family.
func IsAppName(s string) bool {
	bad := func(r rune) bool {
		return strings.ContainsRune("{}/", r) || unicode.IsSpace(r) || unicode.IsControl(r)
	}
	return s != "" && utf8.ValidString(s) && !strings.ContainsFunc(s, bad)
}

// isWriterID says whether s can be the id of a writer. The key of the writer's gauges
// ends in the id: other characters could make it somebody else's key.
func isWriterID(s string) bool {
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c != '-' && c != '_' && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') {
			return false
		}
	}
	return s != "" && len(s) <= MaxWriter
}
