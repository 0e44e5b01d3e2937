// SPDX-License-Identifier: Apache-2.0

package shoalgin

import (
	"errors"
	"net/http"
	"slices"

	"github.com/gin-gonic/gin"
	"github.com/shoal-metrics/shoal/core/httpmetrics"
)

// engine.HandleContext serves a request again: it resets the Context, with its Writer
// and its Keys, and runs all middleware once more. So a middleware cannot find there
// whether another one records the request already. But gin keeps the array of c.Errors,
// since it only cuts the slice to length 0. In the last element of that array, behind
// all errors, a middleware leaves its writer.

// place is what that element has, as the Meta of a gin.Error.
type place struct {
	last *writer // of the middleware that entered last and has not left
}

// placeOf returns the place of c. It is made once for each Context in gin's pool; if a
// request has so many errors that one overwrites it, it is made again.
func placeOf(c *gin.Context) *place {
	if n := cap(c.Errors); n > len(c.Errors) {
		if e := c.Errors[:n][n-1]; e != nil {
			if p, ok := e.Meta.(*place); ok {
				return p
			}
		}
	}
	const room = 8 // for the errors of a request, so that they seldom overwrite it
	p := new(place)
	c.Errors = slices.Grow(c.Errors, room)
	n := cap(c.Errors)
	c.Errors[:n][n-1] = &gin.Error{Err: errPlace, Meta: p}
	return p
}

// errPlace is seen only by code that reads c.Errors beyond its length.
var errPlace = errors.New("shoalgin: no error, but where the middleware leaves its writer")

// follow puts a writer into c. What is sent, the writer tells its own exchange, or that of
// a middleware further out which records the request.
func follow(rec *httpmetrics.Recorder, c *gin.Context) *writer {
	w := &writer{ResponseWriter: c.Writer}
	p := placeOf(c)
	w.place, w.outer, p.last = p, p.last, w
	told := false // another writer tells the exchange what is sent through c.Writer
	for o := w.outer; o != nil && w.exchange == nil; o = o.outer {
		if o.ResponseWriter != nil && o.exchange.Feeds(rec) {
			w.exchange, told = o.exchange, o.leads(c.Writer)
			w.exchange.Nest(rec, c.Request, nil)
		}
	}
	if w.exchange == nil {
		w.exchange = rec.Begin(&w.own, c.Writer, c.Request, nil)
		told = w.exchange != &w.own
	}
	c.Request = w.exchange.Inside(c.Request)
	w.exchange.SetRoute(c.FullPath())
	if told {
		w.ResponseWriter = nil
	} else {
		c.Writer = w
	}
	return w
}

// leads says whether what is sent through top reaches w. It asks top for its Pusher, and
// sees whether that call reaches w: a writer may hide what it wraps, but passes calls on.
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
