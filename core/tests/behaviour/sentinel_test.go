// SPDX-License-Identifier: Apache-2.0

package behaviour_test

import (
	"strings"
	"testing"

	shoal "github.com/shoal-metrics/shoal/core"

	"github.com/shoal-metrics/shoal/core/tests/redistest"
	"github.com/shoal-metrics/shoal/core/tests/testkit"
)

// Sentinel and Redis each have a user and a password. In a URL those of Sentinel stand before the
// @, and those of Redis are parameters.
func TestOpen_SentinelAndRedisHavePasswordsOfTheirOwn(t *testing.T) {
	t.Parallel()
	set := redistest.StartSentinel(t)
	user := func(s *redistest.Server, name, password string) {
		t.Helper()
		client := s.Client(t) // its connection is authenticated before the password is set
		setUser(t, client, name, "on", ">"+password, "~*", "&*", "+@all")
		setUser(t, client, "default", "resetpass", ">unknown")
	}
	var sentinels []string
	for _, s := range set.Sentinels {
		user(s, "watcher", "s3cret-of@sentinel")
		sentinels = append(sentinels, s.Addr)
	}
	user(set.Master, "shop", "s3cret-of@redis")
	url := func(userinfo, parameters string) string {
		return "redis://" + userinfo + sentinels[0] + "/0?master_name=shop&addr=" + strings.Join(sentinels[1:], "&addr=") + parameters
	}
	const watcher, shop = "watcher:s3cret-of%40sentinel@", "&username=shop&password=s3cret-of%40redis"

	reg := fleetAt(t, url(watcher, shop)).opened(t)
	reg.NewCounter(shoal.CounterOpts{Name: "jobs_total"}).Add(3)
	flush(t, reg)
	testkit.Scrape(t, reg).Want(t, "jobs_total", "3")
	closeAll(t, reg)

	for name, tt := range map[string]struct{ url, want string }{
		"no password of Redis":       {url(watcher, ""), "NOAUTH"},
		"no password of Sentinel":    {url("", shop), "NOAUTH"},
		"a wrong one of Redis":       {url(watcher, "&username=shop&password=s3cret"), "WRONGPASS"},
		"a wrong one of Sentinel":    {url("watcher:s3cret@", shop), "WRONGPASS"},
		"that of Redis for Sentinel": {url("shop:s3cret-of%40redis@", ""), "WRONGPASS"},
	} {
		log := new(testkit.Heard)
		reg := fleetAt(t, tt.url).opened(t, logging(log))
		requests(reg, 10)
		logsSomething(t, log)
		says503(t, reg)
		_ = reg.Close(testkit.Shortly(t))
		text := log.String()
		if len(linesOf(log)) != 1 || !strings.Contains(text, tt.want) || !strings.Contains(text, "what stands before the @ goes to Sentinel") ||
			strings.Contains(text, "s3cret") {
			t.Errorf("%s: the log is\n%s", name, text)
		}
	}
}
