-- SPDX-License-Identifier: Apache-2.0
--
-- Registers a family. It begins a new generation if a key of the family is lost or of another
-- type.
--
-- KEYS 1  the family's control hash
--      2  the family's values hash
--      3  the marks of its series
-- ARGV 1  nonce: begins the name of a generation that begins now
--      2  writer
--      3  born: when the writer's process started, in microseconds of Redis's clock
--      4  type
--      5  help
--      6  mode
--      7  bounds, with spaces between
--      8  retention of its series, in milliseconds; 0 for ever
-- Returns {OK, generation, 1 if orphan else 0, the writer's last number, how much
--          was damaged and replaced, the epoch, the last removal of series as in removed}
--         {CLASH, the type that it is registered with}
--
-- Twice is safe: the second run finds the generation of the first and writes the same
-- definition. If a FLUSHALL came between, it begins another generation. Its name has the time
-- in it beside the nonce, or else the old name would come back without its sequence numbers:
-- writers would believe that Redis stepped back, and send again what they keep.
--
-- The rules: docs/protocol.md, Register, Marks, Times and Damage.

local ctl, v, m = KEYS[1], KEYS[2], KEYS[3]
local born, retention = ARGV[3], ARGV[8]
local GENERATION = '\254'

local TYPES = {counter = true, gauge = true, summary = true, histogram = true}
local WHOLE = 9007199254740992 -- 2^53
local LARGEST = '9007199254740991'
local MAX_TEXT, MAX_BOUNDS, MAX_WORD = 65536, 1000, 256
local SHORTEST_EPOCH = 60 -- seconds
local mended = 0

-- failed says whether a reply is an error. If so, call the command again: failed has
-- removed a key of another type; the second call raises any other error.
local function failed(reply, key)
  if type(reply) ~= 'table' or not reply.err then return false end
  if string.find(reply.err, 'WRONGTYPE', 1, true) then
    mended = mended + 1
    redis.call('UNLINK', key)
  end
  return true
end

-- whole reads a number below 2^53 that is written as this script writes it; nil if it is
-- not.
local function whole(s)
  if not string.find(s or '', '^%d+$') then return nil end
  local n = tonumber(s)
  return n and n < WHOLE and string.format('%.0f', n) == s and n or nil
end

local function plus0(s) return s + 0 end -- reads 1e5, as miniredis's tonumber does not

-- ascend says whether a text has finite bounds in ascending order.
local function ascend(bounds)
  local last, n = nil, 0
  for word in string.gmatch(bounds, '[^ ]+') do
    local ok, bound = pcall(plus0, word)
    n = n + 1
    if not ok or not string.find(word, '^[%d.eE+%-]+$') or bound - bound ~= 0 or n > MAX_BOUNDS then return false end
    if last and bound <= last then return false end
    last = bound
  end
  return true
end

