// SPDX-License-Identifier: Apache-2.0

package httpmetrics

import (
	"fmt"
	"strings"
	"testing"

	"github.com/shoal-metrics/shoal/core/shoaltest"
)

func TestMethods_EveryKnownOneHasItsOwnName(t *testing.T) {
	for n, name := range knownMethods {
		if got := knownMethod(name); int(got) != n {
			t.Errorf("%q is number %d, want %d", name, got, n)
		}
	}
}

func TestMethods_QueryIsKnownAndOptsAddsFurtherOnes(t *testing.T) {
	tests := []struct {
		names        Names
		further      []string
		method, want string
	}{
		{method: "QUERY", want: "QUERY"},
		{method: "query", want: "other"},
		{method: "PROPFIND", want: "other"},
		{further: []string{"PROPFIND", "MKCOL"}, method: "MKCOL", want: "MKCOL"},
		{further: []string{"PROPFIND"}, method: "propfind", want: "other"},
		{further: []string{"PROPFIND"}, method: "PROPPATCH", want: "other"},
		{further: []string{"VERSION-CONTROL", "M-SEARCH"}, method: "M-SEARCH", want: "M-SEARCH"},
		{further: []string{"GET", "PURGE", "PURGE", "QUERY"}, method: "PURGE", want: "PURGE"},
		{further: []string{"GET"}, method: "GET", want: "GET"},
		{further: []string{"GET"}, method: "", want: "other"},
		{names: OpenTelemetryNames(), method: "QUERY", want: "QUERY"},
		{names: OpenTelemetryNames(), method: "BREW", want: "_OTHER"},
		{names: OpenTelemetryNames(), further: []string{"BREW"}, method: "BREW", want: "BREW"},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprintf("%q with %v", tt.method, tt.further), func(t *testing.T) {
			reg := shoaltest.New(t)
			opts := Opts{Names: tt.names, Methods: tt.further}
			NewRecorder(reg, opts).Record(Observation{Method: tt.method, Route: "/r", Code: 200})
			n := opts.withDefaults().Names
			if got := shoaltest.Value(t, reg, n.Requests, n.Method, tt.want, n.Route, "/r", n.Code, "200"); got != 1 {
				t.Errorf("recorded %v times as %s, want once", got, tt.want)
			}
		})
	}
}

func TestMethods_TwoRecordersMayDifferInThem(t *testing.T) {
	reg := shoaltest.New(t)
	plain, dav := NewRecorder(reg, Opts{}), NewRecorder(reg, Opts{Methods: []string{"LOCK", "PROPFIND"}})
	for _, rec := range []*Recorder{plain, dav} {
		rec.Record(Observation{Method: "PROPFIND", Route: "/r", Code: 207})
	}
	for _, method := range []string{"other", "PROPFIND"} {
		if got := shoaltest.Value(t, reg, "http_requests_total", "method", method, "route", "/r", "code", "207"); got != 1 {
			t.Errorf("%v requests as %s, want 1", got, method)
		}
	}
}

func TestMethods_WhatMakesNoSenseIsRefusedByName(t *testing.T) {
	many := make([]string, maxFurtherMethods+1)
	for i := range many {
		many[i] = fmt.Sprintf("M%d", i)
	}
	for _, tt := range []struct {
		names   Names
		methods []string
		says    string
	}{
		{methods: []string{"PROPFIND", ""}, says: `Methods[1] is ""`},
		{methods: []string{"PROP FIND"}, says: `"PROP FIND"`},
		{methods: []string{"MÜLL"}, says: `"MÜLL"`},
		{methods: []string{"A\n"}, says: `"A\n"`},
		{methods: []string{"Propfind"}, says: `write "PROPFIND"`},
		{methods: []string{"get"}, says: `write "GET"`},
		{names: OpenTelemetryNames(), methods: []string{"_OTHER"}, says: "Names.OtherMethod"},
		{methods: many, says: "240"},
	} {
		if _, err := RegisterRecorder(shoaltest.New(t), Opts{Names: tt.names, Methods: tt.methods}); err == nil || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%.40q: %v, want an error that says %s", tt.methods, err, tt.says)
		}
	}
	reg := shoaltest.New(t)
	rec := NewRecorder(reg, Opts{Methods: many[:maxFurtherMethods]})
	rec.Record(Observation{Method: many[maxFurtherMethods-1], Route: "/r", Code: 200})
	if got := shoaltest.Value(t, reg, "http_requests_total", "method", many[maxFurtherMethods-1], "route", "/r", "code", "200"); got != 1 {
		t.Errorf("the last of %d methods is recorded %v times, want once", maxFurtherMethods, got)
	}
}
