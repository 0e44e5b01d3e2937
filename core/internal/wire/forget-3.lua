-- SPDX-License-Identifier: Apache-2.0
--
-- Removes a family that nobody registered or wrote for long.
--
-- KEYS 1  the family's control hash
--      2  the family's values hash
--      3  the marks of its series
-- ARGV 1  retention in milliseconds, unless the family has a longer one; -1 to remove nothing
--      2  the family's score in the list of families, in milliseconds
-- Returns {1 if the family is gone, 0 if it was written or registered lately; how many series went}
--
-- Twice is safe: each run judges the age by what is stored then.
--
-- The rules: docs/protocol.md, Housekeeping.

if redis.call('EXISTS', KEYS[1], KEYS[2]) == 0 then
  redis.call('UNLINK', KEYS[3])
  return {1, 0}
end
if ARGV[1] == '-1' then return {0, 0} end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
-- Each commit and each registration notes its second in touched. Where the control hash
-- was lost, the list alone tells the age.
local stored = redis.pcall('HMGET', KEYS[1], 'touched', 'retention')
if stored.err then
  if not string.find(stored.err, 'WRONGTYPE', 1, true) then redis.call('HMGET', KEYS[1], 'touched') end -- fails
  stored = {} -- a key of another type: a process that writes the family would have replaced it
end
local touched = tonumber(string.match(stored[1] or '', '^%d+$') or '0') or 9007199254740992
local lost = redis.call('EXISTS', KEYS[1]) == 0
if lost then touched = (tonumber(ARGV[2]) or 0) / 1000 end
if touched * 1000 > now then -- written before the clock was set back: its age begins now
  if not lost then redis.pcall('HSET', KEYS[1], 'touched', time[1]) end
  return {0, 0}
end
-- The retention of the metric's series, as its youngest process wants it; 0 for ever.
local kept = tonumber(string.match(stored[2] or '', '^%d+$') or '')
if kept == 0 then return {0, 0} end
if touched * 1000 + 999 > now - math.max(kept or 0, tonumber(ARGV[1])) then return {0, 0} end
local series = redis.pcall('HLEN', KEYS[2])
redis.call('UNLINK', KEYS[1], KEYS[2], KEYS[3])
return {1, type(series) == 'number' and math.max(0, series - 1) or 0}
