// SPDX-License-Identifier: Apache-2.0

// Package mutants keeps mistakes that shoal could have made, one patch each
// against the core, and tests that its simulation finds every one of them. A
// patch is headed by what it breaks and by an expression that the violation
// must match:
//
//	Breaks: the sequence check of a commit: a batch is applied again.
//	Caught: was applied twice
//
// To add one, change the core, and let
//
//	git diff --relative=core > core/tests/mutants/what-is-broken.patch
//
// write it; then put the two lines above it and take the change back. When the
// core has changed so much that a patch does not apply any more, make it anew.
package mutants
