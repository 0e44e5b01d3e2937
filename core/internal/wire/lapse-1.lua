-- SPDX-License-Identifier: Apache-2.0
--
-- Removes expired leases, and what is no lease, from one slice of the leases.
--
-- KEYS 1  the app's leases
-- ARGV 1  cursor of the slice; 0 for the first
--      2  fields: about how many
-- Returns {cursor of the next slice or 0, how much was damaged}
--
-- Twice is safe: each run judges the entries that are stored then. The owner of a lease that
-- was removed takes its index again, if that is free.
--
-- The rules: docs/protocol.md, Housekeeping, Seniority and Damage.

local MANY = 10000 -- a page shows no more leases
local OWN = {lineage = true, housekept = true, next = true, stamp = true, left = true} -- fields beside the leases
local DAY = 24 * 60 * 60 * 1000 -- no lease is given for longer
local MAX_ENTRY, MAX_INDEX, WHOLE = 4096, 2147483647, 9007199254740992
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

-- is_index says whether a field is i:<index>, with the number written plainly.
local function is_index(field)
  local k = tonumber(string.match(field, '^i:(%d+)$') or '')
  return k and k <= MAX_INDEX and 'i:' .. string.format('%.0f', k) == field
end

local slice = redis.call('HSCAN', KEYS[1], ARGV[1], 'COUNT', ARGV[2])
local list, gone, damaged = slice[2], {}, 0
local latest, last -- the greatest deadline of a candidate that goes, and its entry
local crowded = redis.call('HLEN', KEYS[1]) > MANY
for i = 1, #list, 2 do
  local field, entry = list[i], list[i + 1]
  local deadline, ttl
  if is_index(field) and #entry <= MAX_ENTRY then
    deadline = tonumber(string.match(entry, '^%S+ (%d+) %S+ %S+ %S+ %S+') or '')
    ttl = math.min(DAY, tonumber(string.match(entry, '^%S+ %d+ %S+ %S+ %S+ %S+ (%d+)') or '') or DAY)
  end
  if deadline and deadline < WHOLE then
    -- A deadline further ahead than the lease's time to live was written before the clock
    -- was set back. If its writer lives, it takes its index again.
    if deadline <= now or deadline > now + ttl then
      gone[#gone + 1] = field
      if (not latest or deadline > latest) and stamp_of(entry) then latest, last = deadline, entry end
    end
  -- A field of another name may be of a later release, and stays while there is room.
  elseif string.sub(field, 1, 2) == 'i:' or crowded and not OWN[field] then
    damaged = damaged + 1
    gone[#gone + 1] = field
  end
end
for from = 1, #gone, 2000 do
  redis.call('HDEL', KEYS[1], unpack(gone, from, math.min(from + 1999, #gone)))
end
-- A full Redis may refuse this, but not behind a write that it took.
local left = last and left_at(KEYS[1], last, now)
if left then redis.pcall('HSET', KEYS[1], 'left', left) end
return {slice[1], damaged}
