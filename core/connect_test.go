// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

func TestOpen_KeepsThePasswordOutOfItsErrors(t *testing.T) {
	for _, url := range []string{
		"", "http://user:secret@host", "redis://user:secret@host:port", "redis://user:secret@host/notanumber",
		"redis://user:secret@host\x7f", "redis://user:secret@h?master_name=a&db=x",
		"redis://user:secret@h?master_name=a&replica_only=true",
	} {
		err := New().Open(url, Opts{App: "shop"})
		mentions(t, err, "Open", "redis://user:password@host")
		if strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: the error shows the password: %v", url, err)
		}
	}
}

func TestConnect_RefusesAClientWithWhichItCantKeepItsPromises(t *testing.T) {
	ring := redis.NewRing(&redis.RingOptions{Addrs: map[string]string{"a": "127.0.0.1:1"}, HeartbeatFrequency: time.Hour})
	defer func() { _ = ring.Close() }()
	for word, client := range map[string]redis.UniversalClient{"redis.Ring": ring, "is nil": nil} {
		r := New()
		mentions(t, r.Connect(client, Opts{App: "shop"}), "shoal: Connect: ", word)
		if r.conn.Load() != nil {
			t.Errorf("%s: connected all the same", word)
		}
	}
}

func TestConnect_WarnsOfASettingThatDoesHarm(t *testing.T) {
	client := redis.NewClient(&redis.Options{Addr: "127.0.0.1:1", MaxRetries: -1, DialerRetries: 1})
	defer func() { _ = client.Close() }()
	var heard troubles
	r := New()
	if err := r.Connect(client, Opts{App: "shop", ReadOnly: true, OnError: heard.add}); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close(t.Context()) }()
	if len(heard.all()) != 1 || heard.count("shoal: the Redis client: ContextTimeoutEnabled") != 1 {
		t.Errorf("OnError hears %v", heard.all())
	}
}

func TestOpen_ValidatesTheOptions(t *testing.T) {
	r := New()
	mentions(t, r.Open("redis://localhost", Opts{}), "Opts.App")
	if r.conn.Load() != nil {
		t.Error("connected all the same")
	}
}
