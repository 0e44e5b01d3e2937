// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"fmt"
	"strings"

	"github.com/shoal-metrics/shoal/core/internal/wire"
)

// refusals are what an import refused.
type refusals []refusedFamily

type refusedFamily struct {
	name string
	err  error
}

// orNil returns the error of an import.
func (r refusals) orNil() error {
	if len(r) == 0 {
		return nil
	}
	return r
}

// Error begins with the names of all, since a log has no room for every reason.
func (r refusals) Error() string {
	reasons := wire.Join(r.Unwrap()...).Error()
	if len(r) == 1 {
		return reasons
	}
	const most = 40
	var names []string
	for _, one := range r[:min(len(r), most)] {
		names = append(names, wire.QuoteName(one.name))
	}
	if more := len(r) - len(names); more > 0 {
		names = append(names, fmt.Sprintf("%d more", more))
	}
	return fmt.Sprintf("shoal: import of %d metrics (%s): %s", len(r), strings.Join(names, ", "), reasons)
}

func (r refusals) Unwrap() (errs []error) {
	for _, one := range r {
		errs = append(errs, one.err)
	}
	return errs
}
