-- SPDX-License-Identifier: Apache-2.0
--
-- Takes or renews a lease. The first match decides: the index held so far, if
-- its entry is the writer's, even an expired one; any entry that is the writer's,
-- since the reply that told of it was lost or the server stepped back; the index
-- held so far, if it has no entry; the asked slot, whoever holds it; the lowest
-- index that is free or expired. So no writer ever has two.
--
-- A writer that held an index and has no entry any more must ask whether the server
-- has lost more of its own: until it says that it has, its entry has ? in place of
-- the lineage, and readers wait.
--
-- Beside it, records the lineage of the data as the writer has just read it, and
-- since when it is another one: 0 at the app's first start, as nobody can have
-- seen more than there is then, and 1, long ago, in place of a time to come, which
-- a clock noted that has been set back.
--
-- KEYS 1  the app's leases: i:<index> = "writer deadline lineage info…",
--         lineage = "lineage milliseconds"
-- ARGV 1  writer
--      2  the index held so far, or -1
--      3  the asked slot, or -1
--      4  time to live in milliseconds
--      5  what follows the deadline in the entry
--      6  the lineage as it is now, or ''
--      7  1 if the writer knew another one before, and has not looked yet
-- Returns {index, the other writer that had it or '', seconds, microseconds,
--          1 if the writer held an index and has no entry any more, else 0}
--
-- Twice is safe: the second time renews what the first took, and finds the
-- lineage recorded.

local leases, writer, slot = KEYS[1], ARGV[1], tonumber(ARGV[3])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

-- Where nothing matches, imitations of Lua give no value at all: hence "or".
local function holder(entry) return string.match(entry, '^(%S+)') or '' end

local index, fenced, lost
if ARGV[2] ~= '-1' then
  local entry = redis.call('HGET', leases, 'i:' .. ARGV[2])
  if entry and holder(entry) == writer then index = tonumber(ARGV[2]) end
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
    local held = tonumber(ARGV[2])
    lost = held >= 0
    if held >= 0 and not entries[held] then
      index = held
    elseif slot >= 0 then
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
local tail = ARGV[5]
if lost then tail = string.gsub(tail, '^%S+', '?') end
local set = {'i:' .. string.format('%d', index), writer .. ' ' .. deadline .. ' ' .. tail}
if ARGV[6] ~= '' then
  local recorded = redis.call('HGET', leases, 'lineage')
  local another = not recorded or holder(recorded) ~= ARGV[6]
  if ARGV[7] == '1' and (another or recorded == ARGV[6] .. ' 0') or another and recorded then
    set[3], set[4] = 'lineage', ARGV[6] .. ' ' .. string.format('%.0f', now)
  elseif another then
    set[3], set[4] = 'lineage', ARGV[6] .. ' 0'
  elseif now < tonumber(string.match(recorded, '^%S+ (%d+)') or '0') then
    set[3], set[4] = 'lineage', ARGV[6] .. ' 1'
  end
end
redis.call('HSET', leases, unpack(set))
return {index, fenced or '', time[1], time[2], lost and 1 or 0}
