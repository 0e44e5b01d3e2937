// SPDX-License-Identifier: Apache-2.0

// Package redistest runs the servers that tests need: real redis-server
// processes on free ports of the loopback interface, a Cluster of three
// masters or of six nodes, a master with two replicas and three Sentinels, and
// miniredis. It never uses a server that it did not start.
//
// [Start] gives a test a server of its own, to be killed, frozen and restarted
// at will. [Shared] gives all tests of a package the same one, which is enough
// where each test takes its own app's name; the package's TestMain calls
// [Main] then.
package redistest
