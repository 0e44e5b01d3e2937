-- SPDX-License-Identifier: Apache-2.0
--
-- Registers a family, or begins a new generation of one whose keys are lost, or of
-- another type.
--
-- KEYS 1  the family's control hash
--      2  the family's values hash
-- ARGV 1  nonce: with the time, the name of the generation, should one begin
--      2  writer
--      3  born: when the writer's process came up, in microseconds
--      4  type   5  help   6  mode   7  bounds, with spaces between
-- Returns {OK, generation, 1 if orphan else 0, the writer's last number, how much
--          was damaged and replaced}
--         {CLASH, the type that it is registered with}
--
-- The definition is replaced by that of a process that came up later, or at the
-- same time. A stored time to come is not believed, as a clock noted it that has
-- been set back: any other replaces it. A time to come in the call replaces only
-- another one. Any replaces a definition that is damaged.
--
-- An entry of the writer that is no number of its own counts as the largest number
-- there is: see commit-2.lua.
--
-- Twice is safe: the second time finds the generation of the first and writes
-- the same definition. If everything was lost in between, it begins another
-- generation: with the nonce alone for a name, a request that comes again after
-- a FLUSHALL would bring the old generation back, without its numbers, and
-- writers would believe that the data stepped back and send it all again. What was
-- damaged is counted by the first alone.

local ctl, v = KEYS[1], KEYS[2]
local born = ARGV[3]

local TYPES = {counter = true, gauge = true, summary = true, histogram = true}
local WHOLE = 9007199254740992 -- 2^53
local LARGEST = '9007199254740991'
local MAX_TEXT, MAX_BOUNDS, MAX_WORD = 65536, 1000, 256
local mended = 0

-- failed says whether a reply is an error, and the command is to be called again: a
-- key of another type is removed, and any other error is to be raised in its place.
local function failed(reply, key)
  if type(reply) ~= 'table' or not reply.err then return false end
  if string.find(reply.err, 'WRONGTYPE', 1, true) then
    mended = mended + 1
    redis.call('UNLINK', key)
  end
  return true
end

-- whole reads a number below 2^53 as it is written here, or gives nil.
local function whole(s)
  if not string.find(s or '', '^%d+$') then return nil end
  local n = tonumber(s)
  return n and n < WHOLE and string.format('%.0f', n) == s and n or nil
end

local function plus0(s) return s + 0 end -- reads 1e5 where the tonumber of other implementations does not

-- ascend says whether a text is finite bounds in ascending order.
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

-- sound says whether a page can make something of the definition. Bounds are nearly
-- always those of the process that registers, and to look at each takes twice as long as all else.
local function sound(kind, help, mode, bounds)
  return TYPES[kind] and help and #help <= MAX_TEXT and mode and #mode <= MAX_WORD and
    bounds and (bounds == ARGV[7] or #bounds <= MAX_TEXT and ascend(bounds))
end

local function read()
  return 'gen', 'type', 'born', 'orphan', 'w:' .. ARGV[2], 'created', 'help', 'mode', 'bounds'
end

local state = redis.pcall('HMGET', ctl, read())
if failed(state, ctl) then state = redis.call('HMGET', ctl, read()) end
local generation = redis.pcall('HGET', v, '\254')
if failed(generation, v) then generation = redis.call('HGET', v, '\254') end
local kind = state[2]
if TYPES[kind] and kind ~= ARGV[4] then return {'CLASH', kind} end
if generation and (#generation > MAX_WORD or not string.find(generation, '^[!-~]+$')) then
  generation = nil -- no name of ours
  mended = mended + 1
end

local time = redis.call('TIME')
local created = string.format('%.0f', time[1] * 1000000 + time[2])
if generation and state[1] == generation then
  local now, mine, stored = tonumber(created), tonumber(born), whole(state[3])
  local damaged = not stored or not sound(kind, state[7], state[8], state[9])
  if damaged then mended = mended + 1 end
  if damaged or mine <= now and stored > now or mine >= stored and (mine <= now or stored > now) then
    redis.call('HSET', ctl, 'touched', time[1], 'type', ARGV[4],
      'help', ARGV[5], 'mode', ARGV[6], 'bounds', ARGV[7], 'born', born)
  else
    redis.call('HSET', ctl, 'touched', time[1])
  end
  if not whole(state[6]) then
    mended = mended + 1
    redis.call('HSET', ctl, 'created', created)
  end
  local last = '0'
  if state[5] then
    last = string.match(state[5], '^(%d+) ')
    if not whole(last) then last = LARGEST end
  end
  if last ~= '0' then -- an idle writer's number must not grow old
    redis.call('HSET', ctl, 'w:' .. ARGV[2], last .. ' ' .. time[1])
  end
  return {'OK', generation, state[4] == '1' and 1 or 0, last, mended}
end

local orphan = redis.call('EXISTS', v)
generation = ARGV[1] .. '-' .. created
redis.call('HSET', ctl, 'gen', generation) -- first a write that checks the memory; UNLINK does not
redis.call('UNLINK', ctl)
redis.call('HSET', ctl, 'gen', generation, 'type', ARGV[4], 'help', ARGV[5], 'mode', ARGV[6],
  'bounds', ARGV[7], 'born', born, 'shape', '0', 'touched', time[1],
  'created', created)
if orphan == 1 then redis.call('HSET', ctl, 'orphan', '1') end
redis.call('HSET', v, '\254', generation)
return {'OK', generation, orphan, '0', mended}
