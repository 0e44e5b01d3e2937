-- SPDX-License-Identifier: Apache-2.0
--
-- Executes one reading command. A client that sends such commands to replicas
-- sends scripts to the master.
--
-- KEYS 1  the key
-- ARGV 1  the command
--      2… its arguments behind the key
-- Returns the command's reply
--
-- Twice is safe: it only reads.

return redis.call(ARGV[1], KEYS[1], unpack(ARGV, 2))
