// SPDX-License-Identifier: Apache-2.0

package tests

import (
	"compress/gzip"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	gingzip "github.com/gin-contrib/gzip"
	"github.com/gin-gonic/gin"
	"github.com/go-chi/chi/v5"
	chimiddleware "github.com/go-chi/chi/v5/middleware"
	"github.com/klauspost/compress/gzhttp"
	echomiddleware "github.com/labstack/echo/v4/middleware"
	shoal "github.com/shoal-metrics/shoal/core"
	"github.com/shoal-metrics/shoal/core/httpmetrics"
	"github.com/shoal-metrics/shoal/core/shoaltest"
	shoalchi "github.com/shoal-metrics/shoal/middleware/chi"
	shoalecho "github.com/shoal-metrics/shoal/middleware/echo"
	shoalgin "github.com/shoal-metrics/shoal/middleware/gin"
	shoalhttp "github.com/shoal-metrics/shoal/middleware/nethttp"
)

type wrapper = func(http.Handler) http.Handler

// namesFirst is a middleware that sets Content-Encoding before it calls the next
// handler, as gorilla's does.
func namesFirst(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") || r.Method == http.MethodHead {
			next.ServeHTTP(w, r)
			return
		}
		w.Header().Set("Content-Encoding", "gzip")
		w.Header().Add("Vary", "Accept-Encoding")
		zip := gzip.NewWriter(w)
		defer func() { _ = zip.Close() }()
		next.ServeHTTP(zipWriter{w, zip}, r)
	})
}

type zipWriter struct {
	http.ResponseWriter
	zip *gzip.Writer
}

func (w zipWriter) Write(b []byte) (int, error) { return w.zip.Write(b) }

func around(t *testing.T) map[string]wrapper {
	t.Helper()
	klauspost, err := gzhttp.NewWrapper()
	if err != nil {
		t.Fatal(err)
	}
	return map[string]wrapper{
		"chi's Compress":     chimiddleware.Compress(5),
		"klauspost's gzhttp": func(next http.Handler) http.Handler { return klauspost(next) },
		"names it first":     namesFirst,
	}
}

// compressors are all ways to put a compressing middleware around a page.
func compressors(t *testing.T) map[string]func(reg *shoal.Registry) http.Handler {
	t.Helper()
	ways := map[string]func(reg *shoal.Registry) http.Handler{
		"echo's Gzip, after Install": func(reg *shoal.Registry) http.Handler {
			e := quietEcho()
			shoalecho.Install(e, reg, shoalecho.Opts{})
			e.Use(echomiddleware.Gzip())
			return e
		},
		"echo's Gzip, before Install": func(reg *shoal.Registry) http.Handler {
			e := quietEcho()
			e.Use(echomiddleware.Gzip())
			shoalecho.Install(e, reg, shoalecho.Opts{})
			return e
		},
		"echo's Gzip, for large answers": func(reg *shoal.Registry) http.Handler {
			e := quietEcho()
			shoalecho.Install(e, reg, shoalecho.Opts{})
			e.Use(echomiddleware.GzipWithConfig(echomiddleware.GzipConfig{MinLength: 1 << 20}))
			return e
		},
		"gin-contrib/gzip, after Install": func(reg *shoal.Registry) http.Handler {
			engine := gin.New()
			shoalgin.Install(engine, reg, shoalgin.Opts{})
			engine.Use(gingzip.Gzip(gingzip.DefaultCompression))
			return engine
		},
		"gin-contrib/gzip, before Install": func(reg *shoal.Registry) http.Handler {
			engine := gin.New()
			engine.Use(gingzip.Gzip(gingzip.DefaultCompression))
			shoalgin.Install(engine, reg, shoalgin.Opts{})
			return engine
		},
	}
	maps.Copy(ways, echoV5Compressors)
	for name, wrap := range around(t) {
		ways[name+" around the mux"] = func(reg *shoal.Registry) http.Handler {
			return shoalhttp.Install(http.NewServeMux(), reg, shoalhttp.Opts{}, wrap)
		}
		ways[name+" in chi, before Install"] = func(reg *shoal.Registry) http.Handler {
			router := chi.NewRouter()
			router.Use(wrap)
			shoalchi.Install(router, reg, shoalchi.Opts{})
			router.Get("/", func(http.ResponseWriter, *http.Request) {})
			return router
		}
		ways[name+" in chi, after Install"] = func(reg *shoal.Registry) http.Handler {
			router := chi.NewRouter()
			shoalchi.Install(router, reg, shoalchi.Opts{})
			router.Use(wrap)
			router.Get("/", func(http.ResponseWriter, *http.Request) {})
			return router
		}
		for _, f := range frameworks {
			ways[name+" around "+f.name] = func(reg *shoal.Registry) http.Handler {
				return wrap(f.build(reg, httpmetrics.Opts{}, []route{{"GET", "/", text("ok")}}))
			}
		}
	}
	return ways
}

