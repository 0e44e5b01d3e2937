// SPDX-License-Identifier: Apache-2.0

// Package page reads an app's metrics from Redis and makes the page of them that
// a scraper gets. It only reads. It knows neither the registry nor the writer:
// what concerns them goes through [Config] and [Observer].
//
// # How a page is read
//
// Whatever the number of metrics, a page takes few round trips:
//
//  1. The head: the lineage of the data, then the names of the families, the
//     leases, the registrations and the gauges of the living processes. The reader
//     asks for what the last head named, so that as a rule one round trip is enough.
//  2. The series of each family that is new, or whose seriesVersion changed. The reader asks the
//     log of changes which series came, went, or began at another time. Where it does not tell,
//     the family is scanned in slices, so that Redis can answer others in between. A scan that is
//     cut goes on with the next reading. Then one call reads when these series began.
//  3. The values of all series that were not just scanned, by name, with the generation behind
//     them, and then the lineage again. If that has changed, the page is of two histories: it is
//     dropped, and read again. Where all series are known, the head brings their values.
//
// Three groups of types hold what there is at each step:
//
//   - what was read: [wire.Head], and a storedFamily for each family
//   - what is remembered until the next reading: an index, with the ordered labels
//     of each family's series, so that a reading neither parses nor sorts again
//     what it has seen before
//   - what is rendered: a [Page] of shownFamilies, rows of numbers beside those
//     labels, from which each format is written
//
// What a reading found enters the index only if the reading turned out to be of one history,
// under the seriesVersion that the head told. Series may have come or gone after that. Then the
// next reading meets another version, and takes these changes in, or scans. With another lineage
// everything is forgotten: after a failover Redis may return to a version that it had before,
// and what was found since is not what that version has.
//
// # When series began
//
// A scraper takes the start of a series for a moment at which its value was 0. If a page
// showed a value with a start that is later than the events in it, these would count
// twice. So an error must be on the early side: a scraper ignores a start that is not
// later than the last sample it has. Redis keeps values and starts in two hashes, and
// between reading the one and the other a series may be removed and begin anew. Three
// rules keep the start of the new one away from the value of the old one:
//
//   - Values are read before starts. So the start that is read is that of the value, or
//     of a series that began later.
//   - A start that is later than the page is not shown. What began after the values were
//     read began after the head, which has the time of the page. (This needs a clock that
//     is not set back within the reading; in a Cluster, the clock of the family's server
//     must not lag behind that of the app's by more than the reading takes.)
//   - What was read is remembered under the seriesVersion before it. Any series that came, went,
//     or turned out to have begun earlier has changed the version, so that the next reading reads
//     its start again.
//
// If a series begins anew between the head and the values that are read by name, its value
// is shown with the start of the old one, which is earlier.
//
// A start may also be later than the request that the page answers: if a deletion was asked
// for while the request waited, and then the series began anew. Its value is shown all the
// same, since everything that was counted before the request must be. docs/protocol.md says
// what a scraper makes of that.
//
// # Who shares a reading
//
// One reading is under way at a time. A scrape joins only a reading that has not
// begun, or it could miss what was written before the scrape came. So all scrapes
// that come during one reading share the next one, and its encodings.
//
// # When a page is held back
//
// After a restart, a failover or a loss of keys Redis may lack what living
// processes are about to bring back. A page of that would show counters that fall,
// and Prometheus would add the whole again when they come back. So every reading is
// checked before its values are read (see recovery): by the lineage, by what the
// leases say of their writers, by what this process itself had in Redis, and by what
// the last reading had seen. While anything is missing, a scrape reads again and asks
// this process's own writer to catch up; if its time ends, it fails with a
// [RecoveringError]. The wait is bounded by two lease durations. By then every living
// process has returned, and the page is shown as it is and counted as unconfirmed.
package page
