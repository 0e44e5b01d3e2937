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

// routed is the part of a request by which a ServeMux chooses a pattern. It is a copy, since
// handlers further in may change the request, and the URL that its copies share, while they
// serve it, and even later if an http.TimeoutHandler gave up on them.
type routed struct {
	method, host                string
	urlHost, path, rawPath, uri string
}

func routedOf(r *http.Request) routed {
	q := routed{method: r.Method, host: r.Host, uri: r.RequestURI}
	if r.URL != nil {
		q.urlHost, q.path, q.rawPath = r.URL.Host, r.URL.Path, r.URL.RawPath
	}
	return q
}

// routeIn returns the route of a request: the pattern that mux chooses for it.
func routeIn(mux *http.ServeMux, q routed) string {
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

// patternOf returns the pattern that the last mux left on r, but not the path that a mux
// leaves there if it redirects a CONNECT: such a path ends in a slash.
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

// visit notes how far a request came between the middleware and the mux. It is a context,
// so that handlers which copy the request or take it to another goroutine, as
// http.TimeoutHandler does, keep it.
type visit struct {
	context.Context // of the request as it came

	mu      sync.Mutex
	noted   routed // the request as the innermost handler so far got it; guarded by mu
	reached bool   // the innermost is the mux; guarded by mu
}

type visitKey struct{}

// Value returns the visit itself for visitKey, else what the request's context has.
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

// note keeps the request as the mux got it first, or as the last handler before it did.
func (v *visit) note(r *http.Request, reached bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if !v.reached {
		v.noted, v.reached = routedOf(r), reached
	}
}

func (v *visit) last() routed {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.noted
}

// noting returns a handler that notes the request and calls next.
func noting(next http.Handler) http.Handler {
	_, reached := next.(*http.ServeMux)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if v := visitOf(r); v != nil {
			v.note(r, reached)
		}
		next.ServeHTTP(w, r)
	})
}
