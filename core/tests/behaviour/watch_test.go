// SPDX-License-Identifier: Apache-2.0

package behaviour_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// watch scrapes an app's processes by turns, all the while, and remembers the
// first page that was not valid, or on which something fell that only rises.
type watch struct {
	client http.Client

	mu    sync.Mutex
	urls  []string           // guarded by mu
	rises map[string]float64 // what only rises, as last seen; guarded by mu
	helps []string           // each of took_seconds that was not that of the page before; guarded by mu
	pages int                // guarded by mu
	err   error              // the first; guarded by mu
}

// startWatch starts to watch. It ends with the test.
func startWatch(t *testing.T) *watch {
	w := &watch{rises: map[string]float64{}, client: http.Client{Transport: &http.Transport{DisableKeepAlives: true}}}
	ctx, cancel := context.WithCancel(context.Background())
	var group sync.WaitGroup
	group.Go(func() {
		for i := 0; ctx.Err() == nil; i++ {
			w.once(ctx, i)
		}
	})
	t.Cleanup(func() {
		cancel()
		group.Wait()
	})
	return w
}

// once scrapes one of the processes. They change only between two scrapes.
func (w *watch) once(ctx context.Context, i int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.urls) == 0 || w.err != nil {
		w.mu.Unlock()
		select {
		case <-ctx.Done():
		case <-time.After(time.Millisecond):
		}
		w.mu.Lock()
		return
	}
	url := w.urls[i%len(w.urls)]
	p, err := w.fetch(ctx, url)
	if ctx.Err() != nil {
		return
	}
	if err == nil {
		err = w.compare(p)
	}
	w.pages++
	if err != nil {
		w.err = fmt.Errorf("page %d, from %s: %w", w.pages, url, err)
	}
}

func (w *watch) fetch(ctx context.Context, url string) (page, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return page{}, err
	}
	res, err := w.client.Do(req)
	if err != nil {
		return page{}, err
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return page{}, err
	}
	if res.StatusCode != http.StatusOK {
		return page{}, fmt.Errorf("status %d: %s", res.StatusCode, text)
	}
	return parsePage(string(text))
}

// compare returns an error if something fell or vanished since the page before,
// whoever served that. Buckets come and go with the bounds that are shown; one
// that is back has at least what it had.
func (w *watch) compare(p page) error {
	now := p.rising()
	for series, before := range w.rises {
		v, shown := now[series]
		switch {
		case !shown && !strings.HasSuffix(familyOf(series), "_bucket"):
			return fmt.Errorf("%s has vanished, it was %v:\n%s", series, before, p.users())
		case shown && v < before:
			return fmt.Errorf("%s fell from %v to %v", series, before, v)
		}
	}
	for series, v := range now {
		w.rises[series] = v
	}
	for line := range strings.Lines(p.text) {
		help, ok := strings.CutPrefix(line, "# HELP took_seconds ")
		if ok && (len(w.helps) == 0 || w.helps[len(w.helps)-1] != help) {
			w.helps = append(w.helps, help)
		}
	}
	return nil
}

// rising is every series of the page that never falls: counters, buckets,
// counts, and sums, since nobody observes a negative number here.
func (p page) rising() map[string]float64 {
	kinds := map[string]string{}
	for line := range strings.Lines(p.text) {
		if words := strings.Fields(line); len(words) == 4 && words[1] == "TYPE" {
			kinds[words[2]] = words[3]
		}
	}
	all := map[string]float64{}
	for series := range p.samples {
		name := familyOf(series)
		kind := kinds[name]
		for _, suffix := range []string{"_bucket", "_count", "_sum"} {
			if base, ok := strings.CutSuffix(name, suffix); ok && kind == "" {
				kind = kinds[base]
			}
		}
		if kind == "counter" || kind == "histogram" || kind == "summary" {
			all[series], _ = p.value(series)
		}
	}
	return all
}

// add has another process asked, or takes one off where gone is set.
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

// more waits until so many more pages were read, and fails the test if
// something is wrong with one.
func (w *watch) more(t *testing.T, pages int) {
	t.Helper()
	want := -1
	eventually(t, func() error {
		w.mu.Lock()
		defer w.mu.Unlock()
		if want < 0 {
			want = w.pages + pages
		}
		if w.err == nil && w.pages < want {
			return fmt.Errorf("%d pages of %d", w.pages, want)
		}
		return nil
	})
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err != nil {
		t.Fatal(w.err)
	}
}

// same reads the page of every process, while nothing is written, and returns
// it. The test fails if they differ in more than shoal's own metrics, or if
// promtool finds fault.
func (w *watch) same(t *testing.T) page {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	var first page
	for i, url := range w.urls {
		p, err := w.fetch(t.Context(), url)
		if err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			first = p
		} else if p.users() != first.users() {
			t.Errorf("two processes serve\n%s\nand\n%s", first.users(), p.users())
		}
	}
	valid(t, first)
	return first
}

// valid has promtool look at a page.
func valid(t *testing.T, p page) {
	t.Helper()
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		t.Fatal("promtool is missing: install Prometheus (Debian: apt-get install prometheus), or run make deps")
	}
	cmd := exec.Command(promtool, "check", "metrics")
	cmd.Stdin = strings.NewReader(p.text)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("promtool: %v\n%s\n%s", err, out, p.users())
	}
}
