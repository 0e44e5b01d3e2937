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
)

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
func rejected(f *family, v float64) error {
	f.reg.reject(reasonOf(v), f)
	return fmt.Errorf("%w: %s %q can't take %v (%s)", ErrRejected, f.def.kind, f.def.name, v, reasonOf(v))
}
