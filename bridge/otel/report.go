// SPDX-License-Identifier: Apache-2.0

package shoalotel

import (
	"sync"

	"go.opentelemetry.io/otel"
)

// maxReported bounds reporter.seen. When it is full, each text is reported once more.
const maxReported = 100

// reporter reports problems to OpenTelemetry's error handler, where the program expects those of its
// instruments. It reports each text once, since a name that clashes does so in every collection. It
// is safe for concurrent use.
type reporter struct {
	mu   sync.Mutex
	seen map[string]bool // guarded by mu
}

// report reports an error, or each of those that it joins.
func (r *reporter) report(err error) {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, e := range joined.Unwrap() {
			r.report(e)
		}
		return
	}
	if err != nil && r.first(err.Error()) {
		otel.Handle(err)
	}
}

func (r *reporter) first(text string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.seen[text] {
		return false
	}
	if r.seen == nil || len(r.seen) == maxReported {
		r.seen = map[string]bool{}
	}
	r.seen[text] = true
	return true
}
