-- SPDX-License-Identifier: Apache-2.0
--
-- Reads a writer's gauges and the time that their deadlines go by. Where they are many or
-- long it says only how many: they are read in slices then.
--
-- KEYS 1  the writer's gauges
-- ARGV 1  how many gauges
--      2  how many bytes
--      3  the longest text, in bytes
--      4  1 if the hash was seen to hold longer ones: their lengths are asked for first,
--         they are not copied, and for each and its field stands the byte \252
-- Returns {seconds, microseconds, {field, "value deadline"…}, 0}
--         {seconds, microseconds, {}, how many gauges}  where they are many or long
--
-- Twice is safe: it only reads.

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
