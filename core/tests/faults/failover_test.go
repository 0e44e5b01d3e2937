// SPDX-License-Identifier: Apache-2.0

package faults_test

import (
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	shoal "github.com/shoal-metrics/shoal/core"

	"github.com/shoal-metrics/shoal/core/tests/redistest"
	"github.com/shoal-metrics/shoal/core/tests/testkit"
)

// asDefault gives an application the default lease, on which the length of recovery depends.
func asDefault(o *shoal.Opts) { o.LeaseDuration = shoal.DefLeaseDuration }

// A failover that the writers survive loses nothing, and no page shows a counter fall, though
// the master acknowledged batches that its replica never received.
func TestSentinel_AReplicaThatLagsTakesOver(t *testing.T) {
	t.Parallel()
	for i := range *runs {
		t.Run(strconv.Itoa(i+1), func(t *testing.T) {
			s := redistest.StartSentinel(t)
			a := startApp(t, s.URL(), asDefault)
			s.Replicas[0].InSync(t)
			s.Replicas[0].Stall(t)
			lag := a.lag(t)
			s.Master.Kill()
			s.Agreed(t, s.Replicas[0])
			s.Master.Restart(t) // empty; the Sentinels make it a replica
			a.survives(t, lag)
			a.recovered(t)
		})
	}
}

// A supervisor restarts the killed master before all Sentinels name the new one. The old
// master is empty, and clients still connect to it.
func TestSentinel_TheOldMasterIsBackTooEarly(t *testing.T) {
	t.Parallel()
	s := redistest.StartSentinel(t)
	a := startApp(t, s.URL(), asDefault)
	s.Replicas[0].InSync(t)
	s.Replicas[0].Stall(t)
	lag := a.lag(t)
	s.Master.Kill()
	s.Replicas[0].Becomes(t, "master")
	s.Master.Restart(t)
	s.Agreed(t, s.Replicas[0])
	a.survives(t, lag)
}

func TestCluster_AReplicaThatLagsTakesOver(t *testing.T) {
	t.Parallel()
	for i := range *runs {
		t.Run(strconv.Itoa(i+1), func(t *testing.T) {
			c := redistest.StartClusterWithReplicas(t)
			a := startApp(t, c.URL(), asDefault)
			i := a.shard(t, c, "jobs_total")
			c.Replicas[i].InSync(t)
			c.Replicas[i].Stall(t)
			lag := a.lag(t)
			c.Nodes[i].Kill()
			c.Replicas[i].Becomes(t, "master")
			c.Nodes[i].Restart(t) // the other nodes tell it at once that it is a replica now
			a.survives(t, lag)
			a.recovered(t)
		})
	}
}

// A frozen master is replaced, then resumes and executes the requests that it received while
// it was frozen.
func TestSentinel_AMasterFreezesAndWakesUp(t *testing.T) {
	t.Parallel()
	s := redistest.StartSentinel(t)
	a := startApp(t, s.URL(), asDefault)
	s.Master.Freeze(t)
	s.Agreed(t, s.Replicas[0])
	s.Master.Thaw(t)
	a.survives(t, 0)
}

func TestCluster_AMasterFreezesAndWakesUp(t *testing.T) {
	t.Parallel()
	c := redistest.StartClusterWithReplicas(t)
	a := startApp(t, c.URL(), asDefault)
	i := a.shard(t, c, "jobs_total")
	c.Nodes[i].Freeze(t)
	c.Replicas[i].Becomes(t, "master")
	c.Nodes[i].Thaw(t)
	a.survives(t, 0)
}

// An operator orders a failover.
func TestSentinel_AFailoverInOrder(t *testing.T) {
	t.Parallel()
	s := redistest.StartSentinel(t)
	a := startApp(t, s.URL(), asDefault)
	s.Failover(t)
	s.Agreed(t, s.Replicas[0])
	a.survives(t, 0)
}

func TestCluster_AFailoverInOrder(t *testing.T) {
	t.Parallel()
	c := redistest.StartClusterWithReplicas(t)
	a := startApp(t, c.URL(), asDefault)
	for _, r := range c.Replicas {
		r.TakeOver(t)
	}
	a.survives(t, 0)
}

// Every metric of the application moves from master to master, and back.
func TestCluster_SlotsMove(t *testing.T) {
	t.Parallel()
	c := redistest.StartClusterWithReplicas(t)
	a := startApp(t, c.URL(), asDefault)
	for range 2 {
		a.reshard(t, c)
	}
	a.survives(t, 0)
}

// reshard moves the slots of all metrics to the next master.
func (a *app) reshard(t *testing.T, c *redistest.Cluster) {
	t.Helper()
	client := c.Client(t)
	families, err := client.ZRange(t.Context(), "shoal:1:{"+a.name+"}:families", 0, -1).Result()
	testkit.Must(t, err)
	tags := []string{a.name}
	for _, f := range families {
		tags = append(tags, a.name+"/"+f)
	}
	for _, tag := range tags {
		owners := c.Masters(t)
		slot := int(client.ClusterKeySlot(t.Context(), "{"+tag+"}").Val())
		i := slices.IndexFunc(owners, func(o redistest.Owner) bool { return o.Has(slot) })
		c.MoveSlot(t, slot, owners[i].Server, owners[(i+1)%len(owners)].Server, func() {})
	}
}

// lag lets the application count while a replica is stalled, and returns at least how
// many events the master acknowledged meanwhile.
func (a *app) lag(t *testing.T) int64 {
	t.Helper()
	a.flush(t) // the replica may still have received these
	before := a.counted()
	a.more(t, 300)
	n := a.counted()
	a.flush(t)
	return n.events - before.events
}

// shard returns the index in c.Nodes of the master that has a family.
func (a *app) shard(t *testing.T, c *redistest.Cluster, family string) int {
	t.Helper()
	return slices.Index(c.Nodes, c.NodeOf(t, c.Client(t), "shoal:1:{"+a.name+"/"+family+"}:v"))
}

// survives fails the test unless, after a change of the master, requests went on, the
// totals are exact and no counter fell.
func (a *app) survives(t *testing.T, lag int64) {
	t.Helper()
	begin := time.Now()
	a.more(t, 30)
	t.Logf("the page was back %v after the change; the new master lacked %d events", time.Since(begin).Round(time.Millisecond), lag)
	a.exact(t, tally{})
	a.watch.eventually(t, a.watch.mark(), idle)
	a.unnoticed(t)
	a.watch.neverFell(t)
	a.watch.end()
	a.close(t)
}

// recovered fails the test unless a scrape was answered 503 recovering.
func (a *app) recovered(t *testing.T) {
	t.Helper()
	for _, answer := range a.watch.since(0) {
		if strings.Contains(answer.reason, "recovering") {
			return
		}
	}
	t.Error("no scrape was told that the page is recovering")
}
