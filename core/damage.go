// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/shoal-metrics/shoal/core/internal/wire"
)

// damage gathers what is found damaged in Redis. Anybody who can write the app's keys
// may damage any number of values, so each sort of damage is one kind of trouble,
// which names the first few metrics.
type damage struct {
	mu    sync.Mutex
	found [damageSorts]finding // guarded by mu
}

const (
	valuesOmitted   = iota // by a page, which finds them again the next time
	familiesOmitted        // likewise
	valuesReplaced         // by a commit, which does not find them again
	keysReplaced           // what shoal does not write, by a script that needed its place
	namesTaken             // by another type; each registration finds them again
	damageSorts
)

// damageText begins the report of each sort, and is its kind.
var damageText = [damageSorts]string{
	valuesOmitted:   "stored values that are not readable and omitted from the page",
	familiesOmitted: "metrics that are omitted from the page",
	valuesReplaced:  "stored values that were not readable and were replaced",
	keysReplaced:    "replaced in Redis, as shoal does not write it (who else can write the keys of this app?)",
	namesTaken:      "metrics that are withheld, since another process has registered their names with another type",
}

// maxNamed bounds how many metrics a report names.
const maxNamed = 10

// finding is damage of one sort.
type finding struct {
	sort   int
	n      int
	names  []string // of the first metrics, as stored
	others bool     // there are more
	first  error    // what is wrong with the first; nil if there is no more to say
}

func (d *damage) add(sort int, name string, n int, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f := &d.found[sort]
	if f.n == 0 {
		f.sort, f.first = sort, err
	}
	f.n += n
	switch {
	case slices.Contains(f.names, name):
	case len(f.names) == maxNamed:
		f.others = true
	default:
		f.names = append(f.names, name)
	}
}

// take returns what was found of a sort, and forgets it.
func (d *damage) take(sort int) finding {
	d.mu.Lock()
	defer d.mu.Unlock()
	f := d.found[sort]
	d.found[sort] = finding{}
	return f
}

// putBack makes what could not be reported part of the next report.
func (d *damage) putBack(f finding) {
	d.mu.Lock()
	defer d.mu.Unlock()
	later := d.found[f.sort]
	f.n, f.others = f.n+later.n, f.others || later.others
	for _, name := range later.names {
		if !slices.Contains(f.names, name) && len(f.names) < maxNamed {
			f.names = append(f.names, name)
		}
	}
	d.found[f.sort] = f
}

func (f finding) err() error {
	if f.sort == namesTaken && f.n == 1 {
		return f.first
	}
	names := make([]string, len(f.names))
	for i, name := range f.names {
		if names[i] = name; f.sort != keysReplaced { // keysReplaced has words of our own
			names[i] = wire.QuoteName(name)
		}
	}
	text := fmt.Sprintf("shoal: %s: %d (%s", damageText[f.sort], f.n, strings.Join(names, ", "))
	if f.others {
		text += " and others"
	}
	if f.first == nil {
		return errors.New(text + ")")
	}
	return fmt.Errorf("%s); the first, of %s: %w", text, names[0], f.first)
}

// taken notes that another type holds the name of a family.
func (r *Registry) taken(f *family) { r.damage.add(namesTaken, f.def.name, 1, f.out.refused) }

// replaced counts stored values that were not readable and that a commit replaced.
func (r *Registry) replaced(f *family, n int) {
	r.self.corrupt.Add(float64(n))
	r.damage.add(valuesReplaced, f.def.name, n, nil)
}

// mended counts what was in the app's keys that shoal does not write, and was replaced.
func (r *Registry) mended(where string, n int) {
	r.self.corrupt.Add(float64(n))
	r.damage.add(keysReplaced, where, n, nil)
}

// tellDamage reports the damage of these sorts that was found since the last time. Damage that
// was replaced is not found again: if it can't be reported now, it is part of the next report.
func (r *Registry) tellDamage(sorts ...int) {
	for _, sort := range sorts {
		f := r.damage.take(sort)
		if f.n == 0 {
			continue
		}
		if told := r.reportIf(damageText[sort], f.err); !told && (sort == valuesReplaced || sort == keysReplaced) {
			r.damage.putBack(f)
		}
	}
}

// pageObserver counts and reports what pages omit, and how scrapes end.
type pageObserver struct{ reg *Registry }

func (o pageObserver) OmittedValues(name string, n int, err error) {
	o.omitted(valuesOmitted, o.reg.self.corrupt, name, n, err)
}

func (o pageObserver) OmittedFamilies(name string, n int, err error) {
	o.omitted(familiesOmitted, o.reg.self.omittedFamilies, name, n, err)
}

func (o pageObserver) omitted(sort int, counter *Counter, name string, n int, err error) {
	counter.Add(float64(n))
	o.reg.damage.add(sort, name, n, err)
}

func (o pageObserver) Unconfirmed(err error) {
	o.reg.self.unconfirmed.Inc()
	o.reg.report("unconfirmed", err)
}

func (o pageObserver) ReadingEnded(took time.Duration) {
	o.reg.tellDamage(valuesOmitted, familiesOmitted)
	o.reg.self.scrapeDuration.Observe(took.Seconds())
}

func (o pageObserver) ScrapesFailed(hasty int, err error) {
	if hasty > 0 {
		o.reg.self.scrapeFailures.Add(float64(hasty))
	}
	if err != nil {
		o.reg.scrapeFails(err)
	}
}
