// SPDX-License-Identifier: Apache-2.0

// Package redistest runs the servers that tests need: real redis-server
// processes on free ports of the loopback interface, a Cluster of three
// masters or of six nodes, a master with two replicas and three Sentinels, and
// miniredis; and proxies before them: [StartLine] is a network line with a delay and a bandwidth,
// [StartLossyProxy] loses replies. It never uses a server that it did not start.
//
// [Start] gives a test a server of its own, which it may kill, freeze and restart.
// [Shared] gives all tests of a package the same server, which is enough for
// tests that each have an app of their own; the package's TestMain must then call
// [Main].
package redistest
