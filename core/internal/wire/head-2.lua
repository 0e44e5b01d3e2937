-- SPDX-License-Identifier: Apache-2.0
--
-- Reads the head of a page: the time, the families, the leases.
--
-- KEYS 1  the app's sorted set of families
--      2  the app's leases
-- Returns {seconds, microseconds, {name…}, {field, entry…}}
--
-- Twice is safe: it only reads.

local time = redis.call('TIME')
return {time[1], time[2], redis.call('ZRANGE', KEYS[1], 0, -1), redis.call('HGETALL', KEYS[2])}
