// SPDX-License-Identifier: Apache-2.0

package redisclient

import (
	"fmt"
	"strings"
	"testing"
)

func TestNew_SaysWhichPartOfItsURLIsWrong(t *testing.T) {
	for url, part := range map[string]string{
		"":                                     "it is empty",
		"localhost":                            "no scheme",
		"//localhost:6379":                     "no scheme",
		"127.0.0.1:6379":                       "no scheme",
		"localhost:6379":                       "scheme is not",
		"http://localhost":                     "scheme is not",
		"redis:localhost":                      "lacks the //",
		"redis:/localhost":                     "lacks the //",
		"redis://localhost:6379\n":             "control character",
		"redis://localhost:port":               "port is not a number",
		"redis://localhost:6379x/0":            "port is not a number",
		"redis://localhost:0":                  "port is not a number from 1",
		"redis://localhost:70000":              "port is not a number from 1",
		"redis://local host":                   "host has a character",
		"redis://[::1":                         "host lacks a ]",
		"redis://user:pa%ss@localhost":         "% without",
		"redis://user:pa ss@localhost":         "user or its password",
		"redis://user:pa#ss@localhost":         "port is not a number", // what is before the # is the host
		"redis://localhost#x":                  "a # in it",
		"redis://localhost#":                   "a # in it",
		"redis://localhost/shop":               "database, behind the host",
		"redis://localhost/-1":                 "database, behind the host",
		"redis://localhost/0/1":                "more than the number of a database",
		"redis://localhost?db=x":               "parameter db ",
		"redis://localhost?db=-1":              "parameter db ",
		"redis://localhost?read_timeout=never": "parameter read_timeout ",
		"redis://localhost?pool_size=many":     "parameter pool_size ",
		"redis://localhost?pool_fifo=perhaps":  "parameter pool_fifo ",
		"redis://localhost?pool_size=3&dial_timeout=x&read_timeout=1s": "parameter dial_timeout ",
		"redis://localhost?nosuch=1":                                   "one of its parameters is none",
		"redis://localhost?pool_size=%zz":                              "parameters, behind the ?, do not parse",
		"redis://localhost?pool_size=3;db=1":                           "parameters, behind the ?, do not parse",
		"redis://localhost?addr=localhost":                             "parameter addr ",
		"redis://localhost?addr=":                                      "parameter addr ",
		"redis://localhost?addr=h:1&nosuch=1":                          "one of its parameters is none",
		"redis://localhost?addr=h:1&pool_size=x":                       "parameter pool_size ",
		"redis://localhost?master_name=":                               "parameter master_name is empty",
		"redis://localhost?master_name=m&db=x":                         "parameter db ",
		"redis://localhost?master_name=m&addr=x":                       "parameter addr ",
		"redis://localhost?master_name=m&route_randomly=1":             "route_randomly does not go with Sentinel",
		"redis://localhost?master_name=m&sentinel_password=x":          "one of its parameters is none",
		"unix://":                         "names no socket",
		"unix:///run/redis.sock?db=x":     "parameter db ",
		"unix:///run/redis.sock?addr=h:1": "scheme is unix",
	} {
		_, err := New(url, "shop")
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("%q gives %v, want %q", url, err, part)
		}
	}
}

func TestNew_TakesEveryURLThatGoRedisUnderstands(t *testing.T) {
	for _, url := range []string{
		"redis://", "redis://localhost", "redis://localhost/", "redis://localhost/3", "redis://:6379", "redis://[::1]:6379",
		"redis://:pass@localhost", "redis://user:p%40s%3A%2F%3F%23%25s@localhost", "redis://user@localhost",
		"rediss://localhost?skip_verify=true", "redis://localhost?db=3&read_timeout=&write_timeout=5&max_retries=-1&protocol=2",
		"redis://localhost?addr=a:1&addr=b:2&max_redirects=4", "redis://localhost?master_name=m&username=u&password=p&addr=a:1",
		"redis://localhost?master_name=m&replica_only=false&db=2", "unix:///run/redis.sock?db=2", "unix://user:pass@/run/redis.sock",
	} {
		client, err := New(url, "shop")
		if err != nil {
			t.Errorf("%s: %v", url, err)
			continue
		}
		_ = client.Close()
	}
}

// Whatever characters a password has, and whatever part of the URL they make it look
// like, the error quotes no word of it.
func TestNew_NoPartOfASecretIsInTheErrorOfItsURL(t *testing.T) {
	const special = "@:/?#%[]&=;+ \\\"'<>^`{|}~!$*(),\n\x7f\x00ä"
	secrets := []string{"zq1", "jx2", "wv3"}
	for _, a := range special {
		for _, b := range special {
			password := secrets[0] + string(a) + secrets[1] + string(b) + secrets[2]
			for _, format := range []string{
				"redis://user:%s@localhost:6379/0", "redis://user:12%s@localhost/0", "rediss://:%s@localhost?pool_size=3",
				"redis://%s@localhost", "redis://localhost/0?master_name=m&password=%s", "redis://user:%s@h?addr=h:1", "%s", "%s://h",
				"unix://:%s@/run/redis.sock?db=1", "redis://localhost?%s=1", "redis://localhost/%s", "redis://localhost:%s",
			} {
				url := fmt.Sprintf(format, password)
				client, err := New(url, "shop")
				if err == nil {
					_ = client.Close()
					continue
				}
				for _, secret := range secrets {
					if strings.Contains(err.Error(), secret) {
						t.Errorf("%q gives %v", url, err)
					}
				}
			}
		}
	}
}
