// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"context"
	"time"
)

// Store is what shoal asks of the place that holds an application's metrics.
// [Redis] is the real one; memstore keeps the same rules in memory for tests.
// One conformance suite (core/tests) runs against both.
//
// A Store belongs to one app. Its methods are safe for concurrent use, each
// returns within the client's own timeouts, and none retries by itself.
type Store interface {
	// Register announces families: it lists them, starts their retention anew,
	// and renews the stamp of the writer's sequence number. Replies come in the
	// order of the requests.
	Register(ctx context.Context, regs []Registration) []RegisterReply

	// Commit applies batches, in one pipeline, in the order given. Replies
	// come in the same order. Batches of one family must be neighbours in
	// ascending order of their numbers.
	Commit(ctx context.Context, commits []Commit) []CommitReply

	// Touch records that families are declared by a living writer, so that
	// they are listed and their retention starts anew.
	Touch(ctx context.Context, families []string) error

	// Hold takes or renews a lease and tells the store's time.
	Hold(ctx context.Context, req HoldRequest) (HoldReply, error)

	// Lineage names the history of the data: it changes whenever the store may
	// have stepped back, as by a restart or a failover. It is empty, without
	// an error, where the store does not tell.
	Lineage(ctx context.Context) (string, error)

	// AwaitReplicas waits until a replica of each server that holds one of the
	// families has all that was acknowledged, for timeout at most. Each
	// verification is an empty batch of a family, with the number that was
	// acknowledged last. It returns how many of the servers have replicas of
	// which none confirmed.
	AwaitReplicas(ctx context.Context, verifications []Commit, timeout time.Duration) (unconfirmed int, err error)

	// Release gives an index back and then removes the writer's gauges. It
	// touches nothing of anybody else: releasing a lost lease is harmless.
	Release(ctx context.Context, writer string, index int) error

	// WriteGauges sets and deletes gauges of one writer in one atomic step.
	WriteGauges(ctx context.Context, w GaugeWrite) (GaugeStatus, error)

	// ReadHead reads what a page begins with: the lineage before anything else,
	// then what ReadApp, ReadFamilies and ReadGauges read of all families and
	// living writers. Last is what the last head said, or nothing: up to 500
	// families and 64 writers that it names are asked for in the same round trip,
	// and the others in further ones.
	ReadHead(ctx context.Context, last AppState) (Head, error)

	// ReadApp reads the time, the names of the families and the leases that
	// have not expired, ordered by index. Of more than MaxFamilies it reads
	// those touched last; more than MaxLeases are a [*TooManyLeasesError], and a
	// key that holds something else a [*WrongTypeError].
	ReadApp(ctx context.Context) (AppState, error)

	// ReadFamilies reads the registrations of families. A name that has no
	// registration, or whose keys are damaged, comes back with Err set, and
	// those that do not fit into MaxPage/8 with [ErrTooLarge]; the error result is
	// for troubles of the whole call.
	ReadFamilies(ctx context.Context, names []string) ([]FamilyState, error)

	// ReadSeries reads the values of known fields, and then the lineage. The
	// result runs parallel to the queries; a field that is gone has Found false.
	// A family whose values have more bytes than half of what is left of room
	// comes back with [ErrTooLarge].
	ReadSeries(ctx context.Context, queries []SeriesQuery, room int) (replies []SeriesReply, lineage string, err error)

	// ScanSeries reads all series of a family with their values, in slices,
	// and leaves the internal fields out. It ends with [ErrTooLarge] when their
	// [Cost] is more than room.
	ScanSeries(ctx context.Context, family string, room int) ([]Series, error)

	// ReadGauges reads the living entries of the writers' gauges, parallel to
	// writers. Entries past their own deadline are left out, and as a whole a
	// writer's that have more bytes than half of what is left of MaxPage/2.
	ReadGauges(ctx context.Context, writers []string) ([]GaugesReply, error)

	// Housekeep removes what nobody needs: expired leases, sequence numbers
	// of writers silent for SequenceAge, and families that nobody declared or
	// wrote for retention (0 keeps them); and what is no lease, no name of a family,
	// or a name that nobody registered. One process does it for all: where
	// anybody began to within pause, it returns at once. Each removal is
	// rechecked on the server, so it is safe from any number of processes.
	Housekeep(ctx context.Context, retention, pause time.Duration) error
}

// SequenceAge is how long the sequence number of a silent writer is kept.
const SequenceAge = 7 * 24 * time.Hour

// Family types, as stored.
const (
	TypeCounter   = "counter"
	TypeGauge     = "gauge"
	TypeSummary   = "summary"
	TypeHistogram = "histogram"
)

