// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"net/url"
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/shoal-metrics/shoal/core/internal/wire"
)

// What the URL of a Sentinel set says of Redis reaches the client of the master,
// and what it says of Sentinel those of the Sentinels.
func TestSentinel_EachSideHasItsOwnPartOfTheURL(t *testing.T) {
	client, err := newClient("rediss://watcher:p%40s@one:26379/3?master_name=shop&addr=two:26379&username=shop&password=s%2Fp&"+
		"protocol=2&read_timeout=7s&min_retry_backoff=1s&conn_max_lifetime=1m&skip_verify=true&use_disconnected_replicas=true", "shop")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = client.Close() }()
	master := wire.Innermost(client).(*redis.Client).Options()
	if master.Username != "shop" || master.Password != "s/p" || master.DB != 3 || master.Protocol != 2 || master.TLSConfig == nil ||
		!master.TLSConfig.InsecureSkipVerify || master.ConnMaxLifetime == 0 || master.ReadTimeout.Seconds() != 7 {
		t.Errorf("the master is asked as %+v", master)
	}
	sentinels := client.(*sentinelClient).sentinels
	if sentinels.set != "shop" || len(sentinels.clients) != 2 {
		t.Fatalf("%d Sentinels of %q", len(sentinels.clients), sentinels.set)
	}
	for i, addr := range []string{"one:26379", "two:26379"} {
		o := sentinels.clients[i].Options()
		if o.Addr != addr || o.Username != "watcher" || o.Password != "p@s" || o.DB != 0 || o.Protocol != 2 || o.TLSConfig == nil ||
			!o.TLSConfig.InsecureSkipVerify || o.ReadTimeout.Seconds() != 7 || o.PoolSize != clientPoolSize {
			t.Errorf("the Sentinel %s is asked as %+v", addr, o)
		}
	}
	mentions(t, New().Open("redis://localhost?master_name=m&replica_only=true", Opts{App: "shop"}), "replica_only")
}

func TestSentinel_ItsAnswerIsAHostAndAPort(t *testing.T) {
	for _, good := range [][]string{{"10.0.0.1", "6379"}, {"::1", "1"}, {"redis-1.example", "65535"}} {
		if !isAddress(good) {
			t.Errorf("%q is an address", good)
		}
	}
	for _, bad := range [][]string{{}, {"h"}, {"", "1"}, {"h", ""}, {"h", "0"}, {"h", "65536"}, {"h\n", "1"}, {"h x", "1"}, {"\xff", "1"}, {"h", "1", "2"}} {
		if isAddress(bad) {
			t.Errorf("%q is no address", bad)
		}
	}
}

func TestSentinel_TheMastersURLHasNothingOfSentinels(t *testing.T) {
	u, err := url.Parse("redis://watcher:secret@one/2?master_name=m&addr=two:1&password=p&pool_size=9")
	if err != nil {
		t.Fatal(err)
	}
	if got := masterURL(u); got != "redis://:p@one/2?pool_size=9" {
		t.Errorf("it is %s", got)
	}
}
