// SPDX-License-Identifier: Apache-2.0

package page

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoal-metrics/shoal/core/internal/wire"
)

// redis is what a head tells of an app.
type redis struct {
	lineage  string        // as Redis tells it
	recorded string        // by writers
	since    time.Duration // how long ago they recorded a change; 0 for never, negative if it is in the future
	leases   string        // words: a writer, ":", and the lineage that it has verified, "?" while it verifies
	families string        // words: a name, ":", and its generation
	age      time.Duration // of the families
}

func (r redis) head() wire.Head {
	now := time.Now()
	head := wire.Head{Lineage: r.lineage, App: wire.AppState{Now: now, Lineage: r.recorded}}
	if r.since != 0 {
		head.App.Since = now.Add(-r.since)
	}
	for word := range strings.FieldsSeq(r.leases) {
		writer, lineage, _ := strings.Cut(word, ":")
		head.App.Leases = append(head.App.Leases, wire.Lease{
			Writer: writer, Lineage: strings.TrimSuffix(lineage, "?"), Unverified: strings.HasSuffix(lineage, "?"),
		})
	}
	for word := range strings.FieldsSeq(r.families) {
		name, generation, _ := strings.Cut(word, ":")
		head.App.Families = append(head.App.Families, name)
		head.States = append(head.States, wire.FamilyState{Generation: generation, Created: now.Add(-r.age).UnixMicro()})
	}
	return head
}

