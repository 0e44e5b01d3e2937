-- SPDX-License-Identifier: Apache-2.0
--
-- Takes or renews a lease, and records the lineage of the data.
--
-- KEYS 1  the app's leases: i:<index> = "writer deadline lineage info…",
--         lineage = "lineage milliseconds"
-- ARGV 1  writer
--      2  held: the index that the writer has had so far, or -1
--      3  wanted: the index that it asks for, or -1
--      4  time to live in milliseconds
--      5  entry: its words behind the deadline
--      6  lineage as it is now, or '' if it is not known
--      7  knew another: 1 if the writer knew another lineage before, and has not verified its
--         families since
-- Returns {index, the other writer that had it or '', seconds, microseconds,
--          1 if the writer held an index and has no entry any more, else 0,
--          how much was damaged and replaced}
--
-- Twice is safe: the second run renews the lease that the first took, and finds the lineage
-- recorded.
--
-- The rules: docs/protocol.md, Leases and Lineage.

local call, match = redis.call, string.match
local leases, writer, held, wanted = KEYS[1], ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local MANY = 10000 -- a page shows no more leases
local MAX_ENTRY, MAX_INDEX, WHOLE = 4096, 2147483647, 9007199254740992
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

local function field(k) return 'i:' .. string.format('%.0f', k) end

-- lease returns the writer and the deadline of an entry. It returns nil for an entry that
-- is no lease: such an entry holds no index.
local function lease(entry)
  if not entry or #entry > MAX_ENTRY then return nil end
  local who, deadline = match(entry, '^(%S+) (%d+) ')
  deadline = tonumber(deadline or '')
  if not deadline or deadline >= WHOLE then return nil end
  return who, deadline
end

local function is_own(entry) return string.sub(entry, 1, #writer + 1) == writer .. ' ' end

-- The first match decides. The writer's own entry goes first, even an expired one, so that
-- no writer has two.
local index, fenced, lost
if held >= 0 and state[1] and is_own(state[1]) then index = held end
if not index then
  -- The writer's entry may be at another index: the reply that told of it was lost, or
  -- Redis stepped back. Where there are more leases than MANY, this script does not look for
  -- it. Then the writer may have a second entry, until the first expires.
  local all
  if call('HLEN', leases) <= MANY then
    all = {}
    for _, name in ipairs(call('HKEYS', leases)) do
      local k = name == 'i:0' and 0 or tonumber(match(name, '^i:([1-9]%d*)$') or '')
      -- Do not copy what is too long: many such texts would take long.
      if k and k <= MAX_INDEX and call('HSTRLEN', leases, name) <= MAX_ENTRY then
        all[k] = call('HGET', leases, name)
        if is_own(all[k]) and (not index or k < index) then index = k end
      end
    end
  end
  local function at(k)
    if all then return lease(all[k]) end
    return lease(call('HGET', leases, field(k)))
  end
  if not index then
    lost = held >= 0
    if held >= 0 and not at(held) then
      index = held
      if state[1] then mended = mended + 1 end
    elseif wanted >= 0 then
      index = wanted
    else
      index = 0
      while index < MANY do
        local who, deadline = at(index)
        if not who or deadline <= now then break end
        index = index + 1
      end
      -- None is free: take one far above, derived from the writer's id.
      if index == MANY then index = MANY + tonumber(string.sub(redis.sha1hex(writer), 1, 7), 16) end
    end
    fenced = at(index)
  end
end

local deadline = string.format('%.0f', now + tonumber(ARGV[4]))
local tail = ARGV[5]
-- ? in place of the lineage: readers wait until the writer has verified all its families.
if lost then tail = string.gsub(tail, '^%S+', '?') end
local set = {field(index), writer .. ' ' .. deadline .. ' ' .. tail}
if ARGV[6] ~= '' then
  local recorded = state[2]
  local name, since = match(recorded or '', '^(%S+) (%d+)$')
  if recorded and not name then mended = mended + 1 end
  local another = name ~= ARGV[6]
  if ARGV[7] == '1' and (another or since == '0') or another and recorded then
    set[3], set[4] = 'lineage', ARGV[6] .. ' ' .. string.format('%.0f', now)
  elseif another then
    set[3], set[4] = 'lineage', ARGV[6] .. ' 0' -- the app's first start: no page has shown anything
  elseif now < (tonumber(since) or WHOLE) then
    set[3], set[4] = 'lineage', ARGV[6] .. ' 1' -- long ago: since was written before the clock was set back
  end
end
call('HSET', leases, unpack(set))
return {index, fenced or '', time[1], time[2], lost and 1 or 0, mended}
