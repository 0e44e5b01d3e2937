// SPDX-License-Identifier: Apache-2.0

package httpmetrics

import (
	"context"
	"errors"
	"net/http"
	"reflect"
	"time"
)

// http.TimeoutHandler keeps what its handler writes and sends it when the handler
// returns. If the deadline passes before, it answers 503 and drops all of it. Its
// writer tells that to Write alone: a late WriteHeader is ignored in silence.

// isTimeout says whether an error of Write is that of an http.TimeoutHandler
// which has answered.
func isTimeout(err error) bool { return errors.Is(err, http.ErrHandlerTimeout) }

// overruled says whether an http.TimeoutHandler around the middleware has
// answered in place of the handler, or will, where err is what ended the request's
// context, if anything.
func (x *Exchange) overruled(err error) bool {
	if x.refused || err == nil {
		return x.refused
	}
	w, direct := timeoutWriter(x.below)
	if w == nil {
		return false
	}
	if x.status == 0 || x.pending || !direct {
		return true // it waits for nothing but the handler, and for that no longer
	}
	return refuses(w, x.ctx)
}

// behindTimeoutHandler says whether an answer is kept until its handler returns.
func behindTimeoutHandler(w http.ResponseWriter) bool {
	found, _ := timeoutWriter(w)
	return found != nil
}

// timeoutWriter finds the writer of an http.TimeoutHandler below w, and says
// whether what is sent through w has reached it. Its type has no other mark than
// its name.
func timeoutWriter(w http.ResponseWriter) (found http.ResponseWriter, direct bool) {
	for direct = true; ; {
		switch reflect.TypeOf(w).String() {
		case "*http.timeoutWriter":
			return w, direct
		case "*gin.responseWriter": // passes on at once
		default:
			direct = false
		}
		next, ok := w.(unwrapper)
		if !ok {
			return nil, false
		}
		w = next.Unwrap()
	}
}

// timeoutGrace is how long an http.TimeoutHandler may need to notice its deadline.
const timeoutGrace = 5 * time.Millisecond

// refuses says whether the http.TimeoutHandler of w has answered, or is about to,
// although w had a status from its handler. ctx ended; if that was the deadline of
// the http.TimeoutHandler, it will notice in a moment. If it was another one, for
// which the handler has answered, nothing will happen.
func refuses(w http.ResponseWriter, ctx context.Context) bool {
	ended := time.Now()
	if deadline, ok := ctx.Deadline(); ok && errors.Is(ctx.Err(), context.DeadlineExceeded) {
		ended = deadline
	}
	for pause := 10 * time.Microsecond; ; pause *= 2 {
		// An empty Write changes nothing where a status was written.
		if _, err := w.Write(nil); err != nil {
			return true
		}
		if time.Since(ended) > timeoutGrace {
			return false
		}
		time.Sleep(pause)
	}
}

// answersByItself says whether nothing written means that a server sends 200 by
// itself, as those of net/http do. Their writers can flush; that of an
// http.TimeoutHandler, and what is known of nothing else, cannot.
func answersByItself(w http.ResponseWriter) bool {
	for {
		if _, ok := w.(http.Flusher); ok {
			return true
		}
		next, ok := w.(unwrapper)
		if !ok {
			return false
		}
		w = next.Unwrap()
	}
}
