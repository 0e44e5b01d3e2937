// SPDX-License-Identifier: Apache-2.0

package shoalfiber

import (
	"reflect"

	"github.com/gofiber/fiber/v2"
	"github.com/shoal-metrics/shoal/core/httpmetrics"
)

// route returns the pattern of the route that answered. If only middlewares have seen the
// request, one of them answered, or none: fiber then says 404 or 405. A middleware that has
// a path, as in app.Use("/files", …), is known by that.
func route(c *fiber.Ctx) string {
	r := c.Route()
	if !isMiddleware(r) {
		return r.Path
	}
	status := c.Response().StatusCode()
	if r.Path == "/" || status == fiber.StatusNotFound || status == fiber.StatusMethodNotAllowed {
		return httpmetrics.Unmatched
	}
	return r.Path
}

// useField is the field of a fiber.Route that says whether app.Use made it. fiber v2 has no
// method that tells this.
var useField, hasUseField = reflect.TypeFor[fiber.Route]().FieldByName("use")

func isMiddleware(r *fiber.Route) bool {
	return hasUseField && reflect.ValueOf(r).Elem().FieldByIndex(useField.Index).Bool()
}
