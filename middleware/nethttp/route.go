// SPDX-License-Identifier: Apache-2.0

package shoalhttp

import (
	"context"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"sync"
)

// question is the part of a request that decides which pattern a ServeMux
// chooses. It is a copy, since inner code may change the request, and the URL that
// copies of the request share, while it serves it and, after an
// http.TimeoutHandler gave up, even later.
type question struct {
	method, host                string
	urlHost, path, rawPath, uri string
}

func questionOf(r *http.Request) question {
	q := question{method: r.Method, host: r.Host, uri: r.RequestURI}
	if r.URL != nil {
		q.urlHost, q.path, q.rawPath = r.URL.Host, r.URL.Path, r.URL.RawPath
	}
	return q
}

// ask returns the route of a request: the pattern that mux chooses for it.
func ask(mux *http.ServeMux, q question) string {
	if q.uri == "*" {
		return "" // mux refuses it without looking for a pattern
	}
	h, pattern := mux.Handler(&http.Request{
		Method: q.method, Host: q.host, RequestURI: q.uri,
		URL: &url.URL{Host: q.urlHost, Path: q.path, RawPath: q.rawPath},
	})
	if q.method == http.MethodConnect && reflect.TypeOf(h) == redirects && !namesConnect(pattern) {
		// Where ServeMux redirects a CONNECT for /tree to /tree/, it calls the
		// path the pattern.
		return ""
	}
	return withoutMethodAndHost(pattern)
}

// redirects is the type of the handlers that redirect.
var redirects = reflect.TypeOf(http.RedirectHandler("/", http.StatusTemporaryRedirect))

// patternOf gives the pattern that the last mux left on r. It is no path: the one
// that mux calls a pattern where it redirects a CONNECT ends in a slash.
func patternOf(r *http.Request) string {
	if r.Method == http.MethodConnect && strings.HasSuffix(r.Pattern, "/") && !namesConnect(r.Pattern) {
		return ""
	}
	return withoutMethodAndHost(r.Pattern)
}

func namesConnect(pattern string) bool {
	return strings.HasPrefix(pattern, http.MethodConnect+" ")
}

func withoutMethodAndHost(pattern string) string {
	if i := strings.IndexByte(pattern, '/'); i > 0 {
		return pattern[i:]
	}
	return pattern
}

// visit notes how far a request came between the middleware and the mux. It is a
// context, so that it follows the request through all that copies it or takes it
// to another goroutine, as http.TimeoutHandler does.
type visit struct {
	context.Context // of the request as it came

	mu      sync.Mutex
	noted   question // the request as the innermost handler so far got it; guarded by mu
	reached bool     // the innermost is the mux; guarded by mu
}

type visitKey struct{}

// Value finds the visit itself, and else what the request's context has.
func (v *visit) Value(key any) any {
	if key == (visitKey{}) {
		return v
	}
	return v.Context.Value(key)
}

func visitOf(r *http.Request) *visit {
	v, _ := r.Context().Value(visitKey{}).(*visit)
	return v
}

// note keeps the request that the mux got first, or else the last before.
func (v *visit) note(r *http.Request, reached bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if !v.reached {
		v.noted, v.reached = questionOf(r), reached
	}
}

func (v *visit) question() question {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.noted
}

// noting notes the request as next gets it.
func noting(next http.Handler) http.Handler {
	_, reached := next.(*http.ServeMux)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if v := visitOf(r); v != nil {
			v.note(r, reached)
		}
		next.ServeHTTP(w, r)
	})
}
