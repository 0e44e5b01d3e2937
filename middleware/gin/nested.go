// SPDX-License-Identifier: Apache-2.0

package shoalgin

import (
	"errors"
	"slices"

	"github.com/gin-gonic/gin"
	"github.com/shoal-metrics/shoal/core/httpmetrics"
)

// engine.HandleContext serves a request again: it resets the Context, its Writer
// and its Keys included, and runs all middleware once more. So a middleware cannot
// find there whether another one records the request already. What gin keeps is the
// array of c.Errors, since it only cuts the slice to no length. The last place of
// that array, behind all errors, is where a middleware leaves its writer.

// errPlace marks the gin.Error that is that place.
var errPlace = errors.New("shoalgin: no error, but where the middleware's writer is noted")

// placeOf gives the place of c. It is made once for each Context that gin has in
// its pool; it is lost, and then made again, when a request has so many errors that
// they take it.
func placeOf(c *gin.Context) *gin.Error {
	if n := cap(c.Errors); n > len(c.Errors) {
		if place := c.Errors[:n][n-1]; place != nil && place.Err == errPlace {
			return place
		}
	}
	const room = 8 // for errors of requests, so that they seldom take the place
	place := &gin.Error{Err: errPlace}
	c.Errors = slices.Grow(c.Errors, room)
	n := cap(c.Errors)
	c.Errors[:n][n-1] = place
	return place
}

// follow puts a writer into c. The exchange that it tells is its own, or that of a
// middleware further out which records the request.
func follow(rec *httpmetrics.Recorder, c *gin.Context) *writer {
	w := &writer{ResponseWriter: c.Writer, place: placeOf(c)}
	w.outer, _ = w.place.Meta.(*writer)
	w.place.Meta = w
	w.exchange = rec.Enter(c.Writer, c.Request, nil)
	w.idle = w.exchange != nil
	for o := w.outer; o != nil && w.exchange == nil; o = o.outer {
		if o.exchange.Feeds(rec) {
			w.exchange, w.idle = o.exchange, o.leads(c.Writer)
			w.exchange.Nest(c.Request, nil)
		}
	}
	if w.exchange == nil {
		w.exchange = &w.own
		rec.Begin(w.exchange, c.Writer, c.Request, nil)
	}
	w.exchange.SetRoute(c.FullPath())
	if !w.idle {
		c.Writer = w
	}
	return w
}

// leads says whether what is sent through top reaches w, if need be past a writer
// that hides what it wraps: such a one passes on a question for the Pusher.
func (w *writer) leads(top gin.ResponseWriter) bool {
	w.asked = false
	top.Pusher()
	return w.asked
}

// leave gives the place back to the middleware further out.
func (w *writer) leave() {
	w.place.Meta = nil
	if w.outer != nil {
		w.place.Meta = w.outer
	}
}
