// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"errors"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoal-metrics/shoal/core/internal/memstore"
)

// A key that is not shoal's lies where one family's data belongs, so no flush succeeds. When
// Redis was away meanwhile, its return is reported all the same, each time.
func TestRecovered_IsReportedThoughOneFamilyIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := memstore.New()
		var heard troubles
		reg := process(t, server, Opts{OnError: heard.add})
		c := reg.NewCounter(CounterOpts{Name: "c_total"})
		var away atomic.Bool
		server.Fail(func(op string) error {
			switch {
			case away.Load():
				return io.EOF
			case strings.HasSuffix(op, " c_total"):
				return memstore.RefusedError("WRONGTYPE Operation against a key holding the wrong kind of value")
			}
			return nil
		})
		for range 2 {
			c.Inc()
			elapse(5 * time.Minute)
			away.Store(true)
			elapse(2 * time.Minute)
			away.Store(false)
			elapse(time.Minute)
		}
		heard.mu.Lock()
		defer heard.mu.Unlock()
		told := 0
		for _, err := range heard.list {
			var back *RecoveredError
			if errors.As(err, &back) {
				told++
				if back.After > 2*time.Minute+10*time.Second {
					t.Errorf("an outage of 2 minutes was one of %v", back.After)
				}
			}
		}
		if told != 2 {
			t.Errorf("told %d times that Redis is back, want 2: %q", told, heard.list)
		}
	})
}
