// SPDX-License-Identifier: Apache-2.0

// Package mutants keeps mistakes that shoal could have made, as a table of texts of the
// core and what the mistake makes of them, and tests that shoal's tests notice each one,
// for the right reason. A test that notices none of them proves little.
//
// All mutants are compiled into one binary for each test that notices them. A function
// that a mutant changes begins there with a switch on the variable SHOAL_MUTANT of the
// environment, which holds a changed copy of the whole body: see build_test.go. So the
// core itself knows nothing of mutants.
//
// To add one, add it to the table in table_test.go. When code changes or moves and a
// text is no longer found exactly once in its file, the test names the mutant, the file,
// and where else the text is.
package mutants
