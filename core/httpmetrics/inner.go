// SPDX-License-Identifier: Apache-2.0

package httpmetrics

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"sync"
)

// SetLabel gives a label of Opts.Labels that has no Value its value for the request of ctx:
// what an authentication or a handler further in has learned, such as the tenant. The last
// value before the request is recorded counts; without one the label is empty. Each distinct
// value is a series of its own, and those beyond the registry's limit share one that says
// "shoal_overflow". Where no middleware with such a label is around, SetLabel does nothing.
// It keeps a copy of value, and may be called by several goroutines.
//
// Only where Opts declare such a label a request has what SetLabel needs in its context, which
// takes four allocations.
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
// result under [InnerLabelsKey] into the context that handlers get.
func (rec *RecorderOf[R]) InnerLabels(ctx context.Context) *InnerLabels {
	if len(rec.inner) == 0 {
		return nil
	}
	outer, _ := ctx.Value(InnerLabelsKey{}).(*InnerLabels)
	return &InnerLabels{names: rec.inner, outer: outer, values: make([]string, len(rec.inner))}
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
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.values[i]
}

// Inside returns the request that an adapter gives to the handlers inside: r itself, or if
// Opts.Labels have labels that are set from inside, a copy whose context has the place for
// them. Call it once, after Begin or [Recorder.Wrap]. From then on the exchange asks the
// router for the route of what Inside returned.
func (x *Exchange) Inside(r *http.Request) *http.Request {
	if x.depth > 0 || len(x.rec.inner) == 0 { // the outermost middleware has done it
		return r
	}
	x.inner = x.rec.InnerLabels(r.Context())
	x.handed = r.WithContext(context.WithValue(r.Context(), InnerLabelsKey{}, x.inner))
	return x.handed
}
