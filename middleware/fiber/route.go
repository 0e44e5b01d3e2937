// SPDX-License-Identifier: Apache-2.0

package shoalfiber

import (
	"reflect"

	"github.com/gofiber/fiber/v3"
	"github.com/shoal-metrics/shoal/core/httpmetrics"
)

// route returns the pattern of the route that answered. If only middlewares have seen the
// request, one of them answered, or none: fiber then says 404 or 405. A middleware that has
// a path, as in app.Use("/files", …), is known by that.
func route(c fiber.Ctx) string {
	path := c.Route().Path
	if c.Matched() {
		return path
	}
	status := c.Response().StatusCode()
	if path == "/" || status == fiber.StatusNotFound || status == fiber.StatusMethodNotAllowed {
		return httpmetrics.Unmatched
	}
	return path
}

// refused says whether fasthttp refused the request, as malformed or too large, before it
// had a handler. fiber then goes through all middlewares, without routes, for the headers
// that they set, and calls the error handler after that. fiber has no method that tells
// this. If a version has no such field, such a request is recorded as 404.
func refused(c fiber.Ctx) bool {
	if c.Matched() {
		return false
	}
	v := reflect.ValueOf(c)
	if v.Kind() != reflect.Pointer || v.Elem().Kind() != reflect.Struct {
		return false
	}
	field := v.Elem().FieldByName("skipNonUseRoutes") // also of a DefaultCtx that is embedded
	return field.IsValid() && field.Kind() == reflect.Bool && field.Bool()
}