// fetch asks for the page, and decompresses it once if the header says that it is gzipped.
func fetch(t *testing.T, h http.Handler, method, accept string) (status int, header http.Header, body string) {
	t.Helper()
	server := httptest.NewServer(h)
	defer server.Close()
	req, err := http.NewRequestWithContext(t.Context(), method, server.URL+"/metrics", nil)
	if err != nil {
		t.Fatal(err)
	}
	if accept != "" {
		req.Header.Set("Accept-Encoding", accept)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DisableCompression: true}}
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	sent, err := io.ReadAll(res.Body) // fails if Content-Length says more
	if err != nil {
		t.Fatalf("reading %v: %v", res.Header, err)
	}
	if length := res.Header.Get("Content-Length"); length != "" && method != http.MethodHead && length != strconv.Itoa(len(sent)) {
		t.Errorf("Content-Length is %s, there were %d bytes", length, len(sent))
	}
	body = string(sent)
	switch encodings := res.Header.Values("Content-Encoding"); {
	case len(encodings) > 1 || (len(encodings) == 1 && encodings[0] != "gzip"):
		t.Errorf("the encodings are %q", encodings)
	case len(encodings) == 1 && len(sent) > 0:
		zip, err := gzip.NewReader(strings.NewReader(body))
		if err != nil {
			t.Fatalf("it is not gzipped, as it says: %v: %.60q", err, body)
		}
		plain, err := io.ReadAll(zip)
		if err != nil {
			t.Fatal(err)
		}
		body = string(plain)
	}
	return res.StatusCode, res.Header, body
}

func TestPage_IsCompressedOnceWhateverCompressesAroundIt(t *testing.T) {
	for name, build := range compressors(t) {
		t.Run(strings.ReplaceAll(name, " ", "_"), func(t *testing.T) {
			h := build(shoaltest.New(t))
			for _, accept := range []string{"gzip", "gzip, deflate, br", "gzip;q=1.0,*;q=0.5", "identity", ""} {
				status, header, body := fetch(t, h, "GET", accept)
				if status != http.StatusOK || !strings.HasPrefix(body, "# HELP ") || !strings.Contains(body, "shoal_instances") {
					t.Errorf("Accept-Encoding %q: %d %v %.60q", accept, status, header, body)
				}
				if !strings.Contains(accept, "gzip") && header.Get("Content-Encoding") != "" {
					t.Errorf("Accept-Encoding %q: it came as %q", accept, header.Get("Content-Encoding"))
				}
				if vary := strings.Join(header.Values("Vary"), ","); strings.Contains(accept, "gzip") &&
					header.Get("Content-Encoding") != "" && strings.Count(vary, "Accept-Encoding") != 1 {
					t.Errorf("Accept-Encoding %q: Vary is %q", accept, vary)
				}
			}
			if status, header, body := fetch(t, h, "HEAD", "gzip"); status != http.StatusOK || body != "" {
				t.Errorf("HEAD: %d %v %.60q", status, header, body)
			}
		})
	}
}

func TestPage_TroubleIsReadableWhateverCompressesAroundIt(t *testing.T) {
	for name, build := range compressors(t) {
		t.Run(strings.ReplaceAll(name, " ", "_"), func(t *testing.T) {
			status, header, body := fetch(t, build(shoal.New()), "GET", "gzip") // not connected
			if status != http.StatusServiceUnavailable || !strings.HasPrefix(body, "shoal: the metrics can't be read") {
				t.Errorf("%d %v %.60q", status, header, body)
			}
		})
	}
}

func TestPage_CompressesItselfWhereNothingElseDoes(t *testing.T) {
	forEach(t, func(t *testing.T, f framework) {
		h := f.build(shoaltest.New(t), httpmetrics.Opts{}, []route{{"GET", "/", text("ok")}})
		for accept, want := range map[string]string{"gzip": "gzip", "identity": "", "": ""} {
			_, header, body := fetch(t, h, "GET", accept)
			if got := header.Get("Content-Encoding"); got != want || !strings.Contains(body, "shoal_instances") ||
				header.Get("Content-Length") == "" || header.Get("Vary") != "Accept-Encoding" {
				t.Errorf("Accept-Encoding %q: %v %.60q", accept, header, body)
			}
		}
	})
}
