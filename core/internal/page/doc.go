// SPDX-License-Identifier: Apache-2.0

// Package page reads an app's metrics from Redis and makes the page of them that
// a scraper gets. It only reads. It knows neither the registry nor the writer:
// what concerns them goes through [Config] and [Observer].
//
// # How a page is read
//
// A page takes few round trips, however many metrics there are. If no series came or went
// since the last page, one server is asked once. The steps, each of which is left out where
// there is nothing to do:
//
//  1. The head: the lineage of the data; the names of the families and the leases; the
//     registrations, and the gauges of the living processes; then the values of the series
//     that the last page had, by name, and the lineage again. The reader asks for all of that
//     without waiting for the names, so one pipeline is enough, unless something is new or
//     the values do not fit into it.
//  2. The log of changes of each family that is remembered and now has another
//     seriesVersion. It names the series that came, went, or began at another time.
//  3. Scans of the families that are not remembered, or whose log does not tell. All are
//     scanned at once, in slices, so that Redis can answer others in between. A scan that
//     was cut, by the time of its reading or by a failure, goes on in the next reading.
//  4. The starts of the series that were scanned or have changed.
//  5. The values that are not read yet, by name, and behind them the lineage.
//
// If the lineage behind the values is not that of the head, the page is of two histories: it
// is dropped, and read again. Behind the values of each family the reader also asks for
// their generation. If that is not the one of the head, Redis lost the family in between, and
// everything is read again.
//
// Three groups of types hold what there is at each step:
//
//   - what was read: [wire.Head], and a storedFamily for each family
//   - what is remembered until the next reading: an index, with the ordered labels
//     of each family's series, so that a reading neither parses nor sorts again
//     what it has seen before; and the scans that were cut
//   - what is rendered: a [Page] of shownFamilies, rows of numbers beside those
//     labels, from which each format is written
//
// What is remembered is of one lineage: after a failover Redis may return to a seriesVersion
// that it had before, and then have other series under it. So series enter the index only when
// their reading turned out to be of one lineage, and the index is emptied when Redis tells
// another one. The series of a family are remembered under the seriesVersion of the head,
// which was read before them. What changed after the head gave the family a later
// seriesVersion, so the next reading follows all these changes, though the index may have
// some of them already.
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
//   - A scan, which reads values, comes before the starts. So the start that is read is that
//     of the value, or of a series that began later. Values that are read by name in step 5
//     come after the starts: they are of the series whose start was read, or of a later one,
//     and are then shown with a start that is earlier than theirs.
//   - A start that is later than the page is not shown. What began after the values were
//     read began after the head, which has the time of the page. (This needs a clock that
//     is not set back within the reading; in a Cluster, the clock of the family's server
//     must not lag behind that of the app's by more than the reading takes.)
//   - Starts are remembered as the series are, under the seriesVersion of the head. Whatever
//     gives a series another start changes the seriesVersion, so that the next reading asks
//     for that start again. All others are not read again.
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
