// SPDX-License-Identifier: Apache-2.0

package tests

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/shoal-metrics/shoal/core/tests/redistest"
	"github.com/shoal-metrics/shoal/core/tests/testkit"
)

func TestMain(m *testing.M) { redistest.Main(m) }

// root is the repository, seen from this package.
const root = "../.."

// read returns a file of the repository.
func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, file))
	testkit.Must(t, err)
	return string(text)
}
