// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"context"
	"errors"
	"net"

	"github.com/shoal-metrics/shoal/core/internal/guard"
	"github.com/shoal-metrics/shoal/core/internal/page"
	"github.com/shoal-metrics/shoal/core/internal/wire"
)

// pageReason says on the page why the metrics can't be read: enough to know what to look
// at, but not Redis's address, users or certificates, which errors name, since anybody
// may reach the page. The whole error goes to OnError.
func pageReason(err error) string {
	for _, own := range []error{ErrNotConnected, ErrClosed} {
		if errors.Is(err, own) {
			return own.Error()
		}
	}
	var recovering *page.RecoveringError
	if errors.As(err, &recovering) {
		return recovering.Error()
	}
	var leases *wire.TooManyLeasesError
	var wrong *wire.WrongTypeError
	switch {
	case errors.As(err, &leases):
		return "more processes have left leases than a page is made of"
	case errors.As(err, &wrong):
		return "the key " + wrong.Key + " is of a wrong type"
	}
	if code := wire.ReplyCode(err); code != "" {
		return "Redis refuses with " + code
	}
	var timeout net.Error
	var refused *guard.Error
	switch {
	case errors.As(err, &refused):
		return "what answers is no Redis, or it is broken"
	case errors.Is(err, context.Canceled):
		return "the scrape was given up"
	case wire.PoolTaken(err):
		return "all connections of the Redis client's pool are taken (connection pool timeout)"
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return "Redis has not answered in time (deadline exceeded)"
	case wire.HandshakeFailed(err):
		return "Redis and this process did not agree on TLS"
	case wire.Refused(err):
		return "Redis can't be reached"
	}
	return "the connection to Redis failed"
}
