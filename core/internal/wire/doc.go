// SPDX-License-Identifier: Apache-2.0

// Package wire is shoal's protocol: how an application's metrics are stored,
// and by which rules its processes change them. It alone knows a key or a
// script. What stands here is the authority; the Lua files head their own
// arguments and replies.
//
// # Keys
//
// A family has two keys in one hash tag, so that one script can change both on
// a Cluster. What belongs to the app as a whole has another tag.
//
//	shoal:1:{app/family}:ctl  hash    the registration:
//	                                  gen      generation, a random name of this life of the data
//	                                  orphan   1 if it began over values whose numbers were lost
//	                                  type, help, mode, bounds, born (of who defined them)
//	                                  created  when it began, µs
//	                                  shape    another one whenever series came or went
//	                                  touched  when it was last written or registered, s
//	                                  w:<id>   "number stamp" of each writer, stamp in s
//	shoal:1:{app/family}:v    hash    the series: EncodeField → sparse vector
//	                                  \xfe     generation
//	                                  \xfd…    a series of a gauge of mode total
//	shoal:1:{app}:families    zset    families by when they were touched, ms
//	shoal:1:{app}:leases      hash    i:<index> → "writer deadline lineage host version started ttl"
//	                                  lineage → "lineage since", as writers read it last
//	shoal:1:{app}:g:<writer>  hash    GaugeField → "value deadline"; \xfe → version
//
// The generation stands in both keys of a family. A key that was evicted, or
// that a stranger wrote, is recognised by that; and since \xfe stays when all
// series are removed, an empty family is no lost one. All times are the
// server's own. One that is still to come is not believed: a clock noted it that
// has been set back (docs/protocol.md, Times).
//
// # Commit: at most once
//
// A batch carries its writer's next number. Its ops never change once it was
// sent; its header (generation, prev) may. The script checks in this order,
// with last = 0 for a writer that it does not know:
//
//	state                         reply    what it means to the writer
//	generation ≠ that of a key    UNKNOWN  register, and go on from there
//	last ≥ seq                    DUP      it had been applied
//	last ≠ prev                   GAP      the store went back, or a batch is missing
//	last = prev                   OK       applied now
//	an error reply                –        not applied: Refused
//	no reply                      –        in doubt: send it again
//
// Why each is as it is:
//
//   - UNKNOWN comes first: a number means nothing under another generation.
//   - DUP writes the stamp anew. A master that was demoted, and does not know
//     it yet, must answer READONLY rather than acknowledge what its successor
//     may lack; only a write makes it notice. For the same reason an empty
//     batch (no ops, prev = seq) verifies that the store still has a number.
//   - GAP compares with prev and not with seq-1: the writer jumps over batches
//     that it had to drop by naming the last one that the store has.
//   - All reads and all parsing come before the first write, and the first
//     write is an HSET, which Redis refuses when memory is short. HDEL and DEL
//     would not be refused, and they would switch the check off for the rest of
//     the script. So a script that fails has changed nothing, and an error reply
//     is a definite no.
//   - go-redis may not send a writing script twice by itself (see oneShot): the
//     refusal of its second attempt would hide that the first was executed.
//
// A stored text that does not parse is replaced by the delta and counted: it
// can't be added to, and one damaged series must not stop a family. A delta
// that does not parse is refused before anything is written. What else may be
// damaged, and who replaces it, is in docs/protocol.md, Damage.
//
// The cap counts the fields of the hash when a batch brings a new one. What is
// beyond it goes to the overflow series in the same step.
//
// # Register: generations
//
//	keys                                  result
//	another type is stored                CLASH, nothing changed
//	both agree on a generation            that generation
//	neither exists                        a new one
//	values without control, or differing  a new one over the old values: orphan
//	control without values                a new one, empty
//
// A key of another type is removed first, as if it were lost.
//
// The flag stays as long as the generation: each writer must hear that its
// batches in doubt can't be told from those that the values hold already. The
// definition that is shown is the youngest writer's, whoever registers last.
//
// # Leases and gauges
//
//	          hold                    deadline passes
//	free ───────────────▶ held ─────────────────────────▶ expired
//	  ▲                    │ ▲                              │ │
//	  │      release       │ │   hold by its writer         │ │ hold by another
//	  ├────────────────────┘ └──────────────────────────────┘ └───▶ held by that one
//	  └── housekeeping removes an expired entry
//
// Hold takes the first that applies: the index held so far, if its entry is the
// writer's; any entry that is the writer's, since an earlier reply may have been
// lost, or the server stepped back; the index held so far, if it has no entry;
// the index wanted, from whoever has it; the lowest that is free or expired. Readers show only what has not expired, so between a
// deadline and the next hold an index shows nobody.
//
// Gauges are absolute values. A write demands that the lease's entry be the
// writer's, and that its version be the next one, or that it brings everything.
// Each entry has its deadline, and the key the largest of them, so the gauges of
// a dead process vanish even if nobody is left to clean up. Releasing removes
// the lease first: from then on the gauges are shown no more, and a late write
// is refused.
//
// # Lineage
//
// Every restart and every promotion gives a server's data another name
// (master_replid), and may have set it back. A lease says under which names of
// all masters its writer has made sure that nothing of its own is missing; the
// field beside the leases says which are the present ones. Readers show nothing
// while the two differ. A writer that finds its lease or a family gone in the same
// history looks likewise, and its lease is marked as unverified until it has.
//
// # Reads
//
// Totals would step back on a replica that lags, so everything is read from
// masters; a Cluster client that routes reads elsewhere is given scripts, which
// it sends to masters. Short requests of a pipeline run back to back on the
// server, so reads are cut to a few milliseconds a round trip.
//
// # Housekeeping
//
// One process does it for all: a field beside the leases says when the last
// turn was. It only spares work. What keeps the removals right is that
// whatever is removed by age is judged by the script that removes it, slice by
// slice. A writer's number goes after
// [SequenceAge], and never because the writer seems dead: a request whose
// connection was cut may still be executed. Nothing uses KEYS or SCAN.
//
// # Scripts
//
// Each call sends the hash of its script. A server that does not know it says
// so, and the call is sent again with the source: by SCRIPT LOAD to a single
// server, by EVAL in a Cluster, and by the other of the two where that is refused.
// So scripts survive SCRIPT FLUSH, restarts, failovers and hash slots that move to new
// nodes. Where EVALSHA itself is refused, each call carries the source. See tell.go.
package wire
