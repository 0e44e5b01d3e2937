// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"crypto/rand"
	"testing"

	shoal "github.com/shoal-metrics/shoal/core"
	"github.com/shoal-metrics/shoal/core/tests/redistest"
)

func TestFamily_IsNeverKeptAsAListThatRedisWalksThrough(t *testing.T) {
	server := redistest.Shared(t)
	client := server.Client(t)
	app := rand.Text()
	reg := shoal.New()
	if err := reg.Open(server.URL(), shoal.Opts{App: app}); err != nil {
		t.Fatal(err)
	}
	reg.NewCounter(shoal.CounterOpts{Name: "a"}).Inc()
	if err := reg.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"ctl", "v"} {
		key = "shoal:1:{" + app + "/a}:" + key
		if encoding := client.ObjectEncoding(t.Context(), key).Val(); encoding != "hashtable" {
			t.Errorf("%s is kept as a %s", key, encoding)
		}
	}
}
