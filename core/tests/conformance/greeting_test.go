// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/shoal-metrics/shoal/core/internal/wire"
	"github.com/shoal-metrics/shoal/core/tests/redistest"
)

// A server that refuses the greeting on a new connection has been sent nothing
// else. go-redis then leaves the commands of a pipeline without an error and
// without a value.
func TestRefusedGreeting_IsTheReasonAndLeavesNothingInDoubt(t *testing.T) {
	server := redistest.Shared(t)
	client := server.Client(t, func(o *redis.Options) { o.Username, o.Password = "nobody", "wrong" })
	store := wire.NewRedis(client, "shop")
	_, err := store.ReadApp(t.Context())
	replies := store.Commit(t.Context(), []wire.Commit{step("g", 1), step("g", 2)})
	for _, err := range []error{err, replies[0].Err, replies[1].Err} {
		if err == nil || !wire.Refused(err) || !wire.Answered(err) || !strings.Contains(err.Error(), "WRONGPASS") {
			t.Errorf("the error is %v, want the refusal", err)
		}
	}
}
