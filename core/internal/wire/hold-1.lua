-- SPDX-License-Identifier: Apache-2.0
--
-- Takes or renews a lease. The first match decides: the index held so far, if
-- its entry is the writer's (even an expired one) or missing; any entry that
-- is the writer's, since the reply that told of it was lost; the asked slot,
-- whoever holds it; the lowest index that is free or expired.
--
-- KEYS 1  the app's leases: i:<index> = "writer deadline lineage info…"
-- ARGV 1  writer
--      2  the index held so far, or -1
--      3  the asked slot, or -1
--      4  time to live in milliseconds
--      5  what follows the deadline in the entry
-- Returns {index, the other writer that had it or '', seconds, microseconds}
--
-- Twice is safe: the second time renews what the first took.

local leases, writer, slot = KEYS[1], ARGV[1], tonumber(ARGV[3])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

-- Where nothing matches, imitations of Lua give no value at all: hence "or".
local function holder(entry) return string.match(entry, '^(%S+)') or '' end

local index, fenced
if ARGV[2] ~= '-1' then
  local entry = redis.call('HGET', leases, 'i:' .. ARGV[2])
  if not entry or holder(entry) == writer then index = tonumber(ARGV[2]) end
end
if not index then
  local all, entries = redis.call('HGETALL', leases), {}
  for i = 1, #all, 2 do
    local k = tonumber(string.match(all[i], '^i:(%d+)$') or '')
    if k then
      entries[k] = all[i + 1]
      if holder(all[i + 1]) == writer and (not index or k < index) then index = k end
    end
  end
  if not index then
    if slot >= 0 then
      index = slot
    else
      index = 0
      while entries[index] and now < tonumber(string.match(entries[index], '^%S+ (%d+)') or '0') do
        index = index + 1
      end
    end
    fenced = entries[index] and holder(entries[index])
  end
end

local deadline = string.format('%.0f', now + tonumber(ARGV[4]))
redis.call('HSET', leases, 'i:' .. string.format('%d', index), writer .. ' ' .. deadline .. ' ' .. ARGV[5])
return {index, fenced or '', time[1], time[2]}
