// SPDX-License-Identifier: Apache-2.0

package behaviour_test

import (
	"slices"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	shoal "github.com/shoal-metrics/shoal/core"

	"github.com/shoal-metrics/shoal/core/tests/redistest"
)

func fleetOnCluster(t testing.TB, c *redistest.Cluster) *fleet {
	t.Helper()
	change := func(o *redis.ClusterOptions) {
		o.ReadTimeout, o.WriteTimeout, o.DialTimeout = time.Second, time.Second, time.Second
		o.ContextTimeoutEnabled = true
	}
	return &fleet{
		app: appOf(t), url: c.URL(),
		connect: func(t testing.TB) redis.UniversalClient { return c.Client(t, change) },
		redis:   c.Client(t),
	}
}

// The same tests as on one server, on three masters.
func TestCluster_BehavesAsOneServerDoes(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		run  func(*testing.T)
	}{
		{"counter", TestCounter_AwaitedAddReturnsTheTotalOfTheFleet},
		{"unawaited", TestCounter_AddsThatNobodyAwaitsArriveToo},
		{"fractions", TestCounter_WholeNumbersAfterFractionsAreNotLost},
		{"edges", TestCounter_NumbersAtTheEdgesAddUpInRedis},
		{"zero", TestCounter_ItsZeroIsShownBeforeItsFirstEvent},
		{"before connect", TestRegistry_WhatWasCountedBeforeConnectIsSent},
		{"labels", TestLabels_MissingAndSurplusOnesAreRefusedOnEveryTypeAndForm},
		{"texts", TestLabels_AnyTextComesOutAsItWentIn},
		{"histogram", TestHistogram_CountsIntoItsBuckets},
		{"summary", TestSummary_ShowsSumAndCount},
		{"bad numbers", TestNoBadInputSpreads_Numbers},
		{"gauge", TestGauge_SetIncAndDecUnderTheIndexOfItsProcess},
		{"gauge expires", TestGauge_GoneAfterItsExpiryWhenRefreshingStops},
		{"gauge is refreshed", TestGauge_AliveBeyondItsExpiryWhileItIsRefreshed},
		{"modes", TestGauge_ModesFoldTheLiving},
		{"total", TestTotal_StaysRightWhenOneProcessClosesAndAnotherIsKilled},
		{"total's numbers", TestTotal_ItsZeroIsShownAndItsNumbersAddUpInRedis},
		{"total is deleted", TestTotal_DeleteAndResetActForTheFleet},
		{"a process dies", TestGaugesTellTheLiving_AKilledProcessIsGoneWithItsLease},
		{"slot", TestGaugesTellTheLiving_AnIndexIsTakenOverAtOnce},
		{"whole", TestTheScrapeIsWhole_ItReadsTheSameWhicheverProcessAnswers},
		{"consistent", TestTheScrapeIsConsistent_HistogramsBelongTogetherUnderLoad},
		{"kills", TestCountersNeverStepBack_WhenProcessesAreKilled},
		{"deploy", TestCountersNeverStepBack_OnADeploy},
		{"buckets", TestDeploy_OtherBucketsKeepEveryCountAndAscend},
		{"clash", TestDeploy_AnotherTypeIsWithheldAndReported},
		{"close", TestCloseLosesNothing},
		{"sync", TestSync_AHundredGoroutinesAddExactly},
		{"delete", TestDelete_IsForTheWholeFleet},
		{"partial match", TestDelete_PartialMatchReachesWhatOnlyOthersHold},
		{"reset", TestDelete_ResetEmptiesTheMetricAndNoOther},
		{"cap", TestCap_HoldsForTheFleetWithOneOverflowSeries},
		{"a lost key", TestOutage_AKeyOfAFamilyIsLost},
	} {
		t.Run(test.name, test.run)
	}
}

func TestCluster_FamiliesSpreadOverAllMasters(t *testing.T) {
	c := redistest.SharedCluster(t)
	f := fleetOnCluster(t, c)
	reg := f.process(t)
	requests(reg, 10)
	flush(t, reg)
	for _, node := range c.Nodes {
		if n := len(node.Client(t).Keys(t.Context(), "*{"+f.app+"/*").Val()); n < 4 {
			t.Errorf("%d keys on the master at %s", n, node.Addr)
		}
	}
}

func TestCluster_UnderLoad(t *testing.T) {
	t.Parallel()
	c := redistest.StartCluster(t)
	for name, disturb := range map[string]func(*testing.T, *fleet, *shoal.Registry){
		// The page says so, and nothing is lost.
		"every master is frozen for a while": func(t *testing.T, f *fleet, reader *shoal.Registry) {
			for _, node := range c.Nodes {
				more(t, reader, 30)
				node.Freeze(t)
				says503(t, reader)
				node.Thaw(t)
			}
		},
		"a slot moves from master to master": func(t *testing.T, f *fleet, reader *shoal.Registry) {
			eyes := c.Client(t)
			key := "shoal:1:{" + f.app + "/took_seconds}:v"
			slot := int(eyes.ClusterKeySlot(t.Context(), key).Val())
			at := slices.Index(c.Nodes, c.NodeOf(t, eyes, key))
			for range 3 {
				more(t, reader, 30)
				to := (at + 1) % len(c.Nodes)
				c.MoveSlot(t, slot, c.Nodes[at], c.Nodes[to], func() { more(t, reader, 30) })
				at = to
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := fleetOnCluster(t, c)
			regs := []*shoal.Registry{f.process(t), f.process(t)}
			loads := []*load{startLoad(t, regs[0]), startLoad(t, regs[1])}
			reader := f.reader(t)
			disturb(t, f, reader)
			more(t, reader, 30)
			total := loads[0].end() + loads[1].end()
			flush(t, regs...)
			if err := scrape(t, reader).shows(total); err != nil {
				t.Error(err)
			}
		})
	}
}
