// SPDX-License-Identifier: Apache-2.0

package httpmetrics

import (
	"errors"
	"net/http"
	"reflect"
)

// http.TimeoutHandler keeps what its handler writes and sends it when the handler
// returns. If the deadline passes before, it answers 503 and drops all of it. It
// tells that to Write alone, and only when it has answered: a late WriteHeader is
// ignored in silence, and a handler that stops at its deadline may be faster.

// Its writer is known by the name of its type, and what it holds has no exported
// name either; where a version of Go has other names, only what Write says is left.

// isTimeout says whether an error of Write is that of an http.TimeoutHandler
// which has answered.
func isTimeout(err error) bool { return errors.Is(err, http.ErrHandlerTimeout) }

func isTimeoutWriter(w http.ResponseWriter) bool {
	return reflect.TypeOf(w).String() == "*http.timeoutWriter"
}

// noteTimeoutHandler notes whether w, the last writer, is that of an
// http.TimeoutHandler. Then the context with its deadline decides: another one that
// has ended, further in, is for the handler to answer.
func (x *Exchange) noteTimeoutHandler(w http.ResponseWriter) {
	if x.kept = isTimeoutWriter(w); !x.kept {
		return
	}
	if r, ok := fieldOf(w, "req").(*http.Request); ok {
		x.ctx = r.Context()
	}
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
