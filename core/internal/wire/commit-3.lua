-- SPDX-License-Identifier: Apache-2.0
--
-- Applies one batch of a writer to a family, at most once.
--
-- KEYS 1  the family's control hash
--      2  the family's values hash
--      3  the marks of its series
-- ARGV 1  generation
--      2  writer
--      3  prev: the number that the control hash must have for the writer
--      4  seq: the number of this batch, above prev; equal in a verification
--      5  cap: how many series the family may have; 0 for any number
--      6  overflow: the field of the overflow series
--      7  totals: 1 to get them, else 0
--      8  kinds: a letter for each op, or one letter for all
--      9  births: for each op since when the writer holds its series, in microseconds; 0 if it
--          held it before. For a deletion: when it was asked for. Commas separate the births;
--          no text at all if none is above 0
--      10  again: 1 if the batch was sent before and Redis may have had it, else 0
--      11  values: of all ops, separated by commas
--      12… the fields of all ops
-- Returns {OK, seq, corrupt, overflowed, removed, total…}  applied now
--         {DUP, last, 0, 0, 0, total…}            was applied before
--         {GAP, last}                             the writer's number is last, and not prev
--         {UNKNOWN}                               another generation, or no such keys
--         {LATE}                                  a Reset came late: idle-3.lua does it in slices,
--                                                 and then the batch comes again without it
--
-- Twice is safe: the second time, the writer's number is seq already.
--
-- The rules: docs/protocol.md, Commit and Marks. Anybody may have stored what the keys hold. So
-- the script takes time in proportion to the bytes that it reads: a pattern that can fail
-- begins with ^, else Lua would try it at each byte.

local call, find, match, sub, format = redis.call, string.find, string.match, string.sub, string.format

local HEAD = 11
local GENERATION = '\254'
local LARGEST = '9007199254740991' -- the largest number of a batch, which no writer reaches
local CHUNK = 2000 -- arguments of one redis.call; unpack takes less than 8000

