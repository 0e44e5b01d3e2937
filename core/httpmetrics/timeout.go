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

// The writer of an http.TimeoutHandler is known by the name of its type, and what
// it holds has no exported names either: nothing below relies on more than it finds.

func isTimeoutWriter(w http.ResponseWriter) bool {
	return reflect.TypeOf(w).String() == "*http.timeoutWriter"
}

// timeoutHandler looks for an http.TimeoutHandler around w, and for the context
// with its deadline, which is nil if it cannot be found.
func timeoutHandler(w http.ResponseWriter) (ctx context.Context, found bool) {
	w = bottom(w)
	if !isTimeoutWriter(w) {
		return nil, false
	}
	if r, ok := fieldOf(w, "req").(*http.Request); ok && r != nil {
		ctx = r.Context()
	}
	return ctx, true
}

// belowTimeoutHandler gives the writer that an http.TimeoutHandler was given, if w
// is one's, and nil otherwise.
func belowTimeoutHandler(w http.ResponseWriter) http.ResponseWriter {
	if !isTimeoutWriter(w) {
		return nil
	}
	below, _ := fieldOf(w, "w").(http.ResponseWriter)
	return below
}

// fieldOf gives the pointer in a field of a struct that w points to, and nil if
// there is none. It is for fields that never change.
func fieldOf(w http.ResponseWriter, name string) any {
	v := reflect.ValueOf(w)
	if v.Kind() != reflect.Pointer || v.Elem().Kind() != reflect.Struct {
		return nil
	}
	field := v.Elem().FieldByName(name)
	if field.IsValid() && field.Kind() == reflect.Interface {
		field = field.Elem()
	}
	if !field.IsValid() || field.Kind() != reflect.Pointer || field.IsNil() {
		return nil
	}
	return reflect.NewAt(field.Type().Elem(), field.UnsafePointer()).Interface()
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
