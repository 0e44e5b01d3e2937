// SPDX-License-Identifier: Apache-2.0

package shoal

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/shoal-metrics/shoal/core/internal/memstore"
)

func TestInstances_ListsTheLivingByIndex(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := memstore.New()
		if _, err := New().Instances(t.Context()); !errors.Is(err, ErrNotConnected) {
			t.Errorf("unconnected: %v", err)
		}
		indexes := []int{7, 2}
		late := process(t, server, Opts{Index: &indexes[0], Host: "b", Version: "2"})
		process(t, server, Opts{Index: &indexes[1], Host: "a"})
		reader := readOnly(t, server)
		elapse(time.Second)
		list, err := reader.Instances(t.Context())
		if err != nil || len(list) != 2 {
			t.Fatalf("%+v, %v", list, err)
		}
		if list[0].Index != 2 || list[0].Host != "a" || list[1].Index != 7 || list[1].Host != "b" || list[1].Version != "2" {
			t.Errorf("%+v", list)
		}
		left := time.Until(list[1].Expires)
		if left <= 0 || left > DefLeaseDuration || !list[1].Started.Equal(started.Truncate(time.Microsecond)) {
			t.Errorf("expires in %v, started %v", left, list[1].Started)
		}
		kill(t, late)
		elapse(DefLeaseDuration)
		if list, _ := reader.Instances(t.Context()); len(list) != 1 {
			t.Errorf("%+v", list)
		}
		server.Fail(away)
		_, err = reader.Instances(t.Context())
		mentions(t, err, `"shop"`, errBroken.Error())
	})
}
