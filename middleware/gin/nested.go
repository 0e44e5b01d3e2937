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

// place is what stands there, as the Meta of a gin.Error.
type place struct {
	last *writer // of the middleware that entered last and has not left
}

// placeOf gives the place of c. It is made once for each Context that gin has in its
// pool; when a request has so many errors that they take it, it is lost and made
// again.
func placeOf(c *gin.Context) *place {
	if n := cap(c.Errors); n > len(c.Errors) {
		if e := c.Errors[:n][n-1]; e != nil {
			if p, ok := e.Meta.(*place); ok {
				return p
			}
		}
	}
	const room = 8 // for errors of requests, so that they seldom take the place
	p := new(place)
	c.Errors = slices.Grow(c.Errors, room)
	n := cap(c.Errors)
	c.Errors[:n][n-1] = &gin.Error{Err: errPlace, Meta: p}
	return p
}

// errPlace is seen only by code that reads c.Errors beyond its length.
var errPlace = errors.New("shoalgin: no error, but where the middleware leaves its writer")

// follow puts a writer into c. The exchange that it tells is its own, or that of a
// middleware further out which records the request.
func follow(rec *httpmetrics.Recorder, c *gin.Context) *writer {
	w := &writer{ResponseWriter: c.Writer}
	p := placeOf(c)
	w.place, w.outer, p.last = p, p.last, w
	told := false // by another writer, of what is sent through c.Writer
	for o := w.outer; o != nil && w.exchange == nil; o = o.outer {
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
