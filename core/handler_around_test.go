// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/shoal-metrics/shoal/core/internal/memstore"
)

func TestHandler_DoesNotCompressWhereAMiddlewareAroundItDoes(t *testing.T) {
	h := readOnly(t, memstore.New()).Handler(HandlerOpts{})
	for _, tt := range []struct {
		promise        string
		set            http.Header // by a middleware around the page
		encoding, vary string      // of the answer
		length         bool
	}{
		{"nobody did", nil, "gzip", "Accept-Encoding", true},
		{"encoding", http.Header{"Content-Encoding": {"gzip"}}, "gzip", "", false},
		{"another encoding", http.Header{"Content-Encoding": {"br"}}, "br", "", false},
		{"what it depends on", http.Header{"Vary": {"Accept-Encoding"}}, "", "Accept-Encoding", false},
		{"what it depends on, among others", http.Header{"Vary": {"Origin", "Cookie, accept-encoding"}}, "", "Origin|Cookie, accept-encoding", false},
		{"dependence on something else", http.Header{"Vary": {"Origin, X-Accept-Encoding"}}, "gzip", "Origin, X-Accept-Encoding|Accept-Encoding", true},
	} {
		t.Run(strings.ReplaceAll(tt.promise, " ", "_"), func(t *testing.T) {
			w := httptest.NewRecorder()
			for name, values := range tt.set {
				w.Header()[name] = values
			}
			r := httptest.NewRequest("GET", "/metrics", nil)
			r.Header.Set("Accept-Encoding", "gzip")
			h.ServeHTTP(w, r)
			got := w.Result().Header
			if got.Get("Content-Encoding") != tt.encoding || strings.Join(got.Values("Vary"), "|") != tt.vary || (got.Get("Content-Length") != "") != tt.length {
				t.Errorf("the answer has %v", got)
			}
			if plain := strings.HasPrefix(w.Body.String(), "# "); plain == tt.length { // only its own gzip has a length here
				t.Errorf("the body begins with %.20q", w.Body.String())
			}
		})
	}
}
