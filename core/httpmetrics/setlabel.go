// SPDX-License-Identifier: Apache-2.0

package httpmetrics

import (
	"context"
	"slices"
	"strings"
	"sync"
)

// SetLabel gives a value to a label of Opts.Labels that has no Value, for the request whose
// context ctx is or comes from: what an authentication or a handler has learned, such as the
// tenant. The last value before the request is recorded counts; a stream is recorded when it
// begins. Without one the label is empty. Each distinct value is a series of its own, and
// those beyond the registry's limit share one that says "shoal_overflow".
//
// SetLabel keeps a copy of value, and may be called by any goroutine. It does nothing if no
// middleware around the caller has such a label. Where one has, each request takes three
// further allocations, whether or not SetLabel is called.
func SetLabel(ctx context.Context, name, value string) {
	l, _ := ctx.Value(InnerLabelsKey{}).(*InnerLabels)
	for ; l != nil; l = l.outer {
		l.set(name, value)
	}
}

// InnerLabelsKey is the key under which a request's context has its [*InnerLabels].
type InnerLabelsKey struct{}

// InnerLabels are the labels of one request whose values come from inside, by [SetLabel].
// Its methods are safe for concurrent use, and nil has no labels.
type InnerLabels struct {
	names []string
	outer *InnerLabels // of a middleware further out that records in other metrics

	mu     sync.Mutex
	values []string // by name; guarded by mu
}

// InnerLabels returns a place for the labels from inside of one request. It is nil if
// Opts.Labels have none. Ctx is the request's context so far. The adapter puts the
// result under [InnerLabelsKey] into the context that handlers get, and gives it to
// LabelValues. For net/http, [Exchange.Inside] does all that.
func (rec *RecorderOf[R]) InnerLabels(ctx context.Context) *InnerLabels {
	if len(rec.inner) == 0 {
		return nil
	}
	l := new(InnerLabels)
	l.init(ctx, rec.inner)
	return l
}

func (l *InnerLabels) init(ctx context.Context, names []string) {
	l.outer, _ = ctx.Value(InnerLabelsKey{}).(*InnerLabels)
	l.names, l.values = names, make([]string, len(names))
}

func (l *InnerLabels) set(name, value string) {
	i := slices.Index(l.names, name)
	if i < 0 {
		return
	}
	value = strings.Clone(value) // fiber's strings change later
	l.mu.Lock()
	defer l.mu.Unlock()
	l.values[i] = value
}

func (l *InnerLabels) value(name string) string {
	if l == nil {
		return ""
	}
	i := slices.Index(l.names, name)
	if i < 0 {
		return ""
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.values[i]
}