// IsType says whether a stored type is one of them.
func IsType(s string) bool {
	return s == TypeCounter || s == TypeGauge || s == TypeSummary || s == TypeHistogram
}

// Gauge modes, as stored. The empty mode shows each process by itself.
const (
	ModeSum    = "sum"
	ModeMax    = "max"
	ModeMin    = "min"
	ModeAvg    = "avg"
	ModeLatest = "latest"
	ModeTotal  = "total"
)

// Definition is what the page needs to know of a family beside its values.
type Definition struct {
	Type   string
	Help   string
	Mode   string   // gauges only
	Bounds []string // histograms only: ascending, canonical text, without +Inf
}

// Latest says whether the page shows of each series the value set last.
func (d Definition) Latest() bool { return d.Type == TypeGauge && d.Mode == ModeLatest }

// Total says whether the page shows the sums of a gauge.
func (d Definition) Total() bool { return d.Type == TypeGauge && d.Mode == ModeTotal }

// Shared says whether the values of all processes are joined in the family's
// own hash, and not kept apart by process.
func (d Definition) Shared() bool { return Shared(d.Type, d.Mode) }

// Shared is [Definition.Shared] of a type and a mode.
func Shared(kind, mode string) bool {
	return kind != TypeGauge || mode == ModeLatest || mode == ModeTotal
}

// Registration announces one family on behalf of one writer.
type Registration struct {
	Family string
	Writer string
	// Nonce names, with the store's time, the generation that begins if the
	// family has none yet. It is fresh for each request and, like a writer's id,
	// random.
	Nonce string
	// Born is when the writer's process came up, in microseconds of the
	// store's clock. The youngest writer's definition is shown.
	Born int64
	Definition
}

// RegisterReply answers a [Registration].
type RegisterReply struct {
	// Err is set when the store could not be asked, or refused.
	Err error
	// Clash holds the type under which the family is already registered, if
	// that is another one. Nothing was changed then.
	Clash string
	// Generation names this life of the family's data.
	Generation string
	// Orphan says that this generation began over data whose sequence
	// numbers were lost: what was in doubt then can't be told apart.
	Orphan bool
	// Last is the number of the writer's newest applied batch, 0 for none, and
	// [MaxSequence] where the entry is damaged: nobody knows which it was.
	Last uint64
}

// OpKind is one of the four things that a batch can do to a series.
type OpKind byte

const (
	// OpAdd adds the sparse vector Value to the series, created if absent.
	OpAdd OpKind = '+'
	// OpLatest sets Value, "number stamp deadline" (microseconds of the
	// store's clock, deadline 0 for none), unless a newer stamp is stored.
	OpLatest OpKind = '='
	// OpDelete removes the series.
	OpDelete OpKind = '-'
	// OpClear removes all series of the family.
	OpClear OpKind = '*'
)

// Op is one step of a batch. A batch names each field at most once.
type Op struct {
	Kind  OpKind
	Field string // see EncodeField; unused by OpClear
	Value string
}

// Commit carries one batch: the frozen Ops under a header that may change
// from one attempt to the next.
type Commit struct {
	Family     string
	Generation string
	Writer     string
	Prev       uint64 // the newest number that the store is believed to have
	Seq        uint64
	// Limit is the cap of series of the family, fleet-wide; 0 is no cap.
	// Overflow is the field that takes what would go to a series beyond it.
	Limit    int
	Overflow string
	// Totals asks for the values of the batch's series after it.
	Totals bool
	Ops    []Op
}

// CommitStatus is the store's answer to a batch.
type CommitStatus byte

const (
	// CommitOK: applied now.
	CommitOK CommitStatus = iota + 1
	// CommitDuplicate: it had been applied before; Last tells up to where. It is
	// [MaxSequence] where the writer's entry is damaged: then nothing was done.
	CommitDuplicate
	// CommitGap: the store's last number is Last, not Prev. Nothing done.
	CommitGap
	// CommitUnknown: the family's generation is another. Nothing done.
	CommitUnknown
)

// CommitReply answers a [Commit].
type CommitReply struct {
	// Err is set when there is no status. [Refused] tells whether the batch
	// was definitely not applied or is in doubt.
	Err    error
	Status CommitStatus
	Last   uint64
	// Corrupt counts stored texts that did not parse and were replaced.
	Corrupt int
	// Overflowed counts ops that were folded into the overflow series.
	Overflowed int
	// Totals runs parallel to Ops if it was asked for: the stored text of the
	// series that took the op (after a duplicate, as it is now).
	Totals []string
}

// NoIndex says that no index, or no particular one, is meant.
const NoIndex = -1

