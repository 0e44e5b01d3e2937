// SPDX-License-Identifier: Apache-2.0

// Package release tests what reaches those who use shoal: the tags of a release, and the
// lines that the READMEs give them to copy.
package release
