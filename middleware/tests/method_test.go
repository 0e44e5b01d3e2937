// SPDX-License-Identifier: Apache-2.0

package tests

import (
	"net/http"
	"testing"

	"github.com/gin-gonic/gin"
	"github.com/shoal-metrics/shoal/core/httpmetrics"
	"github.com/shoal-metrics/shoal/core/shoaltest"
	shoalgin "github.com/shoal-metrics/shoal/middleware/gin"
)

func TestMethod_IsTheClientsWhateverInnerCodeMakesOfTheRequest(t *testing.T) {
	forEach(t, func(t *testing.T, f framework) {
		s := newSite(t, f, httpmetrics.Opts{}, route{"POST", "/x/{id}", func(_ http.ResponseWriter, r *http.Request) {
			r.Method = http.MethodDelete
		}})
		s.do("POST", "/x/7", nil)
		s.finish()
		s.wantOnly("POST", f.pattern("/x/{id}"), "200")
	})
}

func TestMethod_BehindHandleContextIsThatOfTheRoute(t *testing.T) {
	reg := shoaltest.New(t)
	e := gin.New()
	shoalgin.Install(e, reg, httpmetrics.Opts{})
	e.GET("/old/:id", func(c *gin.Context) {
		c.Request.Method = http.MethodDelete
		again(e, "/new/7")(c)
	})
	e.DELETE("/new/:id", func(c *gin.Context) { c.Status(http.StatusNoContent) })
	s := siteOf(t, reg, e)
	s.do("GET", "/old/7", nil)
	s.finish()
	s.wantOnly("GET", "/old/:id", "204")
}
