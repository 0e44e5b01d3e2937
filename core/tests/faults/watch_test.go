// SPDX-License-Identifier: Apache-2.0

package faults_test

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	shoal "github.com/shoal-metrics/shoal/core"

	"github.com/shoal-metrics/shoal/core/tests/testkit"
)

const (
	scrapeTimeout = 2 * time.Second // Prometheus's
	tooLate       = scrapeTimeout / 5
	scrapeEvery   = 80 * time.Millisecond
	manyAnswers   = 2000 // older answers lose their pages
)

// watch is a Prometheus: it scrapes an exporter and a process of the application by
// turns, since it must not matter which of them answers.
type watch struct {
	targets []*shoal.Registry
	every   time.Duration
	timeout time.Duration // Prometheus's
	stop    chan struct{}
	group   sync.WaitGroup
	begun   time.Time
	delay   *delay

	mu      sync.Mutex
	answers []answer       // guarded by mu
	seen    testkit.Rising // what the last page showed; guarded by mu
	falls   []string       // guarded by mu
	faults  []string       // answers that are invalid or late; guarded by mu
}

// answer is what a scrape got.
type answer struct {
	page   testkit.Page
	reason string // of a 503
	took   time.Duration
	late   time.Duration // the part of took in which the machine was busy with other work
	at     time.Duration // since the watch began
}

// startWatch begins to scrape. It ends with the test.
func startWatch(t *testing.T, d *delay, targets ...*shoal.Registry) *watch {
	return startWatchEvery(t, d, scrapeEvery, scrapeTimeout, targets...)
}

// startWatchEvery is startWatch with other times.
func startWatchEvery(t *testing.T, d *delay, every, timeout time.Duration, targets ...*shoal.Registry) *watch {
	w := &watch{
		targets: targets, every: every, timeout: timeout,
		delay: d, stop: make(chan struct{}), begun: time.Now(), seen: testkit.Rising{},
	}
	w.group.Go(w.run)
	t.Cleanup(w.end)
	return w
}

func (w *watch) run() {
	for i := 0; ; i++ {
		select {
		case <-w.stop:
			return
		case <-time.After(w.every):
			w.scrape(i % len(w.targets))
		}
	}
}

func (w *watch) end() {
	select {
	case <-w.stop:
	default:
		close(w.stop)
	}
	w.group.Wait()
}

func (w *watch) scrape(target int) {
	begin := time.Now()
	rec, took := testkit.Get(w.targets[target], w.timeout)
	a := answer{took: took, at: time.Since(w.begun)}
	body := rec.Body.String()
	var err error
	switch rec.Code {
	case http.StatusOK:
		a.page, err = testkit.Parse(body)
	case http.StatusServiceUnavailable:
		a.reason = strings.TrimPrefix(strings.TrimSpace(body), "shoal: the metrics can't be read: ")
		if a.reason == "" || strings.Contains(body, "# TYPE") {
			err = fmt.Errorf("a 503 gives no reason: %q", body)
		}
	default:
		err = fmt.Errorf("status %d: %s", rec.Code, body)
	}
	a.late = w.delay.since(begin)
	if a.took-a.late >= w.timeout {
		err = errors.Join(err, fmt.Errorf("an answer took %v, Prometheus waits %v", a.took, w.timeout))
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.answers = append(w.answers, a)
	if old := len(w.answers) - manyAnswers; old >= 0 {
		w.answers[old].page = testkit.Page{} // to save memory; no check needs it any more
	}
	if err != nil {
		w.faults = append(w.faults, err.Error())
	}
	if rec.Code == http.StatusOK && err == nil {
		if err := w.seen.Check(a.page); err != nil {
			w.falls = append(w.falls, fmt.Sprintf("%v, target %d: %v", a.at.Round(time.Millisecond), target, err))
		}
	}
}

// mark marks this moment: the checks below take it, and look at later answers.
func (w *watch) mark() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	// A scrape under way began before this moment.
	return len(w.answers) + 1
}

func (w *watch) since(mark int) []answer {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.answers[min(mark, len(w.answers)):]
}