func TestRecovery_HoldsPagesBackWhileTheyMayLackSomethingAndNoLonger(t *testing.T) {
	type reading struct {
		redis
		after time.Duration // the reading before
		waits string        // for what and why; empty if the page is shown
		lacks string        // what a page that is shown may lack
	}
	const s = time.Second
	both := redis{"A", "A", 0, "a:A b:A", "c:1 d:1", 0}
	own := &Held{Writer: "a", Generations: map[string]string{"c": "1"}}
	for name, tt := range map[string]struct {
		held     *Held
		readings []reading
	}{
		"a first start, more processes, and their end": {nil, []reading{
			{redis: redis{lineage: "A"}},
			{redis: redis{"A", "A", 0, "a:A", "c:1", 0}, after: s},
			{redis: both, after: s},
			{redis: redis{"A", "A", 0, "b:A", "c:1 d:1", 0}, after: s},
			{redis: redis{"A", "A", 0, "", "c:1 d:1", 0}, after: s},
		}},
		"a lineage that is not told, or later": {nil, []reading{
			{redis: redis{"", "", 0, "a:", "c:1", 0}},
			{redis: redis{"A", "", 0, "a:", "c:1", 0}, after: s},
		}},
		"a failover": {nil, []reading{
			{redis: both},
			{redis: redis{"B", "A", 0, "a:A b:A", "c:1 d:1", 0}, after: s,
				waits: "Redis restarted or failed over; waiting up to 30 s more for 2 of 2 processes to bring back what it may lack"},
			{redis: redis{"B", "B", s, "a:B b:A", "c:1 d:1", 0}, after: 2 * s,
				waits: "Redis restarted or failed over 1 s ago; waiting up to 28 s more for 1 of 2 processes to bring back what it may lack"},
			{redis: redis{"B", "B", 2 * s, "a:B b:B", "c:1 d:1", 0}, after: s,
				waits: "Redis restarted or failed over 2 s ago; waiting 4 s more for processes whose lease was lost to return"},
			{redis: redis{"B", "B", 6 * s, "a:B b:B", "c:1 d:1", 0}, after: 4 * s},
		}},
		"a failover, and a process that never confirms": {nil, []reading{
			{redis: redis{"B", "B", s, "a:B b:A", "c:1", 0},
				waits: "Redis restarted or failed over 1 s ago; waiting up to 29 s more for 1 of 2 processes to bring back what it may lack"},
			{redis: redis{"B", "B", 29 * s, "a:B b:A", "c:1", 0}, after: 28 * s,
				waits: "Redis restarted or failed over 29 s ago; waiting up to 1 s more for 1 of 2 processes to bring back what it may lack"},
			{redis: redis{"B", "B", 31 * s, "a:B b:A", "c:1", 0}, after: 2 * s, lacks: "1 of 2 processes have"},
		}},
		"a failover, and processes that died": {nil, []reading{
			{redis: redis{"B", "A", 0, "a:A", "c:1", 0},
				waits: "Redis restarted or failed over; waiting up to 30 s more for 1 of 1 processes to bring back what it may lack"},
			{redis: redis{"B", "A", 0, "", "c:1", 0}, after: s,
				waits: "Redis restarted or failed over; waiting 6 s more for processes whose lease was lost to return"},
			{redis: redis{"B", "A", 0, "", "c:1", 0}, after: 6 * s},
		}},
		"a clock that was set back": {nil, []reading{
			{redis: redis{"B", "B", -time.Hour, "a:B", "c:1", 0}},
		}},
		"a loss that a process has noticed": {nil, []reading{
			{redis: both},
			{redis: redis{"A", "A", 0, "a:? b:A", "c:1 d:1", 0}, after: s,
				waits: "Redis has lost something; waiting up to 30 s more for 1 of 2 processes to bring back what it may lack"},
			{redis: both, after: s},
		}},
		"a loss of this process": {own, []reading{
			{redis: both},
			{redis: redis{"A", "A", 0, "a:A b:A", "d:1", 0}, after: s,
				waits: "Redis has lost something; waiting up to 30 s more for this process to bring back what is its own"},
			{redis: redis{"A", "A", 0, "b:A", "c:1 d:1", 0}, after: s, // its lease
				waits: "Redis has lost something; waiting up to 29 s more for this process to bring back what is its own"},
			{redis: redis{"A", "A", 0, "a:A b:A", "c:2 d:1", 0}, after: 29 * s, lacks: "this process has"},
			{redis: both, after: s},
		}},
		"everything is lost": {nil, []reading{
			{redis: both},
			{redis: redis{lineage: "A"}, after: s,
				waits: "Redis lost everything of this app 1 s ago; waiting up to 7 s more for 2 of 2 processes to return"},
			{redis: redis{"A", "A", 0, "a:A", "c:2", s}, after: 2 * s,
				waits: "Redis lost everything of this app 2 s ago; waiting up to 5 s more for 1 of 2 processes to return"},
			{redis: redis{"A", "A", 0, "a:A b:A", "c:2 d:2", s}, after: s},
		}},
		"everything is lost, and a process does not return": {nil, []reading{
			{redis: both},
			{redis: redis{"A", "A", 0, "a:A", "c:2 d:2", 0}, after: s,
				waits: "Redis lost everything of this app 1 s ago; waiting up to 7 s more for 1 of 2 processes to return"},
			{redis: redis{"A", "A", 0, "a:A", "c:2 d:2", 0}, after: 7 * s},
		}},
		"everything is lost, and nobody lives": {nil, []reading{
			{redis: both},
			{redis: redis{lineage: "A"}, after: s,
				waits: "Redis lost everything of this app 1 s ago; waiting up to 7 s more for 2 of 2 processes to return"},
			{redis: redis{lineage: "A"}, after: 7 * s},
		}},
		"all but the leases is lost": {nil, []reading{
			{redis: both},
			{redis: redis{"A", "A", 0, "a:A b:A", "c:2", 0}, after: s,
				waits: "Redis lost everything of this app 1 s ago; waiting up to 30 s more for 1 metrics to come back"},
			{redis: redis{"A", "A", 0, "a:A b:A", "c:2 d:2", 0}, after: s},
		}},
		"all but the leases was lost long ago": {nil, []reading{
			{redis: both},
			{redis: redis{"A", "A", 0, "a:A", "c:2", 50 * s}, after: 60 * s},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := recovery{lease: 15 * s, grace: 7 * s}
				for i, reading := range tt.readings {
					time.Sleep(reading.after)
					heard, waits, lacks := newCounts(), "", ""
					if err := r.check(reading.head(), time.Now(), tt.held, heard); err != nil {
						waits = strings.TrimPrefix(err.Error(), "recovering: ")
					}
					for _, err := range heard.unconfirmed {
						lacks = err.Error()
					}
					if waits != reading.waits || !strings.Contains(lacks, reading.lacks) || (lacks == "") != (reading.lacks == "") {
						t.Errorf("reading %d: %q and %q, want %q and %q", i, waits, lacks, reading.waits, reading.lacks)
					}
				}
			})
		})
	}
}