-- sound says whether a page can show the definition. Bounds are nearly always those of the
-- process that registers; parsing them would take twice as long as all the rest.
local function sound(kind, help, mode, bounds)
  return TYPES[kind] and help and #help <= MAX_TEXT and mode and #mode <= MAX_WORD and
    bounds and (bounds == ARGV[7] or #bounds <= MAX_TEXT and ascend(bounds))
end

local function read()
  return 'gen', 'type', 'born', 'orphan', 'w:' .. ARGV[2], 'created', 'help', 'mode', 'bounds', 'retention', 'epoch', 'removed'
end

local state = redis.pcall('HMGET', ctl, read())
if failed(state, ctl) then state = redis.call('HMGET', ctl, read()) end
local generation = redis.pcall('HGET', v, GENERATION)
if failed(generation, v) then generation = redis.call('HGET', v, GENERATION) end
local marked = redis.pcall('HGET', m, GENERATION)
if failed(marked, m) then marked = redis.call('HGET', m, GENERATION) end
local kind = state[2]
if TYPES[kind] and kind ~= ARGV[4] then return {'CLASH', kind} end
if generation and (#generation > MAX_WORD or not string.find(generation, '^[!-~]+$')) then
  generation = nil -- not a name that this script gives
  mended = mended + 1
end

local time = redis.call('TIME')
local created = string.format('%.0f', time[1] * 1000000 + time[2])

-- epoch returns the present epoch of the family. A process that registers it begins the next
-- one when an eighth of the retention has passed. A time by itself never ages a mark: a
-- clock that jumps ends one epoch at most.
local function epoch(stored, kept)
  local n, since = string.match(stored or '', '^(%d+) (%d+)$')
  n, since = whole(n), whole(since)
  local now = tonumber(time[1])
  if not n or not since then -- the age of a mark is not known: all go
    if stored then mended = mended + 1 end
    marked, n = false, 0
  elseif kept > 0 and now - since >= math.max(SHORTEST_EPOCH, kept / 8000) then
    n = n + 1
  elseif since <= now then
    return string.format('%.0f', n)
  end
  redis.call('HSET', ctl, 'epoch', string.format('%.0f', n) .. ' ' .. time[1])
  return string.format('%.0f', n)
end

if generation and state[1] == generation then
  local now, mine, stored = tonumber(created), tonumber(born), whole(state[3])
  -- The definition is that of the youngest process. A time in the future was written before
  -- the clock was set back, and loses against any other.
  local damaged = not stored or not sound(kind, state[7], state[8], state[9])
  if damaged then mended = mended + 1 end
  if damaged or mine <= now and stored > now or mine >= stored and (mine <= now or stored > now) then
    redis.call('HSET', ctl, 'touched', time[1], 'type', ARGV[4],
      'help', ARGV[5], 'mode', ARGV[6], 'bounds', ARGV[7], 'born', born, 'retention', retention)
    state[10] = retention
  else
    redis.call('HSET', ctl, 'touched', time[1])
  end
  local kept = whole(state[10])
  if not kept then -- damaged, or registered by a client that knows no retention
    if state[10] then mended = mended + 1 end
    kept = tonumber(retention)
    redis.call('HSET', ctl, 'retention', retention)
  end
  if not whole(state[6]) then
    mended = mended + 1
    redis.call('HSET', ctl, 'created', created)
  end
  local last = '0'
  if state[5] then
    last = string.match(state[5], '^(%d+) ')
    if not whole(last) then last = LARGEST end -- as commit-3.lua has it
  end
  if last ~= '0' then -- prune-1.lua must not remove the number of an idle writer
    redis.call('HSET', ctl, 'w:' .. ARGV[2], last .. ' ' .. time[1])
  end
  local present = epoch(state[11], kept)
  if marked ~= generation then -- lost, or of no use
    redis.call('UNLINK', m)
    redis.call('HSET', m, GENERATION, generation)
  end
  local removed = #(state[12] or '') <= 33 and string.match(state[12] or '', '^%d+ %d+$') or '0'
  return {'OK', generation, state[4] == '1' and 1 or 0, last, mended, present, removed}
end

local orphan = redis.call('EXISTS', v)
generation = ARGV[1] .. '-' .. created
redis.call('HSET', ctl, 'gen', generation) -- the first write checks the memory, as UNLINK does not
redis.call('UNLINK', ctl, m)
redis.call('HSET', ctl, 'gen', generation, 'type', ARGV[4], 'help', ARGV[5], 'mode', ARGV[6],
  'bounds', ARGV[7], 'born', born, 'shape', '0', 'touched', time[1],
  'created', created, 'retention', retention, 'epoch', '0 ' .. time[1])
if orphan == 1 then redis.call('HSET', ctl, 'orphan', '1') end
redis.call('HSET', v, GENERATION, generation)
redis.call('HSET', m, GENERATION, generation)
return {'OK', generation, orphan, '0', mended, '0', '0'}
