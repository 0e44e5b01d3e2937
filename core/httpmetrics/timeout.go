// SPDX-License-Identifier: Apache-2.0

package httpmetrics

import (
	"errors"
	"net/http"
	"reflect"
)

// http.TimeoutHandler keeps what its handler writes and sends it when the handler
// returns. If the deadline passes before, it answers 503 and drops all of it. Only an
// error of Write tells that, and only once it has answered: it ignores a late
// WriteHeader, and a handler that stops at its deadline may be faster.

// Its writer is recognized by the name of its type, and the fields read by reflection,
// since none is exported. If a version of Go has other names, only the error of Write
// tells.

// isTimeout says whether an error of Write is that of an http.TimeoutHandler
// which has answered.
func isTimeout(err error) bool { return errors.Is(err, http.ErrHandlerTimeout) }

func isTimeoutWriter(w http.ResponseWriter) bool {
	return reflect.TypeOf(w).String() == "*http.timeoutWriter"
}

// noteTimeoutHandler notes whether w, the last writer, is that of an
// http.TimeoutHandler. If so, the context with its deadline is the one that decides on
// the status, and not one that a handler further in made.
func (x *Exchange) noteTimeoutHandler(w http.ResponseWriter) {
	if x.kept = isTimeoutWriter(w); !x.kept {
		return
	}
	if r, ok := fieldOf(w, "req").(*http.Request); ok {
		x.ctx = r.Context()
	}
}

// belowTimeoutHandler returns the writer that an http.TimeoutHandler got, if w is the
// writer that it made, and nil otherwise.
func belowTimeoutHandler(w http.ResponseWriter) http.ResponseWriter {
	if !isTimeoutWriter(w) {
		return nil
	}
	below, _ := fieldOf(w, "w").(http.ResponseWriter)
	return below
}

// fieldOf returns the pointer in a field of the struct that w points to, nil if there is
// none. It is for fields that never change.
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