local ctl, v = KEYS[1], KEYS[2]
local me = 'w:' .. ARGV[2]
local prev, seq, cap, overflow = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5]), ARGV[6]
local totals, kinds, values = ARGV[7] == '1', ARGV[8], ARGV[11]
local ops = #ARGV - HEAD
if not prev or not seq or not cap or ops < 0 or (#kinds ~= 1 and #kinds ~= ops) then
  return redis.error_reply('ERR shoal: malformed commit')
end

local function kind_of(i) return #kinds == 1 and kinds or kinds:sub(i, i) end

-- The generation of the values is read behind the ops' fields. An absent field is false.
local state = redis.pcall('HMGET', ctl, 'gen', me, 'shape')
ARGV[HEAD + ops + 1] = GENERATION
local stored = redis.pcall('HMGET', v, unpack(ARGV, HEAD + 1, HEAD + math.min(CHUNK, ops + 1)))
for from = CHUNK + 1, stored.err and 0 or ops + 1, CHUNK do
  local part = call('HMGET', v, unpack(ARGV, HEAD + from, HEAD + math.min(from + CHUNK - 1, ops + 1)))
  for i = 1, #part do stored[from - 1 + i] = part[i] end
end
if state[1] ~= ARGV[1] or stored[ops + 1] ~= ARGV[1] then
  return trouble(state) or trouble(stored) or {'UNKNOWN'}
end
local last = '0'
if state[2] then
  last = match(state[2], '^([1-9]%d*) ')
  if not last then
    last = sub(state[2], 1, 2) == '0 ' and '0' or LARGEST
  elseif #last > 15 and (#last > 16 or tonumber(last) >= 2^53) then
    last = LARGEST
  end
end
local time = call('TIME')
local now = time[1]
local micros = time[1] * 1000000 + time[2]

if tonumber(last) >= seq then
  -- This write makes a demoted master answer READONLY: it must not acknowledge what its
  -- successor may lack.
  call('HSET', ctl, me, last .. ' ' .. now, 'touched', now)
  local reply = {'DUP', last, 0, 0, 0}
  if totals then
    local spare
    for i = 1, ops do
      local kind, total = kind_of(i), stored[i]
      if kind ~= '+' and kind ~= '=' then
        total = ''
      elseif not total and cap > 0 then
        spare = spare or (call('HLEN', v) - 1 >= cap and call('HGET', v, overflow)) or ''
        total = spare
      end
      if total and #total > MAX_TEXT then total = '' end
      reply[5 + i] = total or ''
    end
  end
  return reply
end
if tonumber(last) ~= prev then return {'GAP', last} end

local set = {} -- what to write: pairs of field and text
local results = {} -- for each op the text of its series after it

-- quick works out the outcome of nearly every batch: of one that only adds, to series that
-- all exist, whose texts are as this script writes them. For any other batch it returns false
-- or raises an error, and careful works out the outcome. There is one for vectors and one for
-- numbers. It takes about half of careful's time for numbers, and a third where 3 of a
-- histogram's 13 components change.
--
-- The one for vectors does not check the components that a delta does not name. One that makes a
-- page omit the series would stay for ever, so careful does one of so many batches of vectors: a
-- prime, so that each series has its turn.
local THOROUGH = 251
local vectors, quick = find(values, ':', 1, true), nil
if kinds ~= '+' or vectors and seq % THOROUGH == 0 then
  function quick() return false end
elseif vectors then
  -- Changes only those components that the delta names.
  function quick(ops, values, stored, set, results)
    local find, match, gmatch, gsub, sub, concat = string.find, string.match, string.gmatch, string.gsub, string.sub, table.concat
    local WORK = 33554432 -- it does no more: bytes of the deltas times bytes of the texts
    local SHORT = 1e14 -- Lua writes 14 digits: whole numbers below it need no format
    -- PAIR matches one component of a vector that begins with a space.
    local PAIR, CUT = '( [^ :]+:)([%d.eE+%-]+)', '^([%d.eE+%-]+)() '
    local out, seen, work, i = {}, {}, 0, 0
    for delta in gmatch(values, '[^,]+') do
      i = i + 1
      delta = ' ' .. delta
      local rest, k, size = ' ' .. stored[i] .. ' ', 0, 0
      work = work + #delta * #rest -- each component of the delta is searched for in the text
      if work > WORK or #rest > MAX_TEXT + 2 then return false end
      for key, num in gmatch(delta, PAIR) do
        if seen[key] == i then return false end
        seen[key] = i
        size = size + #key + #num
        local from, to = find(rest, key, 1, true)
        if from then
          local had, after = match(rest, CUT, to + 1)
          num = had + num
          rest = sub(rest, 1, from - 1) .. sub(rest, after)
        end
        num = num + 0
        if num - num ~= 0 or num < 0 and key ~= ' sum:' then return false end
        if num % 1 ~= 0 or num >= SHORT or num <= -SHORT then num = text(num) end
        out[k + 1], out[k + 2] = key, num
        k = k + 2
      end
      -- The rest must be components that are whole numbers, and the last space. If the sum
      -- might have too many components, careful counts them.
      local others, n = gsub(rest, ' [^ :]+:%d+', '')
      if size ~= #delta or others ~= ' ' or n > MAX_COMPONENTS - 1001 then return false end
      local sum = sub(concat(out, '', 1, k) .. rest, 2, -2)
      if #sum > MAX_TEXT then return false end
      results[i], set[2 * i - 1], set[2 * i] = sum, ARGV[HEAD + i], sum
    end
    return i == ops
  end
else
  -- Checks all numbers in one match, and has Lua write most.
  function quick(ops, values, stored, set, results, totals)
    local find, format, ARGV = string.find, string.format, ARGV
    -- NUMBERS matches decimal numbers with commas between. The range +-: is +,-./0123456789: of
    -- which Lua reads no other character than DECIMAL's as part of a number.
    local NUMBERS = '^[+-:eE]*$'
    local had, at, i, k = table.concat(stored, ',', 1, ops), HEAD, 0, 0
    if #had > MAX_TEXT or not find(had, NUMBERS) or not find(values, NUMBERS) then return false end
    for delta in string.gmatch(values, '[^,]+') do
      i = i + 1
      local n = stored[i] + delta
      if n < 2^53 and n > -2^53 and n % 1 == 0 then
        n = format('%d', n)
      elseif n - n ~= 0 then -- it is infinite
        return false
      elseif totals then
        n = text(n)
      end
      set[k + 1], set[k + 2] = ARGV[at + i], n
      if totals then results[i] = n end
      k = k + 2
    end
    return i == ops
  end
end

local done = ops == 0
if not done then
  local ok, worked = pcall(quick, ops, values, stored, set, results, totals)
  done = ok and worked
end

local gone = {} -- fields to remove
local came = {} -- fields of series that are created
local target = {} -- for each op the field that it went to: false for none, nil for its own
local corrupt, overflowed, cleared, changed = 0, 0, false, false

-- split returns the n texts between the commas of s; nil if there are more.
local function split(s, n)
  local texts, from = {}, 1
  for i = 1, n do
    local to = string.find(s, ',', from, true) or #s + 1
    texts[i], from = string.sub(s, from, to - 1), to + 1
  end
  return from > #s + 1 and texts or nil
end

local births = ARGV[9] ~= '' and split(ARGV[9], ops) -- for each op, if the writer tells of any
for i = 1, births and ops or 0 do births[i] = tonumber(births[i]) or 0 end

-- careful works out the outcome of any batch: how many stored texts were corrupt, how many ops
-- overflowed, whether all series go, and whether any series comes or goes.
if not done then
  local add, latest = adders()
  values = split(values, ops)
  if not values then return redis.error_reply('ERR shoal: malformed commit') end
  local was, is = {}, {} -- texts by field, before and after; false if absent
  for i = 1, ops do
    local field = ARGV[HEAD + i]
    was[field], is[field] = stored[i], stored[i]
  end

  -- A deletion may arrive long after it was asked for: Redis was away, or has stepped back and
  -- gets it again. It spares what began later. A Reset that spares has to look at each series,
  -- so it takes several calls.
  local LATE = 10000000 -- microseconds
  local late = {} -- fields of late deletions
  for i = 1, births and ops or 0 do
    local kind = kind_of(i)
    if (kind == '-' or kind == '*') and births[i] > 0 and micros - births[i] > LATE then
      if kind == '*' then return {'LATE'} end
      late[#late + 1] = ARGV[HEAD + i]
    end
  end
  local m = #late > 0 and marks(KEYS[3], ARGV[1], nil, late)
  for i = 1, #late do late[late[i]] = true end

  local grown, series = 0, nil
  for i = 1, ops do
    local kind, field, value = kind_of(i), ARGV[HEAD + i], values[i]
    if kind == '+' or kind == '=' then
      if cap > 0 and not is[field] and field ~= overflow then
        if not series then series = call('HLEN', v) - 1 end
        if (cleared and 0 or series) + grown >= cap then
          field = kind == '+' and overflow
          overflowed = overflowed + 1
          if field and is[field] == nil then
            was[field] = call('HGET', v, field)
            is[field] = not cleared and was[field]
          end
        end
      end
      -- A value that is set beyond the cap goes nowhere: the last of many series says nothing.
      local had, sum, damaged = field and is[field], nil, nil
      if kind == '+' then sum, damaged = add(had, value) else sum, damaged = latest(had, value, micros) end
      if not sum then return redis.error_reply('ERR shoal: op ' .. i .. ' of the commit has a malformed value') end
      target[i] = field
      if field then
        if damaged then corrupt = corrupt + 1 end
        if not had then grown = grown + 1 end
        is[field] = sum
      end
    elseif kind == '-' then
      if is[field] and not (late[field] and m.later(field, births[i], micros)) then
        grown = grown - 1
        is[field] = false
      end
      target[i] = false
    elseif kind == '*' then
      cleared, grown = true, 0
      for f in pairs(is) do is[f] = false end
      for k = 1, i do target[k] = false end
    else
      return redis.error_reply('ERR shoal: op ' .. i .. ' of the commit is of an unknown kind')
    end
  end

  changed = cleared
  for i in pairs(set) do set[i] = nil end -- quick may have failed half-way
  if cleared then set[1], set[2] = GENERATION, ARGV[1] end
  for field, now_text in pairs(is) do
    local before = was[field]
    if now_text then
      if cleared or now_text ~= before then
        set[#set + 1] = field
        set[#set + 1] = now_text
      end
      if cleared or not before then
        came[#came + 1] = field
        changed = true
      end
    elseif before and not cleared then
      gone[#gone + 1] = field
      changed = true
    end
  end
  for i = 1, ops do results[i] = target[i] and is[target[i]] or '' end
end

local removed = #gone
if cleared then removed = call('HLEN', v) - 1 end

-- The marks of series that come or go, and of those of which the writer tells now that it holds
-- them. A series began when the first process began to hold it, but not before the family's
-- last removal was asked for. What a batch brings back that was sent before had begun earlier.
local m, last
local moved = {} -- fields of series whose start moves back
if changed or births then
  local stored = call('HMGET', ctl, 'epoch', 'created', 'removed')
  local function past(s) return math.min(micros, tonumber(match(s or '', '^%d+$') or '0') or 0) end
  last = past(match(stored[3] or '', '^(%d+) %d+$'))
  if removed > 0 then
    local asked = 0
    for i = 1, births and ops or 0 do
      local kind = kind_of(i)
      if kind == '-' or kind == '*' then asked = math.max(asked, births[i]) end
    end
    last = asked == 0 and micros or math.min(micros, math.max(asked, last))
  end
  local floor = ARGV[10] == '1' and 0 or last

  local began = {} -- by field: since when the writer holds it; false where that is not known
  for i = 1, births and ops or 0 do
    local field, birth = target[i], births[i]
    if field == nil then field = ARGV[HEAD + i] end
    if field and birth > 0 then began[field] = math.max(floor, math.min(birth, began[field] or micros)) end
  end
  for i = 1, #came do began[came[i]] = began[came[i]] or false end
  local fields = {}
  for i = 1, #gone do fields[i] = gone[i] end
  for field in pairs(began) do fields[#fields + 1] = field end

  m = marks(KEYS[3], ARGV[1], stored[1], fields, cleared)
  for i = 1, #gone do m.remove(gone[i]) end
  for i = 1, #came do
    m.set(came[i], began[came[i]] or math.max(floor, past(stored[2])))
    began[came[i]] = nil
  end
  for field, start in pairs(began) do
    if (m.start(field) or 0) > start then -- this process held it before the one that created it
      m.set(field, start)
      moved[#moved + 1] = field
      changed = true -- for readers, who remember the start
    else
      m.hold(field)
    end
  end
end

-- Nothing above has written. The first write is an HSET, which checks the memory: if Redis
-- answers OOM, nothing has changed. After it, Redis lets the script finish.
if changed or #(state[3] or '') > 99 then -- too long to be a shape: each batch would read it
  local series = not cleared and call('HLEN', v) - 1 or 0
  call('HSET', ctl, me, ARGV[4] .. ' ' .. now, 'touched', now, unpack(change(state[3], time, series, gone, came, moved)))
else
  call('HSET', ctl, me, ARGV[4] .. ' ' .. now, 'touched', now)
end
if removed > 0 then -- the time of the removal, by which all processes notice it
  call('HSET', ctl, 'removed', format('%.0f %.0f', last, micros))
end
if cleared then call('UNLINK', v) end
for from = 1, #gone, CHUNK do
  call('HDEL', v, unpack(gone, from, math.min(from + CHUNK - 1, #gone)))
end
for from = 1, #set, CHUNK do
  call('HSET', v, unpack(set, from, math.min(from + CHUNK - 1, #set)))
end
if m then m.save() end

local reply = {'OK', ARGV[4], corrupt, overflowed, removed}
if totals then
  for i = 1, ops do reply[5 + i] = results[i] end
end
return reply
