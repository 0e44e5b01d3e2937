-- SPDX-License-Identifier: Apache-2.0
--
-- Reads the head of a page: the time, the families, the leases. What is too long or too
-- much stays here.
--
-- KEYS 1  the app's sorted set of families
--      2  the app's leases
-- ARGV 1  how many families: of more, those that were touched last
--      2  the longest name, in bytes: longer ones are left out
--      3  how many leases: of more, none
--      4  the longest entry of a lease: for a longer one, and its field, stands the byte \252
--      5  1 if the leases were seen to hold longer ones: their lengths are asked for first,
--         and they are not copied
-- Returns {seconds, microseconds, {name…}, {field, entry…}, how many names were left out,
--          how many leases there are}
--
-- Twice is safe: it only reads.

local call = redis.call
local time = call('TIME')
local most, longest = tonumber(ARGV[1]), tonumber(ARGV[2])

local listed = call('ZRANGE', KEYS[1], -(most + 1), -1)
local omitted = 0
if #listed > most then
  -- A score that is still to come says nothing, and a writer replaces it.
  local now = time[1] .. string.format('%03d', math.floor(time[2] / 1000))
  listed = call('ZREVRANGEBYSCORE', KEYS[1], now, '-inf', 'LIMIT', 0, most)
  omitted = call('ZCARD', KEYS[1]) - #listed
end
local names = {}
for _, name in ipairs(listed) do
  if #name <= longest then names[#names + 1] = name else omitted = omitted + 1 end
end

local held = call('HLEN', KEYS[2])
if held > tonumber(ARGV[3]) then return {time[1], time[2], names, {}, omitted, held} end
longest = tonumber(ARGV[4])
local entries
if ARGV[5] == '1' then
  entries = {}
  for i, field in ipairs(call('HKEYS', KEYS[2])) do
    local short = #field <= longest and call('HSTRLEN', KEYS[2], field) <= longest
    entries[2 * i - 1] = short and field or '\252'
    entries[2 * i] = short and call('HGET', KEYS[2], field) or '\252'
  end
else
  entries = call('HGETALL', KEYS[2])
  for i = 1, #entries, 2 do
    if #entries[i] > longest or #entries[i + 1] > longest then
      entries[i], entries[i + 1] = '\252', '\252'
    end
  end
end
return {time[1], time[2], names, entries, omitted, held}
