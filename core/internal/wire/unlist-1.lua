-- SPDX-License-Identifier: Apache-2.0
--
-- Takes the name of a removed family off the list, unless it was touched meanwhile.
--
-- KEYS 1  the app's sorted set of families
-- ARGV 1  name
--      2  score that the name had when it seemed stale
-- Returns 1 if it was removed, else 0
--
-- Twice is safe: a family that came back has another score.
--
-- The rules: docs/protocol.md, Housekeeping.

if redis.call('ZSCORE', KEYS[1], ARGV[1]) ~= ARGV[2] then return 0 end
return redis.call('ZREM', KEYS[1], ARGV[1])
