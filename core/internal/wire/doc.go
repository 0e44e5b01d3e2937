// SPDX-License-Identifier: Apache-2.0

// Package wire is shoal's protocol: how an application's metrics are stored,
// and by which rules its processes change them.
package wire
