// SPDX-License-Identifier: Apache-2.0

// Package release tests what users of shoal get: the tags of a release, and the lines
// that the READMEs tell them to copy.
package release
