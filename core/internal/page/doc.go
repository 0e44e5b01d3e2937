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
//  2. The series of each family that is new, or whose seriesVersion changed. They
//     are scanned in slices, so that Redis can answer others in between. Then the
//     registrations of these families are read once more: series may have come
//     and gone since the head.
//  3. The values of all other series by name, and then the lineage again. If that has
//     changed, the page is of two histories: it is dropped, and read again.
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
// What a reading scanned enters the index only if the reading turned out to be of
// one history and the family's seriesVersion is the same after the scan. After
// a failover Redis may return to a version that it had before, and what was scanned
// in between is not what that version has.
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
