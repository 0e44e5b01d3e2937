// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"errors"
	"net"
)

// fault is one kind of what goes wrong, or at least happens, in a simulation.
type fault int

const (
	noFault fault = iota
	// Of one call.
	faultSlow        // the answer takes long
	faultRefused     // the server refuses: nothing is applied
	faultRefusedOne  // it refuses one call of a pipeline
	faultUnreachable // there is no connection: nothing is sent
	faultLostRequest // the connection breaks before the server has the request
	faultLostReply   // it is applied, and the reply does not come
	faultStalled     // nothing comes until the caller's time is over; perhaps it is applied
	faultLate        // the connection breaks, and the request is applied much later
	faultDuplicated  // it is answered, and applied once more later
	faultCut         // a pipeline is cut in the middle
	faultReordered   // a request is applied after a younger one of the same process
	// Of the store.
	faultOutage    // nobody can reach it
	faultPartition // one process can't reach it
	faultFailover  // a replica that lagged takes over
	faultOlder     // it restarts from an older state
	faultEmptied   // FLUSHALL
	faultBlank     // it restarts without its data
	faultHidden    // it does not tell its lineage
	faultClockForward
	faultClockBack
	faultControlLost // a family's registration is evicted
	faultValuesLost  // a family's series are evicted
	// Of processes.
	faultFrozen // beyond its lease, and thawed
	faultKilled
	faultClosed
	faultCloseInTrouble // closed while the store can't be reached
	faultStarted
	faultFenced // a replacement asks for its index
	faultSucceeded
	// Of series.
	faultSeriesAdded
	faultSeriesDeleted
	faultSeriesDeletedInPart
	faultFamilyReset
	faultEpochPassed
	faultMarksLost     // a family's marks are evicted
	faultSeriesRemoved // since nobody holds it, or it has expired
	faultToldGone      // a process hears that a series which it holds is gone
	faultKinds
)

var faultNames = [faultKinds]string{
	noFault:                  "nothing wrong",
	faultSlow:                "a slow call",
	faultRefused:             "refused",
	faultRefusedOne:          "one call of a pipeline refused",
	faultUnreachable:         "no connection",
	faultLostRequest:         "request lost",
	faultLostReply:           "applied, reply lost",
	faultStalled:             "stalled",
	faultLate:                "applied late",
	faultDuplicated:          "applied twice",
	faultCut:                 "pipeline cut",
	faultReordered:           "reordered",
	faultOutage:              "outage",
	faultPartition:           "partition",
	faultFailover:            "failover to a lagging replica",
	faultOlder:               "restart from an older state",
	faultEmptied:             "FLUSHALL",
	faultBlank:               "restart without data",
	faultHidden:              "lineage hidden",
	faultClockForward:        "clock jumps forward",
	faultClockBack:           "clock jumps back",
	faultControlLost:         "registration lost",
	faultValuesLost:          "values lost",
	faultFrozen:              "frozen beyond the lease",
	faultKilled:              "killed",
	faultClosed:              "closed",
	faultCloseInTrouble:      "closed while the store is away",
	faultStarted:             "started",
	faultFenced:              "fenced by a replacement",
	faultSucceeded:           "succeeded after its death",
	faultSeriesAdded:         "series added",
	faultSeriesDeleted:       "series deleted",
	faultSeriesDeletedInPart: "series deleted by partial match",
	faultFamilyReset:         "family reset",
	faultEpochPassed:         "epoch passed",
	faultMarksLost:           "marks lost",
	faultSeriesRemoved:       "series removed",
	faultToldGone:            "a series that is held is gone",
}

func (f fault) String() string { return faultNames[f] }

// callFaults are drawn for single calls while the network is bad. Those that find more
// mistakes are in it twice.
var callFaults = []fault{
	faultSlow, faultRefused, faultRefusedOne, faultUnreachable, faultLostRequest,
	faultLostReply, faultLostReply, faultStalled, faultLate, faultLate,
	faultDuplicated, faultDuplicated, faultCut, faultCut,
}

// errUnreachable is what dialling a dead server says.
var errUnreachable error = &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("connection refused")}
