-- SPDX-License-Identifier: Apache-2.0
--
-- Reads a writer's gauges and the time that their deadlines go by.
--
-- KEYS 1  the writer's gauges
-- Returns {seconds, microseconds, {field, "value deadline"…}}
--
-- Twice is safe: it only reads.

local time = redis.call('TIME')
return {time[1], time[2], redis.call('HGETALL', KEYS[1])}
