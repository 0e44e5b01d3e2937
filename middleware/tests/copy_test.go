// SPDX-License-Identifier: Apache-2.0

package tests

import (
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/shoal-metrics/shoal/core/httpmetrics"
)

// source gives n bytes and then calls then. It has no WriteTo, nor anything else that
// io.Copy looks for.
type source struct {
	n    int
	then func() error
}

func (s *source) Read(b []byte) (int, error) {
	if s.n == 0 {
		return 0, s.then()
	}
	n := min(s.n, len(b))
	for i := range b[:n] {
		b[i] = 'x'
	}
	s.n -= n
	return n, nil
}

// writingSource writes by itself, as io.Copy prefers.
type writingSource struct{ source }

func (s *writingSource) WriteTo(w io.Writer) (n int64, err error) {
	for b := make([]byte, 1000); ; {
		read, err := s.Read(b)
		if err != nil {
			return n, err
		}
		written, _ := w.Write(b[:read])
		n += int64(written)
	}
}

var ways = map[string]func() error{
	"panics":              func() error { panic("no more") },
	"ends its goroutine":  func() error { runtime.Goexit(); return nil },
	"fails":               func() error { return errors.New("no more") },
	"aborts the response": func() error { panic(http.ErrAbortHandler) },
}

// Whatever a source does at its end, what was sent before is recorded, as with Write.
func TestCopy_ASourceThatBreaksIsTheStatusAndTheBytesThatWereSent(t *testing.T) {
	copies := map[string]func(w http.ResponseWriter, src *source){
		"Copy":       func(w http.ResponseWriter, src *source) { _, _ = io.Copy(w, src) },
		"CopyN":      func(w http.ResponseWriter, src *source) { _, _ = io.CopyN(w, src, 300_000) },
		"CopyBuffer": func(w http.ResponseWriter, src *source) { _, _ = io.CopyBuffer(w, src, make([]byte, 10)) },
		"WriterTo":   func(w http.ResponseWriter, src *source) { _, _ = io.Copy(w, &writingSource{*src}) },
	}
	for name, way := range ways {
		for how, with := range copies {
			t.Run(strings.ReplaceAll(how+" of a source that "+name, " ", "_"), func(t *testing.T) {
				forEach(t, func(t *testing.T, f framework) {
					s := newSite(t, f, httpmetrics.Opts{ResponseSize: true}, route{"GET", "/body", func(w http.ResponseWriter, _ *http.Request) {
						with(w, &source{200_000, way})
					}})
					s.do("GET", "/body", nil)
					s.finish()
					s.wantOnly("GET", "/body", "200")
					s.wantSize("GET", "/body", "200", 200_000)
				})
			})
		}
	}
}

func TestCopy_ASourceThatBreaksAtOnceHasSentNothing(t *testing.T) {
	for name, way := range ways {
		t.Run(strings.ReplaceAll(name, " ", "_"), func(t *testing.T) {
			forEach(t, func(t *testing.T, f framework) {
				s := newSite(t, f, httpmetrics.Opts{ResponseSize: true}, route{"GET", "/body", func(w http.ResponseWriter, _ *http.Request) {
					if _, err := io.Copy(w, &source{0, way}); err != nil {
						http.Error(w, "no source", http.StatusInternalServerError)
					}
				}})
				s.do("GET", "/body", nil)
				s.finish()
				s.wantOnly("GET", "/body", "500")
			})
		})
	}
}

func TestCopy_AStatusBeforeItIsKept(t *testing.T) {
	forEach(t, func(t *testing.T, f framework) {
		s := newSite(t, f, httpmetrics.Opts{ResponseSize: true}, route{"GET", "/body", func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusPartialContent)
			_, _ = io.WriteString(w, "12345")
			_, _ = io.Copy(w, &source{2000, ways["panics"]})
		}})
		s.do("GET", "/body", nil)
		s.finish()
		s.wantOnly("GET", "/body", "206")
		s.wantSize("GET", "/body", "206", 2005)
	})
}

// A file is sent by the kernel, all of it and a part.
func TestCopy_OfAFileIsCounted(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte(strings.Repeat("x", 100_000)), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, with := range map[string]struct {
		copy func(w http.ResponseWriter, r *http.Request, file *os.File)
		want float64
	}{
		"all":       {func(w http.ResponseWriter, _ *http.Request, file *os.File) { _, _ = io.Copy(w, file) }, 100_000},
		"a part":    {func(w http.ResponseWriter, _ *http.Request, file *os.File) { _, _ = io.CopyN(w, file, 70_000) }, 70_000},
		"as a file": {func(w http.ResponseWriter, r *http.Request, file *os.File) { http.ServeFile(w, r, file.Name()) }, 100_000},
	} {
		t.Run(strings.ReplaceAll(name, " ", "_"), func(t *testing.T) {
			forEach(t, func(t *testing.T, f framework) {
				s := newSite(t, f, httpmetrics.Opts{ResponseSize: true}, route{"GET", "/body", func(w http.ResponseWriter, r *http.Request) {
					file, err := os.Open(path)
					if err != nil {
						t.Error(err)
						return
					}
					defer func() { _ = file.Close() }()
					with.copy(w, r, file)
				}})
				s.do("GET", "/body", nil)
				s.finish()
				s.wantOnly("GET", "/body", "200")
				s.wantSize("GET", "/body", "200", with.want)
			})
		})
	}
}
