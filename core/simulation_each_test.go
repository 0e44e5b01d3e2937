// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"time"

	dto "github.com/prometheus/client_model/go"
)

// checkOwnPage checks the page of one process that is a target:
// the gauges on it are its own. What all processes share is there
// as on any page, or not at all. It reports whether it is there.
func (w *world) checkOwnPage(p *proc, start snapshot, families map[string]*dto.MetricFamily) (shared bool) {
	s := newShown(w, families)
	for index, v := range s.gauges["level"] {
		if owner := w.procs[int(v)/1000-1]; owner != p {
			w.violated("the page of %v alone shows the gauges of %v, with the index %s", p, owner, index)
		}
	}
	if n := len(s.gauges["shoal_instance_info"]); n != 1 {
		w.violated("the page of %v alone shows %d processes", p, n)
	}
	if families["shoal_instances"] == nil {
		for name, f := range families {
			if f.GetType() != dto.MetricType_GAUGE || name == "load" || name == "last" || name == openFamily {
				w.violated("the page of %v alone shows %s, and not all that processes share", p, name)
			}
		}
		w.checkGauges(p, start, s)
		return false
	}
	w.checkPage(p, start, s)
	return true
}

// checkSenior wants the shared families on exactly one process's page, once all are asked for
// theirs and the leases of the dead have expired.
func (w *world) checkSenior() {
	for end := time.Now().Add(6 * w.plan.opts.LeaseDuration); ; {
		shared, living := 0, 0
		var err error
		for _, p := range w.procs {
			if p.readOnly || p.life != alive {
				continue
			}
			living++
			w.mu.Lock()
			start := w.snapshot()
			w.mu.Unlock()
			families, failed := p.ownPage()
			if failed != nil {
				err = failed
				continue
			}
			w.locked(func() {
				if w.checkOwnPage(p, start, families) {
					shared++
				}
			})
		}
		switch {
		case shared > 1:
			w.locked(func() { w.violated("%d processes show the shared families", shared) })
			return
		case shared == 1 && err == nil, living == 0:
			return
		case time.Now().After(end):
			w.locked(func() { w.violated("%d of %d processes show the shared families; %v", shared, living, err) })
			return
		}
		w.pass(w.plan.opts.LeaseDuration / 4)
	}
}
