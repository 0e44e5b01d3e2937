// SPDX-License-Identifier: Apache-2.0

package prometheus_test

import (
	"testing"
	"time"

	"github.com/shoal-metrics/shoal/core/tests/redistest"
)

const processes = 8

// Eight processes of a program that knows only client_golang, and one that does all their work
// alone, have the same page.
func TestFleet_IsLikeOneProcessThatDidAllTheWork(t *testing.T) {
	t.Parallel()
	f := startFleet(t, redistest.Shared(t).URL(), processes, func(c *childConfig) {
		c.Orders = 1000 + 37*len(c.Worker)
		c.Period = time.Hour // only what is asked for
	})
	for _, c := range f.living {
		c.counted = c.tell("finish")
	}
	f.likeOneProcess()
	f.close()
	f.balances()
}

func TestFleet_ProcessesAreKilledAndRedisIsKilledAndRestarted(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, "--appendonly", "yes", "--appendfsync", "always")
	f := startFleet(t, server.URL(), processes)
	f.works()
	f.deliver(2)
	f.works()
	f.kill(2)
	f.replace(2)
	f.works()
	for range 2 {
		f.deliver(3)
		server.Kill()
		f.kill(1) // while Redis is away
		server.Restart(t)
		f.kill(1) // maybe before it has sent what it counted meanwhile
		f.replace(2)
		f.works()
	}
	f.close()
	f.balances()
}

func TestFleet_ProcessesAreKilledAndRedisFailsOver(t *testing.T) {
	t.Parallel()
	s := redistest.StartSentinel(t)
	f := startFleet(t, s.URL(), processes)
	f.works()
	f.deliver(3)
	for _, r := range s.Replicas {
		r.InSync(t)
	}
	s.Master.Kill()
	f.kill(1)
	s.Agreed(t, s.Replicas[0])
	f.kill(1)
	s.Master.Restart(t) // empty; the Sentinels make it a replica
	f.replace(2)
	f.works()
	f.deliver(2)
	f.kill(2)
	f.replace(2)
	f.works()
	s.Replicas[1].InSync(t)
	s.Ready(t)
	s.Failover(t)
	s.Agreed(t, s.Replicas[1])
	f.works()
	f.close()
	f.balances()
}
