// SPDX-License-Identifier: Apache-2.0

package page

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/shoal-metrics/shoal/core/internal/wire"
)

// longestNumber is how many characters a number has as text at most.
const longestNumber = 24

var errText = fmt.Errorf("the page would have more than %d MiB of text", wire.MaxPage>>20)

// tooLarge picks the largest families, without which the page's text is not too long, and says
// how many bytes are left without them. large is nil if the text is not too long with all.
func (b *builder) tooLarge(families []storedFamily) (large map[int]bool, room int) {
	own := b.zerosBound() // and of shoal_instance_info and its like
	for _, l := range b.app.Leases {
		own = addBounded(own, 2*len(l.Info.Host)+2*len(l.Info.Version)+200)
	}
	sizes, total := make([]int, len(families)), own
	for i := range families {
		sizes[i] = b.textBound(&families[i])
		total = addBounded(total, sizes[i])
	}
	if total <= wire.MaxPage {
		return nil, wire.MaxPage - total
	}
	order := make([]int, len(families))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(x, y int) int { return cmp.Compare(sizes[x], sizes[y]) })
	large = map[int]bool{}
	total = own
	for _, i := range order {
		if with := addBounded(total, sizes[i]); with > wire.MaxPage {
			large[i] = true
		} else {
			total = with
		}
	}
	return large, wire.MaxPage - total
}

// textBound is how long a family is as text at most, but for escapes in gauges of
// processes. It is computed before anything is made of the family. Series that will be
// summed count one by one.
func (b *builder) textBound(f *storedFamily) int {
	head := 2*len(f.name) + 2*len(f.state.Help) + len("# HELP  \n# TYPE  histogram\n")
	if !f.state.Shared() {
		g := b.gauges[f.name]
		if g == nil {
			return head
		}
		return addBounded(head, g.text)
	}
	if f.series == nil {
		return 0
	}
	line, lines, le := len(f.name)+len("{} \n")+longestNumber+b.label, 1, 0
	switch f.state.Type {
	case wire.TypeSummary:
		line, lines = line+len("_count"), 2
	case wire.TypeHistogram:
		line, lines = line+len(`_bucket,le=""`), len(f.state.Bounds)+3
		for _, bound := range f.state.Bounds {
			le += len(bound)
		}
	}
	n := len(f.series.labels.fields)
	size := addBounded(mulBounded(lines, addBounded(f.series.labelText, mulBounded(n, line))), mulBounded(n, le))
	return addBounded(head, size)
}

// labelLength is how long the labels of a field are as text, without what escaping adds.
func labelLength(field string) int { return len(field) + strings.Count(field, wire.Separator) + 2 }

// escapes counts the characters of a field that take two characters as text.
func escapes(field string) int {
	return strings.Count(field, `"`) + strings.Count(field, `\`) + strings.Count(field, "\n")
}

// addBounded and mulBounded compute sizes whose sum or product may not fit into an int:
// whatever is more than MaxPage is MaxPage and one.
func addBounded(a, b int) int {
	return min(min(a, wire.MaxPage+1)+min(b, wire.MaxPage+1), wire.MaxPage+1)
}

func mulBounded(a, b int) int {
	if a > 0 && b > wire.MaxPage/a {
		return wire.MaxPage + 1
	}
	return a * b
}
