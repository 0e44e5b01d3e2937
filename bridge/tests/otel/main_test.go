// SPDX-License-Identifier: Apache-2.0

package otel

import (
	"testing"

	"github.com/shoal-metrics/shoal/core/tests/redistest"
)

func TestMain(m *testing.M) { redistest.Main(m) }
