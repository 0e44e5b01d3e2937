// SPDX-License-Identifier: Apache-2.0

package shoalgin

import (
	"errors"
	"net/http"
	"slices"

	"github.com/gin-gonic/gin"
	"github.com/shoal-metrics/shoal/core/httpmetrics"
)

// engine.HandleContext serves a request again: it resets the Context, its Writer
// and its Keys included, and runs all middleware once more. So a middleware cannot
// find there whether another one records the request already. What gin keeps is the
// array of c.Errors, since it only cuts the slice to no length. The last place of
// that array, behind all errors, is where a middleware leaves its writer.

// placeOf gives that place of c, as a gin.Error whose Meta is the writer that was
// left last. It is made once for each Context that gin has in its pool; when a
// request has so many errors that they take it, it is lost and made again.
func placeOf(c *gin.Context) (place *gin.Error, last *writer) {
	if n := cap(c.Errors); n > len(c.Errors) {
		if place = c.Errors[:n][n-1]; place != nil {
			if last, ok := place.Meta.(*writer); ok {
				return place, last
			}
		}
	}
	const room = 8 // for errors of requests, so that they seldom take the place
	place = &gin.Error{Err: errPlace}
	c.Errors = slices.Grow(c.Errors, room)
	n := cap(c.Errors)
	c.Errors[:n][n-1] = place
	return place, nil
}

// errPlace is seen only by code that reads c.Errors beyond its length.
var errPlace = errors.New("shoalgin: no error, but where the middleware leaves its writer")

// follow puts a writer into c. The exchange that it tells is its own, or that of a
// middleware further out which records the request.
func follow(rec *httpmetrics.Recorder, c *gin.Context) *writer {
	w := &writer{ResponseWriter: c.Writer}
	place, last := placeOf(c)
	w.place, w.outer, place.Meta = place, last, w
	told := false // by another writer, of what is sent through c.Writer
	for o := last; o != nil && w.exchange == nil; o = o.outer {
		if o.ResponseWriter != nil && o.exchange.Feeds(rec) {
			w.exchange, told = o.exchange, o.leads(c.Writer)
			w.exchange.Nest(c.Request, nil)
		}
	}
	if w.exchange == nil {
		w.exchange = rec.Begin(&w.own, c.Writer, c.Request, nil)
		told = w.exchange != &w.own
	}
	w.exchange.SetRoute(c.FullPath())
	if told {
		w.ResponseWriter = nil
	} else {
		c.Writer = w
	}
	return w
}

// leads says whether what is sent through top reaches w, if need be past a writer
// that hides what it wraps: such a one passes on a question for the Pusher.
func (w *writer) leads(top gin.ResponseWriter) bool {
	below := w.ResponseWriter
	p := &probe{ResponseWriter: below}
	w.ResponseWriter = p
	top.Pusher()
	w.ResponseWriter = below
	return p.asked
}

type probe struct {
	gin.ResponseWriter
	asked bool
}

func (p *probe) Pusher() http.Pusher {
	p.asked = true
	return p.ResponseWriter.Pusher()
}
