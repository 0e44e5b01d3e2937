// SPDX-License-Identifier: Apache-2.0

// Package testkit is what the tests of all packages share: it reads pages of /metrics
// and checks them, waits with a deadline, and collects reports and logs. Package redistest has
// the servers for tests.
package testkit

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	shoal "github.com/shoal-metrics/shoal/core"
)

// Patience is how long a test waits for something. It is long, since it only matters when a
// test fails, and since machines are slow and shared.
const Patience = 60 * time.Second

// Must fails the test at once if there is an error.
func Must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Check fails the test if there is an error, and goes on.
func Check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Error(err)
	}
}

// Eventually polls until check returns nil, at first every few milliseconds.
func Eventually(t testing.TB, check func() error) {
	t.Helper()
	deadline := time.After(Patience)
	for pause := 2 * time.Millisecond; ; pause = min(pause*3/2, 25*time.Millisecond) {
		err := check()
		if err == nil {
			return
		}
		select {
		case <-deadline:
			t.Fatalf("still after %v: %v", Patience, err)
		case <-time.After(pause):
		}
	}
}

// EventuallyPage polls a registry's page until check returns nil. A page that can't be read is
// tried again.
func EventuallyPage(t testing.TB, reg *shoal.Registry, check func(Page) error) {
	t.Helper()
	Eventually(t, func() error {
		p, err := TryScrape(reg)
		if err != nil {
			return err
		}
		return check(p)
	})
}

// EventuallyHas polls a registry's page until [Page.Has] returns nil.
func EventuallyHas(t testing.TB, reg *shoal.Registry, pairs ...string) {
	t.Helper()
	EventuallyPage(t, reg, func(p Page) error { return p.Has(pairs...) })
}

// Within returns a context for a call that should succeed.
func Within(t testing.TB) context.Context { return bounded(t, Patience) }

// Shortly returns a context for a call that is expected to fail.
func Shortly(t testing.TB) context.Context { return bounded(t, 200*time.Millisecond) }

func bounded(t testing.TB, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

// Heard collects reports and logs: its method Error is for [shoal.Opts.OnError], Write for a
// log or a process's output, Printf for go-redis's logger.
type Heard struct {
	mu   sync.Mutex
	told []string // guarded by mu
}

func (h *Heard) add(text string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.told = append(h.told, text)
}

// Error collects an error.
func (h *Heard) Error(err error) { h.add(err.Error() + "\n") }

// Write collects a piece of text.
func (h *Heard) Write(b []byte) (int, error) {
	h.add(string(b))
	return len(b), nil
}

// Printf collects a line of a log.
func (h *Heard) Printf(_ context.Context, format string, args ...any) {
	h.add(fmt.Sprintf(format, args...) + "\n")
}

// String returns all that was collected.
func (h *Heard) String() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return strings.Join(h.told, "")
}

// Of lists the collected texts that contain all the words.
func (h *Heard) Of(words ...string) (found []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
next:
	for _, text := range h.told {
		for _, word := range words {
			if !strings.Contains(text, word) {
				continue next
			}
		}
		found = append(found, strings.TrimSuffix(text, "\n"))
	}
	return found
}
