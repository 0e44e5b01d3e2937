// SPDX-License-Identifier: Apache-2.0

// Package testkit is what the tests of all packages share: reading a page of /metrics
// and saying what is to be on it, waiting for something with a deadline, and hearing
// what is reported and logged. The servers for tests are redistest's.
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

// Patience bounds what a test waits for. It is long, since it only matters where a test
// fails, and machines are slow and shared.
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

// Eventually polls until check returns nil, at first each few milliseconds.
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

// EventuallyPage polls a registry's page until check returns nil. One that can't be
// read is tried again.
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

// EventuallyHas polls a registry's page until it shows series with these values: series
// and value by turns.
func EventuallyHas(t testing.TB, reg *shoal.Registry, pairs ...string) {
	t.Helper()
	EventuallyPage(t, reg, func(p Page) error { return p.Has(pairs...) })
}

// Within bounds a call that should not take long.
func Within(t testing.TB) context.Context { return bounded(t, Patience) }

// Shortly bounds a call that is not expected to succeed.
func Shortly(t testing.TB) context.Context { return bounded(t, 200*time.Millisecond) }

func bounded(t testing.TB, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

// Heard collects what is told: to [shoal.Opts.OnError] by Error, to a log or as the
// output of processes by Write, to go-redis's logger by Printf.
type Heard struct {
	mu   sync.Mutex
	told []string // guarded by mu
}

func (h *Heard) add(text string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.told = append(h.told, text)
}

// Error hears an error.
func (h *Heard) Error(err error) { h.add(err.Error() + "\n") }

// Write hears a piece of a text.
func (h *Heard) Write(b []byte) (int, error) {
	h.add(string(b))
	return len(b), nil
}

// Printf hears a line of a log.
func (h *Heard) Printf(_ context.Context, format string, args ...any) {
	h.add(fmt.Sprintf(format, args...) + "\n")
}

// String joins all that was told.
func (h *Heard) String() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return strings.Join(h.told, "")
}

// Of lists what was told, each by itself, and has all the words.
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
