// SPDX-License-Identifier: Apache-2.0

package behaviour_test

import (
	"fmt"
	"testing"

	shoal "github.com/shoal-metrics/shoal/core"
	"github.com/shoal-metrics/shoal/core/tests/redistest"
)

// Tests of a single server, on a Cluster of three masters.
func TestCluster_BehavesAsOneServerDoes(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]func(*testing.T){
		"counter":        TestCounter_AwaitedAddReturnsTheTotalOfTheFleet,
		"unawaited":      TestCounter_AddsThatNobodyAwaitsArriveToo,
		"fractions":      TestCounter_WholeNumbersAfterFractionsAreNotLost,
		"edges":          TestCounter_NumbersAtTheEdgesAddUpInRedis,
		"zero":           TestCounter_ItsZeroIsShownBeforeItsFirstEvent,
		"texts":          TestLabels_AnyTextComesOutAsItWentIn,
		"histogram":      TestHistogram_CountsIntoItsBuckets,
		"summary":        TestSummary_ShowsSumAndCount,
		"bad numbers":    TestNoBadInputSpreads_Numbers,
		"gauge":          TestGauge_SetIncAndDecUnderTheIndexOfItsProcess,
		"gauge expires":  TestGauge_GoneAfterItsExpiryWhenRefreshingStops,
		"modes":          TestGauge_ModesFoldTheLiving,
		"total":          TestTotal_StaysRightWhenOneProcessClosesAndAnotherIsKilled,
		"a process dies": TestGaugesTellTheLiving_AKilledProcessIsGoneWithItsLease,
		"index":          TestGaugesTellTheLiving_AnIndexIsTakenOverAtOnce,
		"whole":          TestTheScrapeIsWhole_ItReadsTheSameWhicheverProcessAnswers,
		"consistent":     TestTheScrapeIsConsistent_HistogramsBelongTogetherUnderLoad,
		"kills":          TestCountersNeverStepBack_WhenProcessesAreKilled,
		"deploy":         TestCountersNeverStepBack_OnADeploy,
		"buckets":        TestDeploy_OtherBucketsKeepEveryCountAndAscend,
		"close":          TestCloseLosesNothing,
		"sync":           TestSync_AHundredGoroutinesAddExactly,
		"delete":         TestDelete_IsForTheWholeFleet,
		"partial match":  TestDelete_PartialMatchReachesWhatOnlyOthersHold,
		"reset":          TestDelete_ResetEmptiesTheMetricAndNoOther,
		"cap":            TestCap_HoldsForTheFleetWithOneOverflowSeries,
		"a lost key":     TestOutage_AKeyOfAFamilyIsLost,
	} {
		t.Run(name, test)
	}
}

func TestCluster_FamiliesSpreadOverAllMasters(t *testing.T) {
	t.Parallel()
	c := redistest.SharedCluster(t)
	f := fleetOnCluster(t, c)
	f.app = "spread" // the name decides where its families are
	reg := f.process(t)
	requests(reg, 10)
	for i := range 12 {
		reg.NewCounter(shoal.CounterOpts{Name: fmt.Sprintf("c%d_total", i)}).Inc()
	}
	flush(t, reg)
	for _, node := range c.Nodes {
		if n := len(node.Client(t).Keys(t.Context(), "*{"+f.app+"/*").Val()); n < 4 {
			t.Errorf("%d keys on the master at %s", n, node.Addr)
		}
	}
}
