// SPDX-License-Identifier: Apache-2.0

package mutants

// mutant is one mistake, and how the simulation notices it.
type mutant struct {
	name   string
	breaks string // what goes wrong
	edits  []edit
	// noticed matches the violation that the simulation must report.
	noticed string
	// removal says that only seeds in which idle series are removed can notice it.
	removal bool
}

// edit replaces a text that is in the file exactly once. The shorter the text, the fewer
// changes of the core's code affect it.
type edit struct {
	file     string // below core
	old, new string
}

var mutants = []mutant{
	// The reader shows what it must not.
	{
		name:    "recovery-removed",
		breaks:  "pages are shown while the store may lack something",
		edits:   []edit{{"internal/page/recovery.go", "	if r.emptied.notice(", "	if head.App.Lineage != \"\" {\n		return nil\n	}\n	if r.emptied.notice("}},
		noticed: `was shown before the store stepped back`,
	},
	{
		name:    "own-loss-not-noticed",
		breaks:  "a page is shown although the store lacks what its process had there",
		edits:   []edit{{"internal/page/held.go", "	if h == nil {", "	if h == nil || h.Writer != \"\" {"}},
		noticed: `shows nothing of`,
	},
	{
		name:    "each-candidate-is-senior",
		breaks:  "every process that is scraped shows the shared families on its own page",
		edits:   []edit{{"internal/page/seniority.go", "l.Stamp < eldest.Stamp)", "l.Writer == process)"}},
		noticed: `processes show the shared families`,
	},
	{
		name:    "candidates-get-no-stamp",
		breaks:  "no process shows the shared families on its own page",
		edits:   []edit{{"internal/memstore/seniority.go", "case !req.Candidate:", "case !req.Candidate || a != nil:"}},
		noticed: `of \d+ processes show the shared families`,
	},
	{
		name:    "lineage-not-read-again",
		breaks:  "what is read while the store steps back is shown",
		edits:   []edit{{"internal/page/read.go", "after != head.Lineage {", "after != head.Lineage && len(head.App.Leases) == 0 {"}},
		noticed: `was shown before the store stepped back|though .* was stored before|was ever added`,
	},
	{
		name:    "changes-since-a-cut-scan-ignored",
		breaks:  "a scan that was cut goes on, and what changed meanwhile is not taken in",
		edits:   []edit{{"internal/page/values.go", "if changed := v.later[i]; changed != nil {", "if changed := v.later[i]; changed != nil && f == nil {"}},
		noticed: `though .* was stored before`,
	},
	{
		name:    "values-of-a-cut-scan-shown",
		breaks:  "the values that an earlier reading scanned are shown",
		edits:   []edit{{"internal/page/values.go", "if scan.earlier {", "if scan.earlier && f == nil {"}},
		noticed: `though .* was stored before`,
	},
	{
		name:    "index-kept-over-a-step-back",
		breaks:  "the series of another lineage are remembered",
		edits:   []edit{{"internal/page/index.go", "known != nil && x.lineage == lineage {", "known != nil {"}},
		noticed: `though .* was stored before`,
	},
	{
		name:    "added-series-left-out",
		breaks:  "series that came are not added to those that are remembered",
		edits:   []edit{{"internal/page/changes.go", "	known, added, ok := s.locate(changed)\n", "	known, added, ok := s.locate(changed)\n	added = nil\n"}},
		noticed: `though .* was stored before`,
	},
	{
		name:    "log-lacks-what-came",
		breaks:  "the log of changes does not name the series that came",
		edits:   []edit{{"internal/memstore/family.go", "slices.Concat(d.went, d.came, earlier)", "slices.Concat(d.went, earlier)"}},
		noticed: `though .* was stored before`,
	},
	{
		name:    "log-lacks-earlier-starts",
		breaks:  "the log of changes does not name the series whose start moved back",
		edits:   []edit{{"internal/memstore/family.go", "slices.Concat(d.went, d.came, earlier)", "slices.Concat(d.went, d.came)"}},
		noticed: `start`,
	},
	{
		name:    "log-followed-by-numbers",
		breaks:  "the log of changes is followed by its numbers alone, over a step back",
		edits:   []edit{{"internal/memstore/changes.go", "e.before.String() != since", "e.own.count != n+1"}},
		noticed: `was stored before`,
	},
	{
		name:    "log-read-and-ignored",
		breaks:  "a family that was remembered takes the present version, and not what the log names",
		edits:   []edit{{"internal/page/values.go", "known.after(f.state.SeriesVersion, reply.Fields)", "known.after(f.state.SeriesVersion, nil)"}},
		noticed: `though .* was stored before`,
	},
	{
		name:   "scrape-joins-a-reading-begun",
		breaks: "a scrape shares a reading that began before it",
		edits: []edit{{"internal/page/reader.go", "		r.next = nil\n", `
		if job != nil {
			select {
			case <-job.done:
				r.next, job = nil, nil
			default:
			}
		}
`}},
		noticed: `though .* was stored before`,
	},

	// The writer sends twice, other than before, or not at all.
	{
		name:   "batch-rebuilt-on-retry",
		breaks: "what gathered meanwhile is put into the batch that is sent again",
		edits: []edit{{"flushrun.go", "		for i, b := range o.queue {\n", `
		if before := len(o.queue); !f.frozen {
			if err := w.freeze(f.family); err != nil {
				r.fail(f, err)
				continue
			}
			f.frozen = true
			for _, b := range o.queue[before:] {
				o.queue[before-1].ops = append(o.queue[before-1].ops, b.ops...)
			}
			o.queue = o.queue[:before]
			o.newest = o.queue[before-1].seq
		}
		for i, b := range o.queue {
`}},
		noticed: `sends batch \d+ of \S+ again with other contents`,
	},
	{
		name:    "doubt-kept-over-an-orphan",
		breaks:  "batches in doubt are sent again to a generation that may have them, under lost numbers",
		edits:   []edit{{"outbox.go", "	case r.Orphan:\n		o.dropDoubtful()\n", "	case r.Orphan:\n"}},
		noticed: `was applied twice`,
	},
	{
		name:    "kept-for-ever",
		breaks:  "acknowledged batches are kept without an end",
		edits:   []edit{{"outbox.go", "age(o.kept[0].acked, now) > keepFor", "age(o.kept[0].acked, now) > 100*keepFor"}},
		noticed: `again .* after it was acknowledged`,
	},
	{
		name:    "kept-too-briefly",
		breaks:  "acknowledged batches are kept for less than the time that a store may step back",
		edits:   []edit{{"outbox.go", "age(o.kept[0].acked, now) > keepFor", "age(o.kept[0].acked, now) > keepFor/100"}},
		noticed: `which lives, is not in the store`,
	},
	{
		name:   "kept-not-resent",
		breaks: "batches that a step back lost are dropped instead of sent again",
		edits: []edit{{
			"outbox.go", "	o.queue = append(slices.Clone(o.kept[n:]), o.queue...)\n",
			"	o.lose(lostRollback, uint64(len(o.kept)-n))\n",
		}},
		noticed: `which lives, is not in the store`,
	},
	{
		name:    "not-resent-whole",
		breaks:  "a family that a failover lost whole is taken for wiped",
		edits:   []edit{{"outbox.go", `lineage != "" && o.lineage != "" && o.keptWhole()`, `lineage == "" && o.lineage != "" && o.keptWhole()`}},
		noticed: `which lives, is not in the store`,
	},
	{
		name:    "resent-after-a-wipe",
		breaks:  "what the store had acknowledged is sent again after a FLUSHALL, as after a failover",
		edits:   []edit{{"outbox.go", `lineage != o.lineage && lineage != "" && o.lineage != "" && o.keptWhole()`, "o.keptWhole()"}},
		noticed: `acknowledged before a wipe, was sent again after it`,
	},
	{
		name:    "losses-not-counted",
		breaks:  "batches that a wipe lost are not counted",
		edits:   []edit{{"outbox.go", "o.lose(lostWiped, 1)", ""}},
		noticed: `lost \d+ batches and says \d+`,
	},
	{
		name:   "idle-not-verified",
		breaks: "families with nothing to send are verified neither after a change of the lineage nor with the refresh",
		edits: []edit{
			{"refresh.go", "f.out.unverified, f.out.vain = true, false", "f.out.unverified, f.out.vain = f.hasWork(), false"},
			{"heartbeat.go", `f.out.unverified = f.out.generation != ""`, `f.out.unverified = f.out.generation != "" && f.hasWork()`},
		},
		noticed: `which lives, is not in the store`,
	},
	{
		name:    "lineage-not-verified",
		breaks:  "after a change of the lineage no family is verified before the next refresh",
		edits:   []edit{{"heartbeat.go", `f.out.unverified = f.out.generation != ""`, "f.out.unverified = false"}},
		noticed: `was shown before the store stepped back|acknowledged before a wipe, was sent again after it|which lives, is not in the store`,
	},
	{
		name:    "refresh-does-not-verify",
		breaks:  "the refresh verifies no family: a store that does not tell its lineage is never found to have stepped back",
		edits:   []edit{{"refresh.go", "f.out.unverified, f.out.vain = true, false", `f.out.unverified, f.out.vain = f.out.generation == "", false`}},
		noticed: `which lives, is not in the store|lost \d+ batches and says \d+`,
	},
	{
		name:   "gauge-expiry-not-atomic",
		breaks: "gauges are set first and get their expiry with a second call",
		edits: []edit{{"gaugesend.go", "	replies := w.store.WriteGauges(ctx, writes)", `
	for i := range writes {
		lasting := writes[i]
		lasting.Ops = slices.Clone(lasting.Ops)
		for j := range lasting.Ops {
			lasting.Ops[j].Expire = 1 << 60
		}
		lasting.Own = 0
		_ = w.store.WriteGauges(ctx, []wire.GaugeWrite{lasting})
	}
	for i := range writes {
		w.gauges.version++
		writes[i].Version = w.gauges.version
	}
	replies := w.store.WriteGauges(ctx, writes)`}},
		noticed: `is gone, and its gauges are`,
	},
	{
		name:    "total-kept-over-a-delete",
		breaks:  "a deletion leaves what a Total gauge had gathered",
		edits:   []edit{{"delete.go", "ok && f.def.mode != Total {", "ok {"}},
		noticed: `counted .* of open `,
	},
	{
		name:    "close-has-no-end",
		breaks:  "Close waits for the writer whatever its context says",
		edits:   []edit{{"connect.go", "		case <-ctx.Done():\n			err = w.left(context.Cause(ctx))\n", ""}},
		noticed: `Close took`,
	},

	// The store applies what it must not.
	{
		name:   "sequence-check-removed",
		breaks: "a batch is applied whatever number of its writer the store has",
		edits: []edit{
			{"internal/memstore/family.go", "case last >= c.Seq:", "case last >= c.Seq && len(c.Ops) == 0:"},
			{"internal/memstore/family.go", "case last != c.Prev:", "case last != c.Prev && len(c.Ops) == 0:"},
		},
		noticed: `was applied twice|was shown before the store stepped back|lost \d+ batches and says \d+`,
	},
	{
		name:    "gap-not-seen",
		breaks:  "the store applies a batch after a step back although earlier ones are missing",
		edits:   []edit{{"internal/memstore/family.go", "case last != c.Prev:", "case last > c.Prev:"}},
		noticed: `which lives, is not in the store|was shown before the store stepped back|lost \d+ batches and says \d+`,
	},
	{
		name:   "delete-not-sequenced",
		breaks: "a deletion that comes again deletes again",
		edits: []edit{{"internal/memstore/family.go", "		reply := wire.CommitReply{Status: wire.CommitDuplicate,", `
		for _, op := range c.Ops {
			switch op.Kind {
			case wire.OpDelete:
				delete(f.values.series, op.Field)
			case wire.OpClear:
				clear(f.values.series)
			}
		}
		reply := wire.CommitReply{Status: wire.CommitDuplicate,`}},
		noticed: `though .* was stored before|since the scrape began it was|vanished with a batch|was told that .* is gone`,
	},
	{
		name:   "numbers-removed-at-close",
		breaks: "a writer that gives back its lease takes its sequence numbers with it, and a late request is applied again",
		edits: []edit{{"internal/memstore/store.go", "		delete(a.gauges, writer)\n", `
		delete(a.gauges, writer)
		for _, f := range a.families {
			if f.control != nil {
				delete(f.control.writers, writer)
			}
		}
`}},
		noticed: `was applied twice|was not taken`,
	},
	{
		name:   "numbers-removed-with-the-lease",
		breaks: "a writer whose lease has expired loses its sequence numbers",
		edits: []edit{{"internal/memstore/lease.go", "	index := a.choose(req, now)\n", `
	for _, l := range a.leases {
		for _, f := range a.families {
			if l.expired(now) && f.control != nil {
				delete(f.control.writers, l.writer)
			}
		}
	}
	index := a.choose(req, now)
`}},
		noticed: `was applied twice`,
	},
	{
		name:    "lease-not-fenced",
		breaks:  "gauges are written without asking whose the index is",
		edits:   []edit{{"internal/memstore/gauges.go", "!ok || held.writer != w.Writer {", "false && (!ok || held.writer != w.Writer) {"}},
		noticed: `wrote gauges under the index \d+, which is not its own`,
	},
	{
		name:    "index-taken-from-a-stranger",
		breaks:  "the successor of a dead process takes its index from another process that has it now",
		edits:   []edit{{"internal/memstore/lease.go", `return req.Predecessor == "" ||`, `return true ||`}},
		noticed: `took the index \d+ of .*, which lives and is not its predecessor`,
	},
	{
		name:    "two-indexes",
		breaks:  "a writer may take an index beside another one of its own",
		edits:   []edit{{"internal/memstore/lease.go", "if taken && held.writer == req.Writer {", "if req.Index != wire.NoIndex && (!taken || held.writer == req.Writer) {"}},
		noticed: `holds the indexes`,
	},
	{
		name:    "writer-read-twice",
		breaks:  "a reader believes both entries of a writer that has two",
		edits:   []edit{{"internal/wire/lease.go", "		case !twice:\n", "		case !twice || true:\n"}},
		noticed: `under the indexes \d+ and \d+`,
	},

	// Marks: what is held, what is gone, and when it began.
	{
		name:    "removal-not-rechecked",
		breaks:  "the housekeeping removes series however young their marks are",
		edits:   []edit{{"internal/memstore/marks.go", "marked && age >= oldAge && age < laterAge", "marked"}},
		noticed: `was removed \d+ epochs after it was held`,
		removal: true,
	},
	{
		name:    "idle-for-ever",
		breaks:  "series that nobody holds stay",
		edits:   []edit{{"internal/memstore/marks.go", "marked && age >= oldAge && age < laterAge", "marked && age >= laterAge"}},
		noticed: `epochs ago, and is still there`,
		removal: true,
	},
	{
		name:    "epoch-not-noticed",
		breaks:  "a process does not mark its series when another epoch has begun",
		edits:   []edit{{"marks.go", "reply.Epoch != h.epoch || reply.Removed", "reply.Removed"}},
		noticed: `was marked \d+ epochs ago|was removed as idle, and .* holds it`,
		removal: true,
	},
	{
		name:    "mark-not-written",
		breaks:  "the store answers a mark and does not keep it",
		edits:   []edit{{"internal/memstore/marks.go", "stored.set(field, mark{one.start, f.control.epoch})", "_ = one"}},
		noticed: `was removed \d+ epochs after it was held|was removed as idle, and .* holds it`,
		removal: true,
	},
	{
		name:    "born-not-sent",
		breaks:  "a first batch does not tell since when the process holds a series",
		edits:   []edit{{"freeze.go", "born = z.w.clock.notAfter(moment).UnixMicro()", "born = 0 * moment"}},
		noticed: `for the first time, and not since when it holds it`,
	},
	{
		name:    "epochs-by-the-clock",
		breaks:  "a clock that jumps forward ends many epochs",
		edits:   []edit{{"internal/memstore/marks.go", "		c.epoch++\n", "		c.epoch += int(time.Duration(since) * time.Second / max(shortestEpoch, retention/8))\n"}},
		noticed: `was told that \S+ is in the epoch`,
		removal: true,
	},
	{
		name:    "start-of-the-second-process",
		breaks:  "the first batch of a second process rewrites the start of a series",
		edits:   []edit{{"internal/memstore/marks.go", "one.start > began {", "one.start != began {"}},
		noticed: `began at \d+, and after a batch of .* which is later`,
	},
	{
		name:    "start-of-the-mark",
		breaks:  "a mark rewrites the start of a series",
		edits:   []edit{{"internal/memstore/marks.go", "stored.set(field, mark{one.start, f.control.epoch})", "stored.set(field, mark{one.start + 1, f.control.epoch})"}},
		noticed: `and after a mark of`,
	},
	{
		name:   "start-of-the-registration",
		breaks: "a process that registers a family rewrites the starts of its series",
		edits: []edit{{"internal/memstore/family.go", "	c.written = now\n	if p, ok := c.writers[r.Writer]; ok {", `
	c.written = now
	for field, one := range f.marks.of {
		f.marks.of[field] = mark{now.UnixMicro(), one.epoch}
	}
	if p, ok := c.writers[r.Writer]; ok {`}},
		noticed: `began at \d+, and after a (batch|mark) of`,
	},
	{
		name:   "born-forgotten-with-a-step-back",
		breaks: "batches that are sent again after a failover do not tell since when the process holds their series",
		edits: []edit{{"outbox.go", "	for _, b := range o.kept[n:] {\n", `
	for _, b := range o.kept[n:] {
		b.ops = slices.Clone(b.ops)
		for i := range b.ops {
			b.ops[i].Born = 0
		}
`}},
		noticed: `sends batch \d+ of \S+ again with other contents`,
	},
	{
		name:   "start-by-the-store",
		breaks: "a series begins when its first batch arrives, and not when a process began to hold it",
		edits: []edit{
			{"internal/memstore/marks.go", "m.set(field, mark{max(began, last), control.epoch})", "m.set(field, mark{max(began, last, stamp), control.epoch})"},
			{"internal/memstore/marks.go", "one.start > began {", "one.start > began && one.start != stamp {"},
		},
		noticed: `came with a start at \d+, and .* holds it since`,
	},
	{
		name:    "removal-not-stamped",
		breaks:  "the new life of a series that was removed begins before the removal",
		edits:   []edit{{"internal/memstore/marks.go", "		control.noteRemoval(c, stamp)\n", ""}},
		noticed: `was removed at \d+, and came again with a start at|was removed at \d+, and after a batch`,
	},
	{
		name:   "unsent-counts-dropped",
		breaks: "a child whose series is gone leaves the table with what it has to send",
		edits: []edit{{"marks.go", "		if s.dirty.Load() || s.overflow {\n", `
		if s.dirty.Load() && len(s.values) > 0 {
			f.table.remove(s.hash, s.values)
			f.discard(s)
		}
		if s.dirty.Load() || s.overflow {
`}},
		noticed: `counted .* and its batches hold`,
	},
	{
		name:    "present-series-forgotten",
		breaks:  "the kept batches of a family lose all that they added, not only what is gone",
		edits:   []edit{{"outbox.go", "return fields[op.Field] && (op.Kind == wire.OpAdd", "return (op.Kind == wire.OpAdd"}},
		noticed: `sends batch \d+ of \S+ again with other contents`,
		removal: true,
	},
	{
		name:    "gone-kept-for-a-step-back",
		breaks:  "kept batches bring back what was removed since",
		edits:   []edit{{"marks.go", "	f.out.forgetSeries(fields)\n", ""}},
		noticed: `again with .* which was removed since`,
	},
	{
		name:    "deletions-of-others-not-heard",
		breaks:  "a process keeps the children of series that others deleted",
		edits:   []edit{{"marks.go", "			f.table.remove(s.hash, s.values)\n			f.release(s)\n", ""}},
		noticed: `which the store has not|and had been told that it was deleted`,
		removal: true,
	},
	{
		name:    "table-without-bound",
		breaks:  "a process has more children than twice the cap",
		edits:   []edit{{"family.go", "return 2 * f.limit()", "return 20 * f.limit()"}},
		noticed: `has \d+ children of \S+ and the cap is`,
		removal: true,
	},
	{
		name:    "cap-not-kept",
		breaks:  "the store takes more series than the cap",
		edits:   []edit{{"internal/memstore/draft.go", "limit > 0 && d.count >= limit && field", "limit > 0 && d.count >= 2*limit && field"}},
		noticed: `shows \d+ series of \S+ and the cap is`,
		removal: true,
	},
	{
		name:    "value-removed-too-early",
		breaks:  "values of a Latest gauge are removed before they expire",
		edits:   []edit{{"internal/memstore/marks.go", "deadline > 0 && deadline <= now.UnixMicro()", "deadline > 0"}},
		noticed: `state .* was removed \d+ epochs after it was held`,
		removal: true,
	},
}
