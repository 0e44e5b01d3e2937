// SPDX-License-Identifier: Apache-2.0

package redisclient

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"
)

// serverKind is what a Redis URL names.
type serverKind int

const (
	singleServer serverKind = iota
	sentinelSet
	clusterServers
)

// kindOf tells the kind by the URL's parameters.
func kindOf(query url.Values) serverKind {
	switch {
	case query.Has("master_name"):
		return sentinelSet
	case query.Has("addr"):
		return clusterServers
	}
	return singleServer
}

// parses returns go-redis's error for a URL of this kind.
func (k serverKind) parses(text string) error {
	var err error
	switch k {
	case sentinelSet:
		_, err = redis.ParseFailoverURL(text)
	case clusterServers:
		_, err = redis.ParseClusterURL(text)
	default:
		_, err = redis.ParseURL(text)
	}
	return err
}

// parseURL checks a Redis URL. Its error says which part is wrong and quotes nothing of
// the URL, which may hold a password. Even the parser's own words would show one: for
// redis://user:pass#word@host it calls "pass" a port, for redis://user:12/word@host it
// calls "word@host" a database.
func parseURL(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil {
		return nil, badURL(unparsable(err))
	}
	if reason := wrongPart(text, u); reason != "" {
		return nil, badURL(reason)
	}
	return u, nil
}

// unusable is the reason where it is not known which part is wrong.
const unusable = "its host, its database or one of its parameters is not valid"

func badURL(reason string) error {
	return fmt.Errorf("the Redis URL is not usable: %s; give redis://user:password@host:6379/0, "+
		"with @ : / ? # and %% in the password written as %%40 %%3A %%2F %%3F %%23 %%25", reason)
}

// unparsable names the part that keeps a URL from being parsed.
func unparsable(err error) string {
	var parse *url.Error
	errors.As(err, &parse)
	words := parse.Err.Error() // which quote the part: keep them to ourselves
	for _, p := range []struct{ sign, reason string }{
		{"invalid control character", "it has a control character, such as the end of a line"},
		{"missing protocol scheme", "it has no scheme"},
		{"first path segment", "it has no scheme"},
		{"invalid port", "its port is not a number"},
		{"invalid URL escape", "it has a % without two hexadecimal digits behind it"},
		{"invalid userinfo", "its user or its password has a character that must be escaped"},
		{"missing ']'", "its host lacks a ]"},
		{"invalid character", "its host has a character that no host has"},
		{"invalid host", "its host is not valid"},
	} {
		if strings.HasPrefix(strings.TrimPrefix(words, "net/url: "), p.sign) {
			return p.reason
		}
	}
	return "it does not parse"
}

// wrongPart names what is wrong with a URL that net/url parsed, or returns "".
func wrongPart(text string, u *url.URL) string {
	query, err := url.ParseQuery(u.RawQuery)
	kind := kindOf(query)
	database := strings.FieldsFunc(u.Path, func(r rune) bool { return r == '/' })
	port, _ := strconv.Atoi(u.Port())
	switch {
	case strings.Contains(text, "#"): // what follows may be the rest of a password
		return "it has a # in it"
	case text == "":
		return "it is empty"
	case u.Scheme == "":
		return "it has no scheme"
	case u.Scheme != "redis" && u.Scheme != "rediss" && u.Scheme != "unix":
		return "its scheme is not redis, rediss or unix"
	case !strings.Contains(text, "://"):
		return "it lacks the // behind its scheme"
	case err != nil:
		return "its parameters, behind the ?, do not parse"
	case u.Scheme == "unix" && kind != singleServer:
		return "its scheme is unix, which goes neither with addr nor with master_name"
	case u.Scheme == "unix" && u.Path == "":
		return "it names no socket, as unix:///run/redis.sock does"
	case u.Scheme != "unix" && u.Port() != "" && (port < 1 || port > 65535):
		return "its port is not a number from 1 to 65535"
	case u.Scheme != "unix" && len(database) > 1:
		return "its path, behind the host, is more than the number of a database"
	case u.Scheme != "unix" && len(database) == 1 && !isDatabase(database[0]):
		return "its database, behind the host, is not a number from 0 up"
	}
	if reason := wrongParameter(u, query, kind); reason != "" {
		return reason
	}
	if kind.parses(text) != nil {
		return unusable
	}
	return ""
}

func isDatabase(text string) bool {
	n, err := strconv.Atoi(text)
	return err == nil && n >= 0
}

// wrongParameter has go-redis parse each parameter alone, and names the one that fails.
// It names only parameters that go-redis knows: any other may be the rest of a password.
func wrongParameter(u *url.URL, query url.Values, kind serverKind) string {
	base := u.Scheme + "://host?"
	if u.Scheme == "unix" {
		base = "unix:///socket?"
	}
	if kind == sentinelSet {
		base += "master_name=m&"
	}
	names := make([]string, 0, len(query))
	for name := range query {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		values := query[name]
		reason := fmt.Sprintf("its parameter %s is not valid", name)
		switch {
		case name == "master_name":
			if values[len(values)-1] == "" {
				return "its parameter master_name is empty"
			}
			continue
		case name == "addr": // it can't be empty
		case kind.parses(base+url.Values{name: {""}}.Encode()) != nil:
			return "one of its parameters is none that go-redis knows for this kind of Redis"
		case name == "db" && values[len(values)-1] != "" && !isDatabase(values[len(values)-1]):
			return reason
		case kind == sentinelSet && strings.HasPrefix(name, "route_"):
			return fmt.Sprintf("its parameter %s does not go with Sentinel", name)
		}
		if kind.parses(base+url.Values{name: values}.Encode()) != nil {
			return reason
		}
	}
	return ""
}
