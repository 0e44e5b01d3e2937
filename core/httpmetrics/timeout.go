// SPDX-License-Identifier: Apache-2.0

package httpmetrics

import (
	"context"
	"errors"
	"net/http"
	"reflect"
)

// http.TimeoutHandler keeps what its handler writes and sends it when the handler
// returns. If the deadline passes before, it answers 503 and drops all of it. It
// tells that to Write alone, and only when it has answered: a late WriteHeader is
// ignored in silence, and a handler that stops at its deadline may be faster.

// isTimeout says whether an error of Write is that of an http.TimeoutHandler
// which has answered.
func isTimeout(err error) bool { return errors.Is(err, http.ErrHandlerTimeout) }

// overruled says whether an http.TimeoutHandler around the middleware has
// answered in place of the handler, or will. ended is why the request's context
// ended, if it did.
func (x *Exchange) overruled(ended error) bool {
	if x.refused || ended == nil {
		return x.refused
	}
	ctx, found := timeoutHandler(x.below)
	// Another deadline, further in, is one that the handler answers for itself.
	return found && (ctx == nil || ctx.Err() != nil)
}

// timeoutHandler looks for an http.TimeoutHandler around w, and for the context
// with its deadline. Its writer is known by its name, and what leads to the context
// has no exported name either; ctx is nil where a version of Go has neither.
func timeoutHandler(w http.ResponseWriter) (ctx context.Context, found bool) {
	w = bottom(w)
	if reflect.TypeOf(w).String() != "*http.timeoutWriter" {
		return nil, false
	}
	v := reflect.ValueOf(w).Elem()
	if v.Kind() != reflect.Struct {
		return nil, true
	}
	request := v.FieldByName("req") // never changed
	if !request.IsValid() || request.Type() != reflect.TypeFor[*http.Request]() || request.IsNil() {
		return nil, true
	}
	r := reflect.NewAt(reflect.TypeFor[http.Request](), request.UnsafePointer()).Interface().(*http.Request)
	return r.Context(), true
}

// answersByItself says whether the server of w sends 200 if nothing is written, as
// those of net/http do. Their writers can flush; that of an http.TimeoutHandler,
// and one of which nothing is known, cannot.
func answersByItself(w http.ResponseWriter) bool {
	_, flushes := bottom(w).(http.Flusher)
	return flushes
}

// bottom gives the last writer to which w leads.
func bottom(w http.ResponseWriter) http.ResponseWriter {
	for {
		next, ok := w.(unwrapper)
		if !ok {
			return w
		}
		w = next.Unwrap()
	}
}
