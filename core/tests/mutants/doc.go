// SPDX-License-Identifier: Apache-2.0

// Package mutants has a table of mistakes that the core could have: texts of its code, and
// what each mistake replaces them by. It tests that the simulation finds each mistake, and
// for the right reason. A simulation that finds none of them proves little.
//
// All mutants are compiled into one binary. There, a function that a mutant changes begins
// with a switch on the environment variable SHOAL_MUTANT, which has a changed copy of the
// whole body: see build_test.go. So the core itself has no code for mutants.
//
// To add one, add it to the table in table_test.go. When code changes or moves, and a
// text is no longer exactly once in its file, the test names the mutant, the file,
// and where else the text is.
package mutants
