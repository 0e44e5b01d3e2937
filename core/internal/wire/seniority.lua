-- SPDX-License-Identifier: Apache-2.0
--
-- What hold-1.lua, lapse-1.lua and release-2.lua begin with. A process that is scraped for its own
-- page is a candidate: its lease's entry ends with a stamp. The living candidate with the smallest
-- stamp, the senior, shows the shared families. Those that come after it must know until when it did.
--
-- The rules: docs/protocol.md, Seniority.

-- stamp_of returns the stamp in an entry of the leases; nil if it is not a candidate's.
local function stamp_of(entry)
  local stamp = string.match(entry .. ' ', '^%S+ %d+ %S+ %S+ %S+ %S+ %d+ (%d+) ')
  return stamp and #stamp <= 16 and stamp or nil -- a longer one is somebody else's word
end

-- left_at returns what the field left is to be when a candidate's entry goes: when its lease
-- expired, or else now. It returns nil if a later time is stored.
local function left_at(leases, entry, now)
  local deadline = tonumber(string.match(entry, '^%S+ (%d+)'))
  local at = deadline <= now and deadline or now + 1 -- this millisecond has pages that it shows
  local last = tonumber(string.match(redis.call('HGET', leases, 'left') or '', '^%d+$') or '')
  -- A time in the future was written before the clock was set back.
  if last and last >= at and last <= now + 1 then return nil end
  return string.format('%.0f', at)
end
