-- SPDX-License-Identifier: Apache-2.0
--
-- Reads a writer's gauges, with the time to compare their deadlines with. If they are many
-- or long, it only counts them, and the reader fetches them by HSCAN.
--
-- KEYS 1  the writer's gauges
-- ARGV 1  gauges: how many at most
--      2  bytes of all of them at most
--      3  longest text, in bytes
--      4  lengths: 1 to ask for each length first, so that Redis does not copy what is too
--         long, but has \252 stand for it and its field; 0 while none was met
-- Returns {seconds, microseconds, {field, "value deadline"…}, 0}
--         {seconds, microseconds, {}, how many gauges}  if they are many or long
--
-- Twice is safe: it only reads.
--
-- The rules: docs/protocol.md, Reads and Limits.

local time = redis.call('TIME')
local many = redis.call('HLEN', KEYS[1])
if many > tonumber(ARGV[1]) then return {time[1], time[2], {}, many} end
local entries, size, room, longest = {}, 0, tonumber(ARGV[2]), tonumber(ARGV[3])
if ARGV[4] == '1' then
  for i, field in ipairs(redis.call('HKEYS', KEYS[1])) do
    local short = #field <= longest and redis.call('HSTRLEN', KEYS[1], field) <= longest
    entries[2 * i - 1] = short and field or '\252'
    entries[2 * i] = short and redis.call('HGET', KEYS[1], field) or '\252'
  end
else
  entries = redis.call('HGETALL', KEYS[1])
end
for i = 1, #entries do size = size + #entries[i] end
if size > room then return {time[1], time[2], {}, many} end
return {time[1], time[2], entries, 0}
