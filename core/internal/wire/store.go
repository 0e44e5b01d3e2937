// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"context"
	"time"
)

// Store holds the metrics of one app. [Redis] is the real one; package memstore keeps
// the same rules in memory, for tests. core/tests/conformance runs one suite on both.
//
// Its methods are safe for concurrent use. A call that got no answer may have been executed. Those
// that write do not send it again; Read… and Scan do, up to twice, while the context lasts.
type Store interface {
	// Timeout is how long the client waits for the answers to a pipeline, at most: see [Pace].
	Timeout() time.Duration

	// Register registers families: it lists them, starts their retention again, and
	// renews the stamp of the writer's sequence number. Replies run parallel to regs.
	Register(ctx context.Context, regs []Registration) []RegisterReply

	// Commit applies batches, in one pipeline, in the order given. Batches of one family
	// must be neighbours, in ascending order of their numbers. Replies run parallel to
	// commits. What of them is [CommitUnfinished] is to be sent again.
	Commit(ctx context.Context, commits []Commit) []CommitReply

	// Hold takes or renews a lease and tells the store's time.
	Hold(ctx context.Context, req HoldRequest) (HoldReply, error)

	// Release gives an index back and then removes the writer's gauges. If another writer
	// has taken the index, it keeps it.
	Release(ctx context.Context, writer string, index int) error

	// WriteGauges sets and deletes gauges of one writer, in one pipeline, in the order given.
	// Each write is one atomic step. Replies run parallel to writes.
	WriteGauges(ctx context.Context, writes []GaugeWrite) []GaugeWritten

	// Lineage names the history of the store's data. It changes whenever the store may
	// have stepped back: after a restart or a failover. It is empty, without an error,
	// where the store does not tell it.
	Lineage(ctx context.Context) (string, error)

	// AwaitReplicas waits until a replica of each server that holds one of the families
	// has all that was acknowledged, for timeout at most. Each verification is a batch
	// without ops, whose number is the one acknowledged last. It returns how many servers
	// have replicas of which none confirmed.
	AwaitReplicas(ctx context.Context, verifications []Commit, timeout time.Duration) (unconfirmed int, err error)

	// ReadHead reads what a page begins with: the lineage before anything else, then what
	// ReadApp, ReadFamilies and ReadGauges read of all families and living writers. What the
	// last page had is asked for in the same round trip: the gauges that fit into a pipeline, about
	// 1,000 families, and their values as well if all of it is little enough: then Series is what
	// ReadSeries would return.
	ReadHead(ctx context.Context, last Expected) (Head, error)

	// ReadOwn reads of a head what the page of one process needs that does not show the shared
	// families: the registrations of these families, as far as they are listed, and the gauges of
	// this writer. The head has no other families, and no gauges of other writers.
	ReadOwn(ctx context.Context, writer string, families []string) (Head, error)

	// ReadApp reads the time, the names of the families and the leases that have not
	// expired, ordered by index. Of more than MaxFamilies it reads those touched last.
	// More than MaxLeases are a [*TooManyLeasesError], a key of another type is a
	// [*WrongTypeError].
	ReadApp(ctx context.Context) (AppState, error)

	// ReadFamilies reads the registrations of families. Err is set in the state of a name
	// that has no registration or whose keys are damaged, and is [ErrTooLarge] in those
	// that do not fit into MaxPage/8. The error result is for trouble of the whole call.
	ReadFamilies(ctx context.Context, names []string) ([]FamilyState, error)

	// ReadGauges reads the gauges of writers, without those past their own deadline.
	// Replies run parallel to writers. A writer with more bytes than half of what is left
	// of MaxPage/2 has [ErrTooLarge].
	ReadGauges(ctx context.Context, writers []string) ([]GaugesReply, error)

	// ReadSeries reads the values of known fields, and then the lineage. Replies run
	// parallel to queries; Found is false for a field that is gone. A family whose values
	// have more bytes than half of what is left of room has [ErrTooLarge], and one that has
	// not the query's generation behind them [ErrGeneration].
	ReadSeries(ctx context.Context, queries []SeriesQuery, room int) (replies []SeriesReply, lineage string, err error)

	// Mark notes that a process holds series in the present epoch of their families, and tells
	// which of them are gone. Replies run parallel to marks, which go in one pipeline.
	Mark(ctx context.Context, marks []Mark) []MarkReply

	// ReadStarts reads when series began, in microseconds of the store's clock, 0 where that
	// is not known. Replies run parallel to queries, and each to the query's fields.
	ReadStarts(ctx context.Context, queries []StartsQuery) ([][]int64, error)

	// Scan goes on with scans to their ends, in slices of all of them at once. Together they may
	// have a [Cost] of room. A family that takes more than half of what the others leave gets
	// [ErrTooLarge].
	Scan(ctx context.Context, scans []*Scan, room int) error

	// ReadChanges reads which series of families have changed since versions that were seen
	// before. Replies run parallel to queries. Known is false where that is not certain: the
	// family had no more than LargeFamily series, more than ChangesKept changes have happened,
	// or the log of changes has a gap.
	ReadChanges(ctx context.Context, queries []ChangesQuery) ([]ChangesReply, error)

	// RemoveExpired removes from one family the values of a latest gauge that are past their
	// deadline, and the series that no process held for the retention of the family. In a large
	// family it does a part of that: go on until it is done. Housekeep removes them from all
	// families.
	RemoveExpired(ctx context.Context, sweep *Sweep) error

	// Housekeep removes expired leases, sequence numbers of writers that were silent for
	// SequenceAge, what RemoveExpired removes, and families that nobody registered or wrote
	// for retention (0 keeps them) and for their own retention. It returns how many series went.
	// It also removes from the leases what is no lease, and from the list of families what is
	// no metric's name or was never registered. One process does it for all: if another one
	// began less than pause ago, Housekeep returns at once; if the last one began more than an
	// hour ago, it removes only leases. Each removal is decided inside a script, so several
	// processes at once do no harm.
	Housekeep(ctx context.Context, retention, pause time.Duration) (Removed, error)
}
