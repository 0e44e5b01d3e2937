-- SPDX-License-Identifier: Apache-2.0
--
-- Takes or renews a lease, and records the lineage of the data.
--
-- KEYS 1  the app's leases: i:<index> = "writer deadline lineage info… [stamp]",
--         lineage = "lineage milliseconds"; next = where the next search begins;
--         stamp = the last one that was given; left = when a candidate went last
-- ARGV 1  writer
--      2  held: the index that the writer has had so far, or -1
--      3  wanted: the index that it asks for, or -1
--      4  time to live in milliseconds
--      5  entry: its words behind the deadline
--      6  lineage as it is now, or '' if it is not known
--      7  knew another: 1 if the writer knew another lineage before, and has not verified its
--         families since
--      8  predecessor: if not empty, the only living writer from which it takes the index wanted
--      9  candidate: 1 if the writer is to be a candidate for the shared families
-- Returns {index, the other writer that had it or '', seconds, microseconds,
--          1 if the writer held an index and has no entry any more, else 0,
--          how much was damaged and replaced}
--
-- Twice is safe: the second run renews the lease that the first took, and finds the lineage
-- recorded. It may give the writer another stamp, later than the first.
--
-- The rules: docs/protocol.md, Leases, Seniority and Lineage.

local call, match = redis.call, string.match
local leases, writer, held, wanted = KEYS[1], ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local LOWEST = 32 -- indexes at which it looks for a free one beside few leases
local FEW = 64 -- beside so many leases it looks at the lowest indexes first
local WINDOW = 8 -- indexes in each of the two ranges at which a search looks
local MAX_ENTRY, WHOLE = 4096, 9007199254740992
local mended = 0

-- failed says whether a reply is an error. If so, call the command again: failed has
-- removed a key of another type; the second call raises any other error.
local function failed(reply, key)
  if type(reply) ~= 'table' or not reply.err then return false end
  if string.find(reply.err, 'WRONGTYPE', 1, true) then
    mended = mended + 1
    call('UNLINK', key)
  end
  return true
end

local own = 'i:' .. ARGV[2]
local state = redis.pcall('HMGET', leases, own, 'lineage')
if failed(state, leases) then state = call('HMGET', leases, own, 'lineage') end
local time = call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local present = string.format('%.0f', now)

-- lease returns the writer of an entry, and whether the lease has not expired. It returns nil for
-- an entry that is no lease: such an entry holds no index.
local function lease(entry)
  if not entry or #entry > MAX_ENTRY then return nil end
  local who, deadline = match(entry, '^(%S+) (%d+) ')
  if not who then return nil end
  if #deadline == #present then return who, deadline > present end -- to read a number takes three times as long
  deadline = tonumber(deadline)
  if not deadline or deadline >= WHOLE then return nil end
  return who, deadline > now
end

-- look reads the entries of n indexes, the k-th of which is at(k). It returns the first
-- whose lease is the writer's, and true; else the first that is free or whose lease has expired,
-- false, and the writer that had it.
local function look(n, at)
  local free, had
  for k = 1, n do
    local name = 'i:' .. at(k)
    -- Do not copy what is too long: many such texts would take long.
    local who, lasts
    if call('HSTRLEN', leases, name) <= MAX_ENTRY then who, lasts = lease(call('HGET', leases, name)) end
    if who == writer then return at(k), true end
    if not lasts and not free then free, had = at(k), who end
  end
  return free, false, had
end

