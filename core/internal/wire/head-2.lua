-- SPDX-License-Identifier: Apache-2.0
--
-- Reads what a page begins with: the time, the families, the leases. It omits what is too
-- long or too much.
--
-- KEYS 1  the app's sorted set of families
--      2  the app's leases
-- ARGV 1  families: how many at most; if there are more, those that were touched last
--      2  name: bytes of the longest; a longer one is omitted
--      3  leases: how many at most; if there are more, none is read
--      4  entry: bytes of the longest of a lease; \252 stands for a longer one and its field
--      5  lengths: 1 to ask for each length first, so that Redis does not copy what is too
--         long; 0 while none was met
-- Returns {seconds, microseconds, {name…}, {field, entry…}, how many names were omitted,
--          how many leases there are}
--
-- Twice is safe: it only reads.
--
-- The rules: docs/protocol.md, Reads and Limits.

local call = redis.call
local time = call('TIME')
local most, longest = tonumber(ARGV[1]), tonumber(ARGV[2])

local listed = call('ZRANGE', KEYS[1], -(most + 1), -1)
local omitted = 0
if #listed > most then
  -- A score in the future counts as the oldest. A writer replaces it.
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
