// SPDX-License-Identifier: Apache-2.0

package behaviour_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/shoal-metrics/shoal/core/tests/testkit"
)

// watch scrapes an app's processes one after the other, without a pause, and remembers the
// first page that was invalid or on which a counter fell.
type watch struct {
	mu    sync.Mutex
	urls  []string       // guarded by mu
	rises testkit.Rising // guarded by mu
	helps []string       // the help texts of took_seconds, one more at each change; guarded by mu
	pages int            // guarded by mu
	err   error          // the first; guarded by mu
}

// startWatch starts to watch. It ends with the test.
func startWatch(t *testing.T) *watch {
	w := &watch{rises: testkit.Rising{}}
	ctx, cancel := context.WithCancel(context.Background())
	var group sync.WaitGroup
	group.Go(func() {
		for i := 0; ctx.Err() == nil; i++ {
			if !w.once(ctx, i) {
				<-time.After(time.Millisecond)
			}
		}
	})
	t.Cleanup(func() {
		cancel()
		group.Wait()
	})
	return w
}

// once scrapes one of the processes, if there is one. Processes are added and removed only
// between two scrapes.
func (w *watch) once(ctx context.Context, i int) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.urls) == 0 || w.err != nil {
		return false
	}
	url := w.urls[i%len(w.urls)]
	p, err := testkit.Fetch(ctx, url)
	if ctx.Err() != nil {
		return false
	}
	if err == nil {
		err = w.rises.Check(p)
	}
	if help := helpOf(p, "took_seconds"); len(w.helps) == 0 || w.helps[len(w.helps)-1] != help {
		w.helps = append(w.helps, help)
	}
	w.pages++
	if err != nil {
		w.err = fmt.Errorf("page %d, from %s: %w:\n%s", w.pages, url, err, p.Users())
	}
	return true
}

// helpOf is the help of a family on a page.
func helpOf(p testkit.Page, family string) string {
	_, rest, _ := strings.Cut(p.Text, "# HELP "+family+" ")
	help, _, _ := strings.Cut(rest, "\n")
	return help
}

func (w *watch) add(url string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.urls = append(w.urls, url)
}

func (w *watch) remove(url string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.urls = slices.DeleteFunc(w.urls, func(u string) bool { return u == url })
}

// forget calls vanish, which removes a family from the pages, and allows that.
func (w *watch) forget(family string, vanish func() error) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for series := range w.rises {
		if strings.HasPrefix(series, family) {
			delete(w.rises, series)
		}
	}
	return vanish()
}

// more waits until so many more pages are read, and fails the test if
// one of them is wrong.
func (w *watch) more(t *testing.T, pages int) {
	t.Helper()
	want := -1
	testkit.Eventually(t, func() error {
		w.mu.Lock()
		defer w.mu.Unlock()
		if want < 0 {
			want = w.pages + pages
		}
		testkit.Must(t, w.err)
		if w.pages < want {
			return fmt.Errorf("%d pages of %d", w.pages, want)
		}
		return nil
	})
}

// same reads the page of every process, while nothing is written, and returns the
// first. The test fails if they differ in more than shoal's own metrics, or if
// promtool reports an error.
func (w *watch) same(t *testing.T) (first testkit.Page) {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	for i, url := range w.urls {
		p, err := testkit.Fetch(t.Context(), url)
		testkit.Must(t, err)
		if i == 0 {
			first = p
		} else if p.Users() != first.Users() {
			t.Errorf("two processes serve\n%s\nand\n%s", first.Users(), p.Users())
		}
	}
	first.Valid(t)
	return first
}
