// SPDX-License-Identifier: Apache-2.0

package hostile_test

import (
	"strconv"
	"strings"
	"time"
)

// generationField is the field of a hash that is no series: the generation, or the version of gauges.
const generationField = "\xfe"

// entry draws a field and its value for a hash of a kind: as in the protocol, with something
// wrong.
func (d rng) entry(kind string) (field, value string) {
	switch kind {
	case "ctl":
		return d.controlEntry()
	case "v":
		if d.one(8) {
			return generationField, d.text()
		}
		return d.seriesField(), d.value()
	case "m":
		if d.one(8) {
			return generationField, d.text()
		}
		return d.bucket()
	case "leases":
		return d.leaseEntry()
	default:
		if d.one(6) {
			return generationField, pick(d, d.number(), d.text())
		}
		family := pick(d, append(honestGauges, d.familyName())...)
		if d.one(2) {
			family += "\xff" + d.seriesField()
		}
		return family, pick(d, d.number(), d.number()+" "+d.moment(time.Millisecond), d.text())
	}
}

// member draws a name for the list of families, with its score.
func (d rng) member() (name string, score float64) {
	score, _ = strconv.ParseFloat(pick(d, d.moment(time.Millisecond), "+Inf", "-Inf", "0", "-1", "1e308"), 64)
	if score != score { // Redis takes no NaN
		score = 0
	}
	return pick(d, d.familyName(), d.text()), score
}

// familyName is a name that no process declared, often that of another family's sample.
func (d rng) familyName() string {
	switch d.IntN(5) {
	case 0:
		return pick(d, honestNames...) + pick(d, "_total", "_sum", "_count", "_bucket", "_created", "_x", "_info")
	case 1:
		return pick(d, "shoal_instances", "shoal_instance_info", "shoal_nobody_total", "up", "x_total", "x_sum", "x_bucket", "x")
	case 2:
		return d.text()
	}
	return "foreign_" + strconv.Itoa(d.IntN(4))
}

// label draws a name and a value, one of which may be wrong.
func (d rng) label() string {
	name := pick(d, "a", "b", "code", "team", "room", "le", "quantile", "gauge_index", "__x", "__name__", "host")
	value := d.word()
	switch d.IntN(6) {
	case 0:
		name = d.text()
	case 1:
		value = d.text()
	}
	return name + "\xff" + value
}

// longestField is the most bytes of a field of many labels.
const longestField = 5 << 20

// seriesField draws labels: unsorted, doubled, without a value, thousands of them.
func (d rng) seriesField() string {
	switch d.IntN(8) {
	case 0:
		return ""
	case 1:
		return d.text()
	case 2:
		return "\xfd" + d.label()
	case 3:
		label := d.label()
		return label + "\xff" + label
	case 4:
		return d.label() + "\xff" + d.word()
	}
	labels, size := make([]string, d.times()), 0
	for i := range labels {
		if size > longestField { // a few long texts are enough
			return strings.Join(labels[:i], "\xff")
		}
		labels[i] = d.label()
		if len(labels) > 10 {
			labels[i] = "l" + strconv.Itoa(i) + labels[i]
		}
		size += len(labels[i])
	}
	return strings.Join(labels, "\xff")
}

// value draws what a series may hold, of any type.
func (d rng) value() string {
	switch d.IntN(6) {
	case 0:
		return d.number()
	case 1:
		return d.text()
	case 2: // a value of a Latest gauge
		return d.number() + " " + d.moment(time.Microsecond) + " " + pick(d, "0", d.moment(time.Microsecond))
	}
	parts := make([]string, d.times())
	for i := range parts {
		parts[i] = d.component(i)
	}
	return strings.Join(parts, pick(d, " ", " ", " ", " ", "  ", "\n", ""))
}

func (d rng) component(i int) string {
	name := pick(d, "sum", "count", "0.5", "8", "+Inf", "1.0", "-0", "NaN", "1e999", "x", "", strconv.Itoa(i))
	if d.one(20) {
		name = d.text()
	}
	return name + pick(d, ":", ":", ":", ":", "::", "", ": ") + pick(d, strconv.Itoa(d.IntN(100)), d.number())
}

// bounds draws bounds of a histogram: unsorted, doubled, no numbers, very many.
func (d rng) bounds() string {
	list := make([]string, d.times())
	for i := range list {
		list[i] = pick(d, strconv.Itoa(i), strconv.Itoa(i), strconv.Itoa(d.IntN(20)), d.number())
	}
	return strings.Join(list, pick(d, " ", " ", " ", "  ", ","))
}

// bucket draws a bucket of marks, often with something that is none.
func (d rng) bucket() (field, value string) {
	field = pick(d, strconv.Itoa(d.IntN(1024)), strconv.Itoa(d.IntN(1024)), strconv.Itoa(d.IntN(1024)), d.number(), d.text())
	if d.one(4) {
		return field, d.text()
	}
	marks := make([]byte, 13*d.times()+d.IntN(2)*d.IntN(13))
	for i := range marks {
		marks[i] = byte(d.IntN(256))
	}
	return field, string(marks)
}

func (d rng) controlEntry() (field, value string) {
	number := d.number() + " " + d.moment(time.Second)
	switch field = pick(d, "gen", "orphan", "type", "help", "mode", "bounds", "born", "created", "shape", "touched", "retention", "epoch", "swept", "removed", "writer", "own writer", "else"); field {
	case "type":
		value = pick(d, "counter", "gauge", "histogram", "summary", "stateset", "", d.text())
	case "mode":
		value = pick(d, "", "sum", "max", "min", "avg", "latest", "total", "median", d.text())
	case "bounds":
		value = d.bounds()
	case "retention", "swept":
		value = pick(d, d.number(), "0", strconv.Itoa(d.IntN(100_000_000)))
	case "epoch":
		value = pick(d, number, strconv.Itoa(d.IntN(300))+" "+d.moment(time.Second))
	case "born", "created":
		value = d.moment(time.Microsecond)
	case "removed":
		value = pick(d, number, d.moment(time.Microsecond)+" "+d.moment(time.Microsecond))
	case "touched":
		value = d.moment(time.Second)
	case "shape":
		value = pick(d, number, d.text())
	case "writer":
		field, value = "w:"+d.text(), pick(d, number, d.text())
	case "own writer": // the attack replaces it
		field, value = "w:"+ownWriter, pick(d, number, strconv.Itoa(d.IntN(100))+" "+d.moment(time.Second), d.text())
	case "else":
		field, value = d.text(), d.text()
	default:
		value = d.text()
	}
	return field, value
}

func (d rng) leaseEntry() (field, value string) {
	switch d.IntN(8) {
	case 0:
		return "lineage", pick(d, d.text(), d.word()+" "+d.moment(time.Millisecond), d.word()+" 0")
	case 1:
		return "housekept", pick(d, d.moment(time.Millisecond), d.text())
	case 2:
		return d.text(), d.text()
	}
	field = "i:" + pick(d, strconv.Itoa(d.IntN(4)), strconv.Itoa(d.IntN(4)), d.number(), d.text())
	words := []string{
		pick(d, "nobody", ownWriter, d.word(), d.text()), d.moment(time.Millisecond), pick(d, "?", "-", d.word()), d.word(), d.word(),
		d.moment(time.Microsecond), pick(d, "15000", "1000", d.number()),
	}
	for d.one(3) {
		words[d.IntN(len(words))] = d.text()
	}
	if d.one(6) {
		words = words[:d.IntN(len(words))]
	}
	return field, strings.Join(words, " ")
}