// until waits until check returns nil for the answers since the mark.
func (w *watch) until(t *testing.T, mark int, check func([]answer) error) {
	t.Helper()
	deadline := time.After(testkit.Patience)
	for {
		err := check(w.since(mark))
		if err == nil {
			return
		}
		select {
		case <-deadline:
			t.Fatalf("still after %v: %v", testkit.Patience, err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// eventually waits for a page since the mark for which check returns nil.
func (w *watch) eventually(t *testing.T, mark int, check func(testkit.Page) error) {
	t.Helper()
	next := 0
	last := errors.New("no page was shown")
	w.until(t, mark, func(answers []answer) error {
		for ; next < len(answers); next++ {
			a := answers[next]
			if a.reason != "" {
				last = fmt.Errorf("503: %s", a.reason)
			} else if last = check(a.page); last == nil {
				return nil
			}
		}
		return last
	})
}

// says waits until both targets answer 503 for this reason. Several reasons are separated by |.
func (w *watch) says(t *testing.T, mark int, reason string) {
	t.Helper()
	w.until(t, mark, func(answers []answer) error {
		n, other := 0, ""
		for _, a := range answers {
			if a.reason != "" && slices.ContainsFunc(strings.Split(reason, "|"), func(r string) bool {
				return strings.Contains(a.reason, r)
			}) {
				n++
			} else {
				n, other = 0, a.reason
			}
			if n == len(w.targets) { // consecutive answers are of different targets
				return nil
			}
		}
		return fmt.Errorf("%d answers, and not two in a row were 503 because of %q; another was %q", len(answers), reason, other)
	})
}

// shows waits for n pages since the mark, and fails the test if there was a 503,
// unless the machine was too busy to give a page in time.
func (w *watch) shows(t *testing.T, mark, n int) {
	t.Helper()
	w.until(t, mark, func(answers []answer) error {
		pages := 0
		for _, a := range answers {
			if a.reason == "" {
				pages++
			} else if a.late < tooLate {
				t.Fatalf("a scrape was answered 503: %s", a.reason)
			}
		}
		if pages < n {
			return fmt.Errorf("%d pages in %d answers", pages, len(answers))
		}
		return nil
	})
}

// neverFell fails the test if a page showed a counter lower than before, or if an
// answer was invalid or late.
func (w *watch) neverFell(t *testing.T) {
	t.Helper()
	w.valid(t)
	w.mu.Lock()
	defer w.mu.Unlock()
	for i, f := range w.falls {
		if i == 8 {
			t.Errorf("and %d more", len(w.falls)-i)
			break
		}
		t.Error(f)
	}
}

// valid fails the test if an answer was neither a page nor a 503 with a reason, or was
// too late.
func (w *watch) valid(t *testing.T) {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, f := range w.faults {
		t.Error(f)
	}
	shown, reasons := 0, map[string]int{}
	var slowest time.Duration
	for _, a := range w.answers {
		slowest = max(slowest, a.took)
		if a.reason == "" {
			shown++
		} else {
			reasons[short(a.reason)]++
		}
	}
	t.Logf("%d pages, 503: %v, the slowest answer took %v", shown, reasons, slowest.Round(time.Millisecond))
}

// tellLosses logs what shoal says of itself on the last page.
func (w *watch) tellLosses(t *testing.T) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, a := range slices.Backward(w.answers) {
		if a.page.Text != "" {
			t.Logf("the last page says of shoal itself:\n%s", strings.Join(a.page.Of("shoal_"), "\n"))
			return
		}
	}
}

// forgive allows counters to begin anew, since Redis lost its data.
func (w *watch) forgive() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.seen, w.falls = testkit.Rising{}, nil
}

// short is a reason without the addresses, which differ from one time to the next.
func short(reason string) string {
	if _, rest, found := strings.Cut(reason, `": `); found {
		reason = rest
	}
	words := strings.Fields(reason)
	for i, word := range words {
		if strings.Contains(word, "127.0.0.1:") {
			words[i] = "…"
		}
	}
	text := strings.Join(words, " ")
	if len(text) > 90 {
		text = text[:90] + "…"
	}
	return text
}
