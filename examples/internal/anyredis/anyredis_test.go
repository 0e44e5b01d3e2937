// SPDX-License-Identifier: Apache-2.0

package anyredis

import (
	"strings"
	"testing"
)

// Whether the URL is right or wrong, what is logged of it has no user and no password.
func TestShown_HasNothingOfAPassword(t *testing.T) {
	for url, want := range map[string]string{
		"redis://127.0.0.1:6379/0":                             "redis://127.0.0.1:6379/0",
		"redis://me:secret@host:6379/0":                        "redis://host:6379/0",
		"rediss://:secret@host":                                "rediss://host",
		"redis://me:se@cret@host":                              "redis://host",
		"redis://host/0?username=me&password=secret":           "redis://host/0",
		"redis://me:secret@host?master_name=m&password=secret": "redis://host",
		"unix://me:secret@/run/redis.sock?db=1":                "unix:///run/redis.sock",
		"redis://me:secret%zz@host":                            "Redis",
		"redis://me:12/secret@host":                            "Redis",
		"redis://me:12#secret@host":                            "Redis",
		"redis://me:12?secret@host":                            "Redis",
		"redis://me:secret/12@host/0":                          "Redis",
		"redis:me:secret@host":                                 "Redis",
		"me:secret@host:6379":                                  "Redis",
		" redis://:secret@host":                                "Redis",
	} {
		if got := Shown(url); got != want || strings.Contains(got, "secret") || strings.Contains(got, "12") && got != "redis://127.0.0.1:6379/0" {
			t.Errorf("of %s it shows %q, want %q", url, got, want)
		}
	}
}
