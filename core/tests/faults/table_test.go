// SPDX-License-Identifier: Apache-2.0

package faults_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/shoal-metrics/shoal/core/tests/testkit"
)

// row is a row of a table of docs/faults.md. Those of a [fault] are made by tables.
type row struct {
	event, requests, scrape, totals string
	test                            string // the function's name
	file                            string // of the test, relative to the repository; this package if empty
}

const (
	goOn  = "go on"
	await = "go on; `AddSync` waits"
	// frozenToo are the totals after a frozen master resumed.
	frozenToo = "exact, though the old master executes commands that it received while frozen"
)

var failovers = []row{
	{
		"Sentinel: the master is killed, and a replica that lags takes over", await,
		"503 `Redis can't be reached`, then `recovering`", whatIsKept,
		"TestSentinel_AReplicaThatLagsTakesOver", "",
	},
	{
		"the same, but the old master restarts empty before the Sentinels name the new one", await,
		"503, then `recovering`", whatIsKept, "TestSentinel_TheOldMasterIsBackTooEarly", "",
	},
	{
		"Sentinel: the master freezes, is replaced, and resumes", await,
		"503 in time, then `recovering`", frozenToo,
		"TestSentinel_AMasterFreezesAndWakesUp", "",
	},
	{
		"`SENTINEL FAILOVER`", await, "503 `recovering`", whatIsKept,
		"TestSentinel_AFailoverInOrder", "",
	},
	{
		"Cluster: a master is killed, and a replica that lags takes over", await,
		"503 `Redis can't be reached`, `CLUSTERDOWN`, then `recovering`", whatIsKept,
		"TestCluster_AReplicaThatLagsTakesOver", "",
	},
	{
		"Cluster: a master freezes, is replaced, and resumes", await,
		"503 in time, `CLUSTERDOWN`, then `recovering`", frozenToo,
		"TestCluster_AMasterFreezesAndWakesUp", "",
	},
	{
		"`CLUSTER FAILOVER` of each master", goOn, "pages, 503 `recovering`", "exact",
		"TestCluster_AFailoverInOrder", "",
	},
	{
		"resharding: every slot of the app moves to another master", goOn,
		"pages, and sometimes a 503 `Redis refuses with TRYAGAIN`", "exact", "TestCluster_SlotsMove", "",
	},
	{
		"these faults and those above, one after another, on a server, a Sentinel set and a Cluster", await,
		"pages or 503, as above", "exact", "TestChaos", "",
	},
}

const behaviour = "core/tests/behaviour/"

var elsewhere = []row{
	{
		"a reply is lost on the way", goOn, "pages", "exact: nothing counts twice",
		"TestExactlyOnce_ALostReplyIsNotAppliedTwice", behaviour + "once_test.go",
	},
	{
		"Redis is away when the application starts", await, "503 `Redis can't be reached`", "exact",
		"TestWhenRedisIsAwayMetricsSaysSo_FromTheStart", behaviour + "away_test.go",
	},
	{
		"one of the keys `v` and `ctl` of a metric is deleted", goOn, "pages",
		"`v` deleted: its values until then are lost. `ctl` deleted: nothing is lost but batches in doubt, counted as `orphan`",
		"TestOutage_AKeyOfAFamilyIsLost", behaviour + "outage_test.go",
	},
	{
		"`FLUSHALL` under load", goOn, "pages; counters begin at 0", "what comes later is exact",
		"TestOutage_EmptiedUnderLoad", behaviour + "outage_test.go",
	},
	{
		"a process is killed", "its own end; others go on", "pages; its gauges vanish when its lease expires",
		"what it had not sent is lost: up to one interval, or the outage",
		"TestCountersNeverStepBack_AKilledProcessLosesAtMostOneInterval", behaviour + "stepback_test.go",
	},
	{
		"a rolling deploy on lines of 20 and 80 ms, after which each of 300 metrics has new series", goOn,
		"pages, and from a process that has just begun for 7.5 s at most 503", "exact", "TestLines_ADeployLeavesNobodyWithoutAPage", "",
	},
	{
		"`Close` while Redis is away", "–", "503", "what could not be delivered is in the error",
		"TestClose_SaysWhatItLeavesWhileTheStoreIsAway", "core/close_test.go",
	},
}

const root = "../../.."

// tables renders the tables of docs/faults.md by their names.
func tables() map[string]string {
	all := map[string]string{}
	here := filepath.ToSlash(filepath.Join("core", "tests", "faults"))
	for name, list := range map[string][]fault{"server": serverFaults, "network": networkFaults} {
		function := map[string]string{"server": "TestServer_Faults", "network": "TestNetwork_Faults"}[name]
		var rows []row
		for _, f := range list {
			requests := goOn
			if f.waiting() {
				requests = await
			}
			rows = append(rows, row{f.event, requests, f.scrape, f.totals, function + "/" + strings.ReplaceAll(f.name, " ", "_"), here})
		}
		all[name] = render(rows)
	}
	all["failover"], all["elsewhere"] = render(failovers), render(elsewhere)
	return all
}

func render(rows []row) string {
	var b strings.Builder
	b.WriteString("| what happens | requests | the scrape | the totals | test |\n| --- | --- | --- | --- | --- |\n")
	for _, r := range rows {
		fmt.Fprintf(&b, "| %s | %s | %s | %s | `%s` |\n", r.event, r.requests, r.scrape, r.totals, r.test)
	}
	return b.String()
}

// TestDocs_FaultsAreWhatTheTestsShow holds docs/faults.md to the tables here.
// With -update it writes them.
func TestDocs_FaultsAreWhatTheTestsShow(t *testing.T) {
	file := filepath.Join(root, "docs", "faults.md")
	raw, err := os.ReadFile(file)
	testkit.Must(t, err)
	text := string(raw)
	for name, table := range tables() {
		begin, end := "<!-- table: "+name+" -->\n", "<!-- end -->\n"
		before, rest, found := strings.Cut(text, begin)
		old, after, closed := strings.Cut(rest, end)
		switch {
		case !found || !closed:
			t.Errorf("docs/faults.md has no table %s", name)
		case old != table && !*update:
			t.Errorf("docs/faults.md differs from the tests in the table %s; go test -run Docs -update writes:\n%s", name, table)
		default:
			text = before + begin + table + end + after
		}
	}
	if *update && !t.Failed() {
		testkit.Must(t, os.WriteFile(file, []byte(text), 0o644))
	}
}

func TestDocs_FaultsNameTestsThatExist(t *testing.T) {
	own, err := filepath.Glob("*_test.go")
	testkit.Must(t, err)
	for _, r := range append(append([]row{}, failovers...), elsewhere...) {
		files := own
		if r.file != "" {
			files = []string{filepath.Join(root, filepath.FromSlash(r.file))}
		}
		found := false
		for _, file := range files {
			text, err := os.ReadFile(file)
			testkit.Must(t, err)
			found = found || strings.Contains(string(text), "\nfunc "+r.test+"(t *testing.T)")
		}
		if !found {
			t.Errorf("there is no test %s", r.test)
		}
	}
	for _, f := range append(append([]fault{}, serverFaults...), networkFaults...) {
		if f.name == "" || f.event == "" || f.scrape == "" || f.totals == "" || f.begin == nil {
			t.Errorf("the fault %q is not complete", f.name)
		}
	}
}
