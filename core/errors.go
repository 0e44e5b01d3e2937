// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/shoal-metrics/shoal/core/internal/wire"
)

var (
	// ErrNotConnected is returned by calls that need Redis on a registry that
	// has not been connected. What was counted, by the call itself too, is kept
	// in memory, and delivered after Connect or Open.
	ErrNotConnected = errors.New("shoal: the registry is not connected: call Connect or Open first")
	// ErrClosed is returned by calls that need Redis on a registry of which
	// Close has begun. The value of a synchronous write goes nowhere; but if the
	// write had begun before Close, and Close gave up, the error wraps ErrLost
	// as well.
	ErrClosed = errors.New("shoal: the registry is closed")
	// ErrReadOnly is returned by synchronous writes through a registry that was
	// connected with Opts.ReadOnly. The value goes nowhere.
	ErrReadOnly = errors.New("shoal: the registry was connected with Opts.ReadOnly")
	// ErrRejected is wrapped by the error of a synchronous write whose value
	// the metric may not take (NaN, an infinity, a negative increment), or that
	// the gauge's mode does not allow. The value goes nowhere.
	ErrRejected = errors.New("shoal: value rejected")
	// ErrLost is wrapped by the error of a synchronous write of which nobody
	// can tell any more whether Redis has it. It is not sent again.
	ErrLost = errors.New("shoal: the write may be lost")
)

// DefinitionError says that a name is already declared in this process with
// another definition.
type DefinitionError struct {
	// Existing and Requested describe the two definitions.
	Existing, Requested string
}

func (e *DefinitionError) Error() string {
	fix := "use one definition, in which only the values of constant labels may differ, or another name"
	if strings.HasPrefix(e.Existing, importedPrefix) || strings.HasPrefix(e.Requested, importedPrefix) {
		fix = "leave one of the two out, or rename it"
	}
	return "shoal: already declared as " + e.Existing + ", now asked for as " + e.Requested + ": " + fix
}

// TypeClashError says that another process has registered a metric of this
// name with another type. The first one registered is shown; this process's
// values wait in memory until the name is free.
type TypeClashError struct {
	Name      string // of the metric
	Requested string // the type of this process's metric
	Existing  string // the type that Redis holds, which anybody may have written; shortened if it is long
}

func (e *TypeClashError) Error() string {
	return fmt.Sprintf("shoal: %s %q is registered in Redis as a %s by another process: "+
		"its values are withheld; rename one of the two", e.Requested, e.Name, wire.QuoteName(e.Existing))
}

// UndeliveredError says what a Flush or Close could not bring to Redis. Gauges of processes
// don't count, since they end with their process, nor do shoal's own metrics. Both numbers are
// 0 if only the release of the index failed.
type UndeliveredError struct {
	// NeverSent counts the series with values, or deletions, that were never sent or that Redis
	// refused.
	NeverSent int
	// InDoubt counts the series with values, or deletions, that were sent and of which no answer
	// says whether Redis has them. A series may count in NeverSent as well.
	InDoubt int
	// Err is the last trouble, or the context's error.
	Err error
}

func (e *UndeliveredError) Error() string {
	return onePrefix(fmt.Sprintf("shoal: not delivered: values of %d series were never sent, values of %d series are in doubt (sent without an answer): %v",
		e.NeverSent, e.InDoubt, e.Err))
}

// Unwrap returns Err.
func (e *UndeliveredError) Unwrap() error { return e.Err }

// replicaTimeout is how long Close waits for a replica.
const replicaTimeout = time.Second

// ReplicationError says that Close delivered everything, and that no replica
// has confirmed to have it: if Redis failed over now, what this process wrote
// last might be lost.
type ReplicationError struct {
	// Servers counts the servers of which no replica confirmed in time.
	Servers int
	// Err is why it is not known, if that is so.
	Err error
}

func (e *ReplicationError) Error() string {
	if e.Err != nil {
		return onePrefix(fmt.Sprintf("shoal: everything was delivered, but whether a replica has it is not known: %v", e.Err))
	}
	return fmt.Sprintf("shoal: everything was delivered, but of %d Redis servers no replica has it after %v: "+
		"a failover now would lose it", e.Servers, replicaTimeout)
}

// Unwrap returns Err.
func (e *ReplicationError) Unwrap() error { return e.Err }

// RecoveredError tells Opts.OnError that an outage that was reported is over. It is
// no trouble.
type RecoveredError struct {
	// After is the time since the first failure.
	After time.Duration
}

func (e *RecoveredError) Error() string {
	unit := 100 * time.Millisecond
	if e.After < time.Second {
		unit = time.Millisecond
	}
	return fmt.Sprintf("shoal: Redis is back after %v", e.After.Round(unit))
}

// prefixOnce returns err with a text that has the prefix "shoal: " once: the errors that
// it wraps may have it as well. It is for errors that leave the package.
func prefixOnce(err error) error {
	text := err.Error()
	if short := onePrefix(text); short != text {
		return shortenedError{err, short}
	}
	return err
}

// shortenedError is an error with another text.
type shortenedError struct {
	error
	text string
}

func (e shortenedError) Error() string { return e.text }

func (e shortenedError) Unwrap() error { return e.error }

// onePrefix removes the prefix of the wrapped errors from an error's text.
func onePrefix(text string) string {
	const prefix = "shoal: "
	rest, found := strings.CutPrefix(text, prefix)
	if !found {
		return text
	}
	return prefix + strings.NewReplacer(": "+prefix, ": ", "; "+prefix, "; ", "\n"+prefix, "\n").Replace(rest)
}
