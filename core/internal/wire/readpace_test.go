// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"errors"
	"net"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

func TestReadPace_LearnsFromWhatWasSentAlone(t *testing.T) {
	const timeout = 3 * time.Second
	lost := errors.New("connection reset")
	for name, tt := range map[string]struct {
		bytes int
		took  time.Duration
		err   error
		want  int
	}{
		"fast and full":       {readPaceBegin, 10 * time.Millisecond, nil, 2 * readPaceBegin},
		"fast and half full":  {readPaceBegin / 2, 10 * time.Millisecond, nil, 2 * readPaceBegin},
		"fast and short":      {readPaceBegin / 8, 10 * time.Millisecond, nil, readPaceBegin},
		"steady":              {readPaceBegin, timeout / 4, nil, readPaceBegin},
		"slow":                {readPaceBegin, timeout / 2, nil, readPaceBegin / 2},
		"refused":             {readPaceBegin, 10 * time.Millisecond, reply("LOADING"), 2 * readPaceBegin},
		"lost":                {readPaceBegin, timeout, lost, readPaceBegin / 2},
		"lost and short":      {readPaceBegin / 8, timeout, lost, readPaceBegin / 16},
		"lost, and tiny":      {100, timeout, lost, readPaceBegin},
		"no free connection":  {readPaceBegin, timeout, redis.ErrPoolTimeout, readPaceBegin},
		"nobody listens":      {readPaceBegin, 0, &net.OpError{Op: "dial", Err: lost}, readPaceBegin},
		"broken in a reading": {readPaceBegin, timeout, &net.OpError{Op: "read", Err: lost}, readPaceBegin / 2},
	} {
		var p readPace
		p.begin(timeout)
		if p.took(tt.bytes, tt.took, tt.err); p.bytes() != tt.want {
			t.Errorf("%s: %d bytes, want %d", name, p.bytes(), tt.want)
		}
	}
}

func TestReadPace_GrowsUpToWhatTheGuardLetsPass(t *testing.T) {
	var p readPace
	p.begin(3 * time.Second)
	for range 20 {
		p.took(p.bytes(), time.Millisecond, nil)
	}
	if p.bytes() != bytesPerPipeline {
		t.Errorf("%d bytes", p.bytes())
	}
	for range 20 {
		p.took(p.bytes(), 3*time.Second, errors.New("connection reset"))
	}
	if p.bytes() != paceLeast {
		t.Errorf("%d bytes", p.bytes())
	}
}
