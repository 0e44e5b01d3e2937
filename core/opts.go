// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"fmt"
	"log/slog"
	"os"
	"time"
	"unicode/utf8"

	"github.com/shoal-metrics/shoal/core/internal/wire"
)

// Defaults of [Opts].
const (
	DefInterval      = time.Second
	DefRefreshPeriod = 30 * time.Second
	DefLeaseDuration = 15 * time.Second
	DefSeriesLimit   = 10_000
	DefRetention     = 30 * 24 * time.Hour
)

// KeepForever, as the Retention of Opts or of a metric, keeps series and families however old.
const KeepForever time.Duration = -1

// Opts are the settings of a connection. All but App may be left out.
type Opts struct {
	// App is the application's name in Redis. All processes with the same App share their
	// metrics; others do not see them. It may not have braces, slashes, spaces or control
	// characters. There is no default.
	App string

	// Version of the application, for shoal_instance_info, which shows its first 255 bytes.
	// Defaults to none.
	Version string
	// Host is the name of the machine or the pod, for shoal_instance_info, which shows its
	// first 255 bytes. Defaults to the operating system's host name.
	Host string
	// Index asks for this gauge_index, and takes it from the process that has it: give the pods
	// of a StatefulSet their ordinal, so that a replacement takes over its predecessor's index at
	// once. No two living processes may ask for the same one. Workers of package prefork leave it
	// nil: they take over the index of the one that died. Defaults to a free index, the lowest
	// where there are few processes.
	Index *int

	// ReadOnly makes a registry that serves the app's page and never writes: it has no
	// lease, and what its own metrics count goes nowhere. Defaults to false.
	ReadOnly bool

	// Interval is the time between two flushes, give or take a tenth. It grows by itself
	// while Redis is slow. Defaults to 1 s.
	Interval time.Duration
	// RefreshPeriod is the time between two refreshes of this process's gauges, less up to a
	// fifth. It must be below every gauge's Expire. Defaults to 30 s.
	RefreshPeriod time.Duration
	// LeaseDuration is how long this process's gauges stay on the page after a crash, at
	// most. The lease is renewed three times in it. At most a day. Defaults to 15 s.
	LeaseDuration time.Duration

	// SeriesLimit is the cap of series for each family, in Redis over all processes. Label
	// sets beyond it share one overflow series; a value that is set on a gauge beyond it is
	// dropped. This process has room for twice as many children of a family. Before Connect or
	// Open there is no cap; a metric that has more series then is reported. Defaults to 10,000.
	SeriesLimit int
	// Retention is how long Redis keeps a series that no living process holds (none has a
	// child for it), and a family that none declares. A metric may have a Retention of its
	// own. At least twice RefreshPeriod; KeepForever keeps them. Defaults to 30 days.
	Retention time.Duration

	// OnError is called with troubles that no call returns, each kind once a minute at most.
	// Trouble of Redis as a whole is one kind, whatever fails because of it, and a
	// [*RecoveredError] says that it is over. OnError is called from shoal's goroutines; for
	// a rejected value from the one that wrote it, and for a scrape from the handler's. It
	// must not block. Defaults to a warning to Logger.
	OnError func(error)
	// Logger takes warnings where OnError is nil, and the message that Redis is back.
	// Defaults to slog.Default().
	Logger *slog.Logger
}

// complete returns the options with the defaults in them, or an error that says what is
// wrong.
func (o Opts) complete() (Opts, error) {
	switch {
	case o.App == "":
		return o, fmt.Errorf("shoal: Opts.App is empty: give the application's name, such as \"shop\"")
	case !wire.IsAppName(o.App):
		return o, fmt.Errorf("shoal: Opts.App is %q: braces, slashes, spaces and control characters are not allowed", o.App)
	case o.Index != nil && (*o.Index < 0 || *o.Index > wire.MaxIndex):
		return o, fmt.Errorf("shoal: Opts.Index is %d: use a number from 0 to %d, or nil", *o.Index, wire.MaxIndex)
	case o.SeriesLimit < 0:
		return o, fmt.Errorf("shoal: Opts.SeriesLimit is %d: use a positive number, or 0 for %d", o.SeriesLimit, DefSeriesLimit)
	case o.Retention < 0 && o.Retention != KeepForever:
		return o, fmt.Errorf("shoal: Opts.Retention is %v: use a positive duration or KeepForever", o.Retention)
	}
	for _, d := range []struct {
		name  string
		value *time.Duration
		def   time.Duration
		least time.Duration
	}{
		{"Interval", &o.Interval, DefInterval, time.Millisecond},
		{"RefreshPeriod", &o.RefreshPeriod, DefRefreshPeriod, time.Millisecond},
		{"LeaseDuration", &o.LeaseDuration, DefLeaseDuration, 30 * time.Millisecond},
	} {
		if *d.value == 0 {
			*d.value = d.def
		}
		if *d.value < d.least {
			return o, fmt.Errorf("shoal: Opts.%s is %v: use at least %v, or 0 for %v", d.name, *d.value, d.least, d.def)
		}
	}
	if o.LeaseDuration > wire.MaxTTL {
		return o, fmt.Errorf("shoal: Opts.LeaseDuration is %v: use at most %v", o.LeaseDuration, wire.MaxTTL)
	}
	if o.SeriesLimit == 0 {
		o.SeriesLimit = DefSeriesLimit
	}
	if o.Retention == 0 {
		o.Retention = DefRetention
	}
	// A refresh tells Redis that the family is still declared.
	if o.Retention != KeepForever && o.Retention < 2*o.RefreshPeriod {
		return o, fmt.Errorf("shoal: Opts.Retention is %v: use at least twice the RefreshPeriod of %v, or KeepForever",
			o.Retention, o.RefreshPeriod)
	}
	if o.Host == "" {
		o.Host, _ = os.Hostname() // shoal_instance_info lacks the label if there is none
	}
	o.Host, o.Version = beginning(o.Host, wire.MaxInfo), beginning(o.Version, wire.MaxInfo)
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	return o, nil
}

// beginning returns the first n bytes of a text at most, up to the end of a character.
func beginning(text string, n int) string {
	if len(text) <= n {
		return text
	}
	for n > 0 && !utf8.RuneStart(text[n]) {
		n--
	}
	return text[:n]
}

// checkPeriods returns an error for a metric whose values or series would leave Redis between
// two refreshes.
func checkPeriods(d *definition, refresh time.Duration) error {
	if d.retention > 0 && d.retention < 2*refresh {
		return fmt.Errorf("shoal: %s %q: Retention is %v: use at least twice Opts.RefreshPeriod, which is %v, or KeepForever",
			d.kind, d.name, d.retention, refresh)
	}
	if d.mode != Latest && d.expire != 0 && refresh >= d.expire && !d.expiresLate() {
		return fmt.Errorf("shoal: gauge %q expires after %v, but Opts.RefreshPeriod is %v: "+
			"choose a period below the expiry", d.name, d.expire, refresh)
	}
	return nil
}
