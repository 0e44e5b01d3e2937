// SPDX-License-Identifier: Apache-2.0

// Package anyredis lets the examples run without a Redis at hand.
package anyredis

import (
	"fmt"

	"github.com/shoal-metrics/shoal/embedded"
)

// Open returns url, or the URL of an embedded Redis if that is empty, and what
// ends it. Call stop last: registries need Redis to close.
func Open(url string) (used string, stop func(), err error) {
	if url != "" {
		return url, func() {}, nil
	}
	server, err := embedded.Start("")
	if err != nil {
		return "", nil, fmt.Errorf("no -redis URL was given: %w", err)
	}
	return server.URL(), server.Close, nil
}
