// SPDX-License-Identifier: Apache-2.0

package shoalfasthttp

import (
	"reflect"
	"unsafe"

	"github.com/valyala/fasthttp"
)

// unknown is a size that is not observed.
const unknown = -1

// answer returns the status and the size of the body that the server is about to send.
// Unlike in net/http, nothing is sent before the handler has come back.
func (x *Exchange[R]) answer() (status int, size int64) {
	if !x.returned {
		return fasthttp.StatusInternalServerError, unknown // what recovers decides on the body
	}
	res := &x.ctx.Response
	if timeout := x.ctx.LastTimeoutErrorResponse(); timeout != nil {
		res = timeout // the server sends this one
	}
	status = res.StatusCode()
	switch {
	case x.ctx.Hijacked():
		if withoutResponse(x.ctx) {
			status = fasthttp.StatusSwitchingProtocols
		}
		return status, unknown
	case x.streams(res):
		return status, unknown
	case x.method == fasthttp.MethodHead, res.SkipBody, bodiless(status):
		return status, 0
	case res.IsBodyStream():
		return status, max(int64(res.Header.ContentLength()), unknown)
	}
	return status, int64(len(res.Body()))
}

// bodiless says whether an answer with this status has no body, whatever the handler says.
func bodiless(status int) bool {
	return status < 200 || status == fasthttp.StatusNoContent || status == fasthttp.StatusNotModified
}

// streams asks whether the response is a stream. Only what the application itself asks
// may be kept, so only that gets a copy of the media type.
func (x *Exchange[R]) streams(res *fasthttp.Response) bool {
	contentType := res.Header.ContentType()
	if x.rec.asksStream {
		return x.rec.Streams(x.request, string(contentType))
	}
	return x.rec.Streams(x.request, unsafe.String(unsafe.SliceData(contentType), len(contentType)))
}

// withoutResponse says whether a handler that took over the connection answers by itself,
// as those of net/http do. fasthttp has no method for that. If a version has no such field,
// the status of the response counts.
func withoutResponse(ctx *fasthttp.RequestCtx) bool {
	field := reflect.ValueOf(ctx).Elem().FieldByName("hijackNoResponse")
	return field.IsValid() && field.Kind() == reflect.Bool && field.Bool()
}

// requestSize returns the length of the body of a request.
func requestSize(req *fasthttp.Request) int64 {
	n := int64(req.Header.ContentLength())
	switch {
	case n >= 0:
		return n
	case req.IsBodyStream(), n == -1: // sent in chunks
		return unknown
	}
	return 0 // there is none
}

// methodOf returns the method without keeping b, which is a part of the request's buffer.
func methodOf(b []byte) string {
	switch string(b) {
	case fasthttp.MethodGet:
		return fasthttp.MethodGet
	case fasthttp.MethodHead:
		return fasthttp.MethodHead
	case fasthttp.MethodPost:
		return fasthttp.MethodPost
	case fasthttp.MethodPut:
		return fasthttp.MethodPut
	case fasthttp.MethodPatch:
		return fasthttp.MethodPatch
	case fasthttp.MethodDelete:
		return fasthttp.MethodDelete
	case fasthttp.MethodOptions:
		return fasthttp.MethodOptions
	}
	return string(b)
}
