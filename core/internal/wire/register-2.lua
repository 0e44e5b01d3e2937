-- SPDX-License-Identifier: Apache-2.0
--
-- Registers a family, or begins a new generation of one whose keys are lost.
--
-- KEYS 1  the family's control hash
--      2  the family's values hash
-- ARGV 1  nonce: with the time, the name of the generation, should one begin
--      2  writer
--      3  born: when the writer's process came up, in microseconds
--      4  type   5  help   6  mode   7  bounds, with spaces between
-- Returns {OK, generation, 1 if orphan else 0, the writer's last number}
--         {CLASH, the type that it is registered with}
--
-- The definition is replaced by that of a process that came up later, or at the
-- same time. A stored time to come is not believed, as a clock noted it that has
-- been set back: any other replaces it. A time to come in the call replaces only
-- another one.
--
-- Twice is safe: the second time finds the generation of the first and writes
-- the same definition. If everything was lost in between, it begins another
-- generation: with the nonce alone for a name, a request that comes again after
-- a FLUSHALL would bring the old generation back, without its numbers, and
-- writers would believe that the data stepped back and send it all again.

local ctl, v = KEYS[1], KEYS[2]
local born = ARGV[3]

local state = redis.call('HMGET', ctl, 'gen', 'type', 'born', 'orphan', 'w:' .. ARGV[2])
local generation = redis.call('HGET', v, '\254')
if state[2] and state[2] ~= ARGV[4] then return {'CLASH', state[2]} end

local time = redis.call('TIME')
if state[1] and state[1] == generation and state[2] then
  local now, mine, stored = time[1] * 1000000 + time[2], tonumber(born), tonumber(state[3]) or 0
  if mine <= now and stored > now or mine >= stored and (mine <= now or stored > now) then
    redis.call('HSET', ctl, 'touched', time[1],
      'help', ARGV[5], 'mode', ARGV[6], 'bounds', ARGV[7], 'born', born)
  else
    redis.call('HSET', ctl, 'touched', time[1])
  end
  local last = string.match(state[5] or '', '^(%d+) ') or '0'
  if last ~= '0' then -- an idle writer's number must not grow old
    redis.call('HSET', ctl, 'w:' .. ARGV[2], last .. ' ' .. time[1])
  end
  return {'OK', generation, state[4] == '1' and 1 or 0, last}
end

local orphan = redis.call('EXISTS', v)
local created = string.format('%.0f', time[1] * 1000000 + time[2])
generation = ARGV[1] .. '-' .. created
redis.call('HSET', ctl, 'gen', generation) -- first a write that checks the memory; DEL does not
redis.call('DEL', ctl)
redis.call('HSET', ctl, 'gen', generation, 'type', ARGV[4], 'help', ARGV[5], 'mode', ARGV[6],
  'bounds', ARGV[7], 'born', born, 'shape', '0', 'touched', time[1],
  'created', created)
if orphan == 1 then redis.call('HSET', ctl, 'orphan', '1') end
redis.call('HSET', v, '\254', generation)
return {'OK', generation, orphan, '0'}