-- search returns an index that the writer may take, the writer that had it, and where the next
-- search begins. It takes equally long beside any number of leases: it looks at the WINDOW indexes
-- from place on, and at those from size + place on. The next search goes on behind the first ones, so
-- that each free index is taken after a while. Where they are taken, the others are free, unless
-- somebody has filled them: all such ranges together have twice as many indexes as there are leases.
local function search(size)
  local stored = call('HGET', leases, 'next')
  local place = tonumber(match(stored or '', '^%d+$') or '')
  if stored and not place then mended = mended + 1 end
  place = place or LOWEST
  if place > size then place = 0 end
  local index, _, had = look(2 * WINDOW, function(k)
    return k <= WINDOW and place + k - 1 or size + place + k - WINDOW - 1
  end)
  -- Somebody may have filled both: then take one far above, derived from the writer's id.
  index = index or 2 * size + tonumber(string.sub(redis.sha1hex(writer), 1, 7), 16)
  return index, had, index < place + WINDOW and index + 1 or place + WINDOW
end

-- The first match decides.
local index, fenced, place
local lost = false
if held >= 0 and state[1] and string.sub(state[1], 1, #writer + 1) == writer .. ' ' then
  index = held
else
  lost = held >= 0
  local size = call('HLEN', leases)
  local first, own, had
  local holder, lasts
  if wanted >= 0 then holder, lasts = lease(call('HGET', leases, 'i:' .. ARGV[3])) end
  if size <= FEW then
    first, own, had = look(LOWEST, function(k) return k - 1 end)
  end
  if own then
    index = first -- the reply that told of it was lost, or Redis stepped back
  elseif held >= 0 and not lease(state[1]) then
    index = held
    if state[1] then mended = mended + 1 end
  elseif wanted >= 0 and (ARGV[8] == '' or not lasts or holder == ARGV[8] or holder == writer) then
    index, fenced = wanted, holder
  elseif first then
    index, fenced = first, had
  else
    index, fenced, place = search(size)
  end
end

local deadline = string.format('%.0f', now + tonumber(ARGV[4]))
local tail = ARGV[5]
-- ? in place of the lineage: readers wait until the writer has verified all its families.
if lost then tail = string.gsub(tail, '^%S+', '?') end
local field = 'i:' .. string.format('%.0f', index)
local set = {field, writer .. ' ' .. deadline .. ' ' .. tail}
if ARGV[6] ~= '' then
  local recorded = state[2]
  local name, since = match(recorded or '', '^(%S+) (%d+)$')
  if recorded and not name then mended = mended + 1 end
  local another = name ~= ARGV[6]
  if ARGV[7] == '1' and (another or since == '0') or another and recorded then
    set[3], set[4] = 'lineage', ARGV[6] .. ' ' .. present
  elseif another then
    set[3], set[4] = 'lineage', ARGV[6] .. ' 0' -- the app's first start: no page has shown anything
  elseif now < (tonumber(since) or WHOLE) then
    set[3], set[4] = 'lineage', ARGV[6] .. ' 1' -- long ago: since was written before the clock was set back
  end
end
local function also(name, value)
  set[#set + 1] = name
  set[#set + 1] = value
end
if place then also('next', string.format('%.0f', place)) end

local before = state[1]
if index ~= held then before = call('HSTRLEN', leases, field) <= MAX_ENTRY and call('HGET', leases, field) end
local who, lasts = lease(before)
local had, stamp = who and stamp_of(before), nil
if ARGV[9] == '1' and had and who == writer and lasts and index == held then
  stamp = had
elseif ARGV[9] == '1' then
  -- Others may have shown the shared families meanwhile: the writer comes after all candidates.
  local last = tonumber(match(call('HGET', leases, 'stamp') or '', '^%d+$') or '')
  stamp = string.format('%.0f', last and last < WHOLE - 1 and math.max(now, last + 1) or now)
  also('stamp', stamp)
end
if stamp then set[2] = set[2] .. ' ' .. stamp end
-- If the clock was set back, others may have taken the lease for one that will not be renewed.
if had and (had ~= stamp or tonumber(match(before, ' (%d+)')) > now + tonumber(ARGV[4])) then
  local left = left_at(leases, before, now)
  if left then also('left', left) end
end
call('HSET', leases, unpack(set))
return {index, fenced ~= writer and fenced or '', time[1], time[2], lost and 1 or 0, mended}