// HoldRequest asks for a lease or its renewal.
type HoldRequest struct {
	Writer string
	Index  int // the index held so far, or NoIndex
	Wanted int // the index asked for, whoever holds it, or NoIndex
	// Lineage is the history of the data that the writer has verified; empty
	// where it is not known.
	Lineage string
	// Current is the history as the store told it just before, if it did. The
	// store records it, and when it became another. Changed says that the
	// writer knew another one and has not looked at its families since: then
	// this is no first start, even if nothing is recorded.
	Current string
	Changed bool
	// Unverified says that the writer found something of its own gone, in this
	// same history, and has not looked at all its families since.
	Unverified bool
	// Info describes the instance to readers.
	Info Info
	TTL  time.Duration
}

// Info describes an instance. Its texts may hold any characters.
type Info struct {
	Host    string
	Version string
	Started int64 // Unix time in microseconds, by the instance's own clock
}

// HoldReply answers a [HoldRequest].
type HoldReply struct {
	Index int
	// Fenced is the writer that lost this index to us, if any did.
	Fenced string
	// Lost says that the writer had held an index and its entry was gone: the
	// store may lack more. The new entry is Unverified.
	Lost bool
	// Now is the store's time.
	Now time.Time
}

// Lease is one living instance.
type Lease struct {
	Index    int
	Writer   string
	Deadline time.Time
	TTL      time.Duration // for which it was given; 0 where that is not known
	Lineage  string
	// Unverified says that its writer is looking for what the store may have lost.
	Unverified bool
	Info       Info
}

// GaugeOp sets or deletes one gauge of a writer.
type GaugeOp struct {
	Field  string // see GaugeField
	Value  string
	Expire time.Duration // of this entry, from when the store executes it
	Delete bool
}

// GaugeWrite is one versioned step of a writer's gauges.
type GaugeWrite struct {
	Writer  string
	Index   int
	Version uint64
	Full    bool // the ops replace everything stored
	Own     int  // how many gauges the writer has after it; 0 where it does not say
	Ops     []GaugeOp
}

// GaugeStatus is the store's answer to a [GaugeWrite].
type GaugeStatus byte

const (
	// GaugesOK: applied now.
	GaugesOK GaugeStatus = iota + 1
	// GaugesDuplicate: this version had been applied before.
	GaugesDuplicate
	// GaugesWantFull: the stored version is not the one before; send all.
	GaugesWantFull
	// GaugesLostLease: the index belongs to somebody else, or to nobody.
	GaugesLostLease
	// GaugesAhead: a later version is stored than this one. Nothing done.
	GaugesAhead
	// GaugesMixed: applied now, and there are more gauges than the writer's: a
	// full write is to remove them.
	GaugesMixed
)

// AppState is the head of a page.
type AppState struct {
	Now      time.Time
	Families []string // in no particular order
	Leases   []Lease
	// Lineage is the history that writers recorded last; empty if none did.
	// Since is when it became another one; zero if it never did.
	Lineage string
	Since   time.Time
	// Omitted is how many listed names are not in Families: of more than
	// MaxFamilies, those touched first, and what is no metric's name.
	Omitted int
	// Damaged is how many leases were not readable.
	Damaged int
}

// Writers lists the writers of the leases, in their order.
func (a AppState) Writers() []string {
	writers := make([]string, len(a.Leases))
	for i, l := range a.Leases {
		writers[i] = l.Writer
	}
	return writers
}

// Head is what a page begins with.
type Head struct {
	Lineage string // as the store told it before the rest was read
	App     AppState
	States  []FamilyState // parallel to App.Families
	Gauges  []GaugesReply // parallel to App.Leases
}

// GaugesReply is what a writer's gauges are.
type GaugesReply struct {
	Err     error // they could not be read; those of others may be fine
	Entries []Series
	Damaged int // how many were not readable
}

// FamilyState is a family's registration as stored.
type FamilyState struct {
	Err        error
	Generation string
	// SeriesVersion changes whenever series were added to the family or removed. An empty
	// one says nothing.
	SeriesVersion string
	// Created is when this generation was registered first, in microseconds
	// of the store's clock.
	Created int64
	Definition
}

// SeriesQuery names fields of a family to read.
type SeriesQuery struct {
	Family string
	Fields []string
	// Texts is how many bytes the values had the last time, by which a reading
	// is cut into pieces.
	Texts int
}

// SeriesReply runs parallel to the Fields of its [SeriesQuery].
type SeriesReply struct {
	Err    error // this family could not be read; the others may be fine
	Values []SeriesValue
	Texts  int // how many bytes they have
}

// SeriesValue is the stored text of one series, if there is one.
type SeriesValue struct {
	Text  string
	Found bool
}

// Series is one stored series, or one gauge of a writer.
type Series struct {
	Field string
	Text  string
}
