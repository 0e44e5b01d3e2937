// SPDX-License-Identifier: Apache-2.0

package behaviour_test

import (
	"crypto/tls"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	shoal "github.com/shoal-metrics/shoal/core"
	"github.com/shoal-metrics/shoal/core/internal/wire"

	"github.com/shoal-metrics/shoal/core/tests/redistest"
	"github.com/shoal-metrics/shoal/core/tests/testkit"
)

// over sets a TLS configuration and a short dial timeout.
func over(config *tls.Config) func(*redis.Options) {
	return func(o *redis.Options) {
		impatient(o)
		o.TLSConfig, o.DialerRetries, o.MaxRetries = config, 1, -1
	}
}

// A process that trusts the system's authorities uses Open with a rediss URL. A process that
// has its own authority or client certificate uses Connect.
func TestTLS_ProcessesShareTheirMetricsOverIt(t *testing.T) {
	t.Parallel()
	authority := redistest.NewAuthority(t)
	for name, mutual := range map[string]bool{"server's certificate": false, "mutual": true} {
		t.Run(name, func(t *testing.T) {
			server := redistest.StartTLS(t, authority, mutual)
			f := fleetOn(t, server)
			reg := f.process(t)
			c := reg.NewCounter(shoal.CounterOpts{Name: "jobs_total", Help: "Jobs."})
			c.Add(2)
			want := 2
			if !mutual {
				// Open trusts the system's authorities; this variable makes the test's authority one of them.
				opened := f.spawn(t, func(c *childConfig) { c.env = append(c.env, "SSL_CERT_FILE="+authority.File) })
				opened.Tell("inc 3")
				opened.Tell("flush")
				want += 3
			}
			flush(t, reg)
			testkit.Scrape(t, f.reader(t)).Want(t, "jobs_total", fmt.Sprint(want))
		})
	}
}

// If client and server don't trust each other, no data is sent, requests go on, the page
// is a 503, and OnError gets an error that names the certificate.
func TestTLS_WithoutTrustTheErrorIsClearAndNoRequestNotices(t *testing.T) {
	t.Parallel()
	authority, stranger := redistest.NewAuthority(t), redistest.NewAuthority(t)
	server := redistest.StartTLS(t, authority, true)
	plain := redistest.Start(t)
	foreign := authority.Client()
	foreign.Certificates = stranger.ClientWithCertificate(t).Certificates
	connect := func(s *redistest.Server, config *tls.Config) func(*shoal.Registry, shoal.Opts) error {
		return func(reg *shoal.Registry, opts shoal.Opts) error { return reg.Connect(s.Client(t, over(config)), opts) }
	}
	for name, tt := range map[string]struct {
		connect     func(*shoal.Registry, shoal.Opts) error
		page, error string
	}{
		"an authority that the system does not know": {func(reg *shoal.Registry, opts shoal.Opts) error {
			return reg.Open("rediss://user:s3cret@"+server.Addr, opts)
		}, "did not agree on TLS", "certificate signed by unknown authority"},
		"another authority":        {connect(server, stranger.ClientWithCertificate(t)), "did not agree on TLS", "certificate signed by unknown authority"},
		"no certificate":           {connect(server, authority.Client()), "did not agree on TLS", "certificate required"},
		"a stranger's certificate": {connect(server, foreign), "did not agree on TLS", "unknown certificate authority"},
		"no TLS":                   {connect(server, nil), "Redis can't be reached", "EOF"},
		"TLS to a plain server":    {connect(plain, authority.Client()), "not answered in time", "deadline exceeded"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := fleetOn(t, plain)
			reg, heard := shoal.New(), new(testkit.Heard)
			testkit.Must(t, tt.connect(reg, f.quick(hearing(heard))))
			completes(t, func() { requests(reg, 100) })
			rec, _ := testkit.Get(reg, 5*time.Second)
			says503(t, reg)
			if body := rec.Body.String(); !strings.Contains(body, tt.page) || strings.Contains(body, "127.0.0.1") || strings.Contains(body, "x509") {
				t.Errorf("the page says %q, want %q and no details", body, tt.page)
			}
			testkit.Eventually(t, func() error {
				if len(heard.Of(tt.error)) == 0 {
					return fmt.Errorf("OnError hears %q, want %q", heard, tt.error)
				}
				return nil
			})
			err := reg.Close(testkit.Shortly(t))
			var left *shoal.UndeliveredError
			if !errors.As(err, &left) || left.NeverSent == 0 {
				t.Errorf("Close gives %v", err)
			}
			for _, secret := range []string{"s3cret", "PRIVATE", "BEGIN"} {
				if text := heard.String() + fmt.Sprint(err) + rec.Body.String(); strings.Contains(text, secret) {
					t.Errorf("%q is told: %s", secret, text)
				}
			}
			if n := f.redis.Keys(t.Context(), "*"+f.app+"*").Val(); len(n) > 0 {
				t.Errorf("the server has %q", n)
			}
		})
	}
}

// What was counted while a certificate was refused arrives once it is accepted, and
// is never in doubt, since it was not sent.
func TestTLS_WhatWaitedForACertificateArrivesOnce(t *testing.T) {
	t.Parallel()
	authority := redistest.NewAuthority(t)
	server := redistest.StartTLS(t, authority, true)
	f := fleetOn(t, server)
	client := server.Client(t, over(authority.Client()))
	// Of a connection that the server reset at once, only this much is known.
	testkit.Eventually(t, func() error {
		if err := client.Ping(t.Context()).Err(); !wire.Refused(err) {
			return fmt.Errorf("%w is taken for a request that may have been sent", err)
		}
		return nil
	})
	reg := f.with(func(testing.TB) redis.UniversalClient { return client }).loose(t)
	reg.NewCounter(shoal.CounterOpts{Name: "jobs_total"}).Add(5)
	if err := reg.Flush(testkit.Shortly(t)); err == nil {
		t.Error("Flush says that Redis has it")
	}
	configure(t, server, "tls-auth-clients", "no")
	flush(t, reg)
	testkit.Scrape(t, reg).Want(t, "jobs_total", "5", `shoal_lost_batches_total{reason="expired"}`, "0")
	closeAll(t, reg)
}
