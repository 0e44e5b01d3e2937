// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"fmt"
	"math"
)

// Why a value was refused or repaired: the label of
// shoal_rejected_observations_total.
const (
	reasonNaN         = "nan"
	reasonInfinite    = "infinite"
	reasonNegative    = "negative"
	reasonInvalidUTF8 = "invalid_utf8"
	reasonLongLabel   = "label_too_long"
	reasonAddOnLatest = "add_on_latest"
	reasonSetOnTotal  = "set_on_total"
	reasonDeletion    = "deletion_dropped"
	reasonBeyondCap   = "set_beyond_cap"
)

// remedies say what to do where a gauge's mode does not allow the method.
var remedies = map[string]string{
	reasonAddOnLatest: ": a Latest gauge can only be set; count up and down in the mode Total, or in Sum for what ends with its process",
	reasonBeyondCap:   ": the gauge has reached its cap of series, and the last value among many label sets says nothing; use fewer label values or raise Opts.SeriesLimit",
	reasonSetOnTotal:  ": a Total gauge can only be added to; set what is measured in another mode",
}

// beyondCap is the error of a value that was set where the gauge's series have reached their cap.
func beyondCap(f *family) error {
	return fmt.Errorf("%w: %s %q (%s)%s", ErrRejected, f.def.kind, f.def.name, reasonBeyondCap, remedies[reasonBeyondCap])
}

func finite(v float64) bool { return v-v == 0 }

// reasonOf names what is wrong with a value that was refused.
func reasonOf(v float64) string {
	switch {
	case math.IsNaN(v):
		return reasonNaN
	case math.IsInf(v, 0):
		return reasonInfinite
	}
	return reasonNegative
}

// rejected counts and reports a value that a synchronous write was refused, and
// returns the error.
func rejected(f *family, v float64, reason string) error {
	f.reg.reject(reason, f)
	return fmt.Errorf("%w: %s %q can't take %v (%s)%s", ErrRejected, f.def.kind, f.def.name, v, reason, remedies[reason])
}
