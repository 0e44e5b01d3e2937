-- SPDX-License-Identifier: Apache-2.0
--
-- Applies one batch of a writer to a family, at most once.
--
-- KEYS 1  the family's control hash
--      2  the family's values hash
-- ARGV 1  generation
--      2  writer
--      3  prev: the writer's number that the control hash must hold
--      4  seq: this batch's number, above prev (or equal: a verification)
--      5  cap of series, 0 for none
--      6  field of the overflow series
--      7  1 to get the totals, else 0
--      8… kind, field and value of each op
-- Returns {OK, seq, corrupt, overflowed, total…}  applied now
--         {DUP, last, 0, 0, total…}               was applied before
--         {GAP, last}                             last is not prev
--         {UNKNOWN}                               another generation
--
-- Twice is safe: the second time, the number is not below seq any more.

local call, find, match, gmatch = redis.call, string.find, string.match, string.gmatch
local format, floor, concat = string.format, math.floor, table.concat

local HEAD = 7
local GENERATION = '\254'
local MAX = 1.7976931348623157e308
local WHOLE = 9007199254740992 -- 2^53: below, every whole number is exact
local CHUNK = 2000 -- arguments of one redis.call; unpack has its limit at 8000

local ctl, v = KEYS[1], KEYS[2]
local me = 'w:' .. ARGV[2]
local prev, seq, cap, overflow = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5]), ARGV[6]
local totals = ARGV[7] == '1'
local ops = (#ARGV - HEAD) / 3
if not prev or not seq or not cap or ops ~= floor(ops) then
  return redis.error_reply('ERR shoal: malformed commit')
end

local function plus0(s) return s + 0 end

-- number reads a decimal number, or gives nil. Not tonumber: that reads 0x10
-- and nan, and where it is imitated it fails on 1e5. Adding 0 also makes the
-- negative zero the usual one.
local function number(s)
  if find(s, '^-?%d+$') and #s < 300 then return s + 0 end
  local int, frac, exp = match(s, '^[+-]?(%d*)%.?(%d*)(.*)$')
  if not int or int .. frac == '' or (exp ~= '' and not find(exp, '^[eE][+-]?%d+$')) then return nil end
  local ok, n = pcall(plus0, s) -- imitations raise an error where this is infinite
  if not ok or n > MAX or n < -MAX then return nil end
  return n
end

local function text(n)
  if n > MAX then n = MAX elseif n < -MAX then n = -MAX end
  if n == floor(n) and n < WHOLE and n > -WHOLE then return format('%.0f', n) end
  return format('%.17g', n)
end

-- pairs_of reads "name:number name:number" strictly, or gives nil.
local function pairs_of(s)
  local names, numbers, wholes, n, size = {}, {}, {}, 0, -1
  for whole, name, num in gmatch(s, '(([^ :]+):([^ ]+))') do
    n = n + 1
    names[n], numbers[n], wholes[n] = name, num, whole
    size = size + #whole + 1
  end
  if n == 0 or size ~= #s then return nil end
  return names, numbers, wholes, n
end

-- add gives the sum of a stored vector (false if there is none) and a delta,
-- and whether the stored one was damaged; nil if the delta is.
local function add(stored, delta)
  if not find(delta, ':', 1, true) then
    local d = number(delta)
    if not d then return nil end
    local s = stored and number(stored)
    return text((s or 0) + d), stored and not s
  end

  local names, numbers, _, n = pairs_of(delta)
  if not names then return nil end
  local more = {}
  for i = 1, n do
    local d = number(numbers[i])
    if not d then return nil end
    more[names[i]] = (more[names[i]] or 0) + d
  end

  local out, k, damaged = {}, 0, false
  if stored then
    local had, texts, wholes, count = pairs_of(stored)
    if had then
      local sums = {}
      for i = 1, count do
        local name, num = had[i], texts[i]
        local d = more[name]
        if d and not sums[name] then
          local s = number(num)
          if not s then damaged = true break end
          sums[name] = true
          k = k + 1
          out[k] = name .. ':' .. text(s + d)
        else
          if not (find(num, '^%d+$') and #num < 300) and not number(num) then damaged = true break end
          k = k + 1
          out[k] = wholes[i]
        end
      end
      if not damaged then
        for name in pairs(sums) do more[name] = nil end
      end
    else
      damaged = true
    end
    if damaged then out, k = {}, 0 end
  end
  for i = 1, n do
    local d = more[names[i]]
    if d then
      k = k + 1
      out[k] = names[i] .. ':' .. text(d)
      more[names[i]] = nil -- named twice in the delta: it is summed already
    end
  end
  return concat(out, ' '), damaged
end

-- latest gives the one of two "number stamp deadline" with the newer stamp.
local STAMPED = '^%S+ (%d+) %d+$'
local function latest(stored, new)
  local stamp = match(new, STAMPED)
  if not stamp then return nil end
  local old = stored and match(stored, STAMPED)
  if old and tonumber(old) > tonumber(stamp) then return stored, false end
  return new, stored and not old
end

-- fetch reads fields of v in calls of bounded size; an absent one is false.
local function fetch(fields)
  local texts = {}
  for from = 1, #fields, CHUNK do
    local to = math.min(from + CHUNK - 1, #fields)
    local part = call('HMGET', v, unpack(fields, from, to))
    for i = 1, to - from + 1 do texts[from + i - 1] = part[i] end
  end
  return texts
end

local state = call('HMGET', ctl, 'gen', me, 'shape')
if state[1] ~= ARGV[1] or call('HGET', v, GENERATION) ~= ARGV[1] then return {'UNKNOWN'} end
local last = match(state[2] or '', '^(%d+) ') or '0'
local time = call('TIME')
local now = time[1]

local fields = {}
for i = 1, ops do fields[i] = ARGV[HEAD + 3 * i - 1] end

if tonumber(last) >= seq then
  -- The write makes a demoted master say READONLY instead of acknowledging
  -- what its successor may not have.
  call('HSET', ctl, me, last .. ' ' .. now, 'touched', now)
  local reply = {'DUP', last, 0, 0}
  if totals then
    local texts, spare = fetch(fields), nil
    for i = 1, ops do
      local kind, total = ARGV[HEAD + 3 * i - 2], texts[i]
      if kind ~= '+' and kind ~= '=' then
        total = ''
      elseif not total and cap > 0 then
        spare = spare or (call('HLEN', v) - 1 >= cap and call('HGET', v, overflow)) or ''
        total = spare
      end
      reply[4 + i] = total or ''
    end
  end
  return reply
end
if tonumber(last) ~= prev then return {'GAP', last} end

-- Work out the outcome in memory. was and is: texts by field, false if absent.
local was, is, target = {}, {}, {}
local stored = fetch(fields)
for i = 1, ops do was[fields[i]], is[fields[i]] = stored[i], stored[i] end
local cleared, grown, series, corrupt, overflowed = false, 0, nil, 0, 0

for i = 1, ops do
  local kind, field, value = ARGV[HEAD + 3 * i - 2], fields[i], ARGV[HEAD + 3 * i]
  if kind == '+' or kind == '=' then
    if cap > 0 and not is[field] and field ~= overflow then
      if not series then series = call('HLEN', v) - 1 end
      if (cleared and 0 or series) + grown >= cap then
        field = overflow
        overflowed = overflowed + 1
        if is[field] == nil then
          was[field] = call('HGET', v, field)
          is[field] = not cleared and was[field]
        end
      end
    end
    local sum, damaged
    if kind == '+' then sum, damaged = add(is[field], value) else sum, damaged = latest(is[field], value) end
    if not sum then
      return redis.error_reply('ERR shoal: op ' .. i .. ' of the commit has a malformed value')
    end
    if damaged then corrupt = corrupt + 1 end
    if not is[field] then grown = grown + 1 end
    is[field], target[i] = sum, field
  elseif kind == '-' then
    if is[field] then grown = grown - 1 end
    is[field] = false
  elseif kind == '*' then
    cleared, grown = true, 0
    for f in pairs(is) do is[f] = false end
  else
    return redis.error_reply('ERR shoal: op ' .. i .. ' of the commit is of an unknown kind')
  end
end

local set, gone, changed = {}, {}, cleared
if cleared then set[1], set[2] = GENERATION, ARGV[1] end
for field, now_text in pairs(is) do
  local before = was[field]
  if now_text then
    if cleared or now_text ~= before then
      set[#set + 1] = field
      set[#set + 1] = now_text
    end
    changed = changed or not before
  elseif before and not cleared then
    gone[#gone + 1] = field
    changed = true
  end
end

-- Nothing above has written. The first write is one that checks the memory, so
-- that OOM leaves all as it was; after it, Redis lets the script finish.
if changed then
  -- The shape is a count and a time: a server that was set back to an older
  -- state would reach the same count again with other series, and a clock may
  -- stand still.
  local count = tonumber(match(state[3] or '', '^%d+') or '0') + 1
  call('HSET', ctl, me, ARGV[4] .. ' ' .. now, 'touched', now,
    'shape', format('%.0f', count) .. ' ' .. now .. '.' .. time[2])
else
  call('HSET', ctl, me, ARGV[4] .. ' ' .. now, 'touched', now)
end
if cleared then call('UNLINK', v) end
for from = 1, #gone, CHUNK do
  call('HDEL', v, unpack(gone, from, math.min(from + CHUNK - 1, #gone)))
end
for from = 1, #set, CHUNK do
  call('HSET', v, unpack(set, from, math.min(from + CHUNK - 1, #set)))
end

local reply = {'OK', ARGV[4], corrupt, overflowed}
if totals then
  for i = 1, ops do reply[4 + i] = target[i] and is[target[i]] or '' end
end
return reply
