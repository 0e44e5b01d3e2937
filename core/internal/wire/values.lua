-- SPDX-License-Identifier: Apache-2.0
--
-- How stored values are read, added up and written. This is no script, but a part of
-- commit-3.lua; scripts.go puts it before that.
--
-- Redis creates a script's functions anew in each call. That costs little, except for each local
-- variable of the script that they use. So they have local variables of their own, even for
-- string.find.
--
-- The rules: docs/protocol.md, Series and numbers, Commit.

local MAX_TEXT = 65536 -- bytes of a stored text; a longer one is damaged
local MAX_COMPONENTS = 2002 -- of a vector

-- text writes a number. A float64 holds each whole number below 2^53.
local function text(n)
  local MAX = 1.7976931348623157e308
  if n > MAX then n = MAX elseif n < -MAX then n = -MAX end
  return string.format(n % 1 == 0 and n < 2^53 and n > -2^53 and '%.0f' or '%.17g', n)
end

-- adders makes the functions by which careful adds.
local function adders()
  local find, match, gmatch, format, concat = string.find, string.match, string.gmatch, string.format, table.concat
  local MAX_NUMBER = 400 -- bytes of a number

  -- DECIMAL are the characters of decimal numbers. A text of nothing else that Lua takes for
  -- a number is a decimal one.
  local DECIMAL = '^[%d.eE+%-]+$'

  local function plus0(s) return s + 0 end

  -- number reads a decimal number; nil if it is none. tonumber would read 0x10 and nan, and
  -- miniredis's fails on 1e5. Adding 0 also turns negative zero into 0.
  local function number(s)
    if #s < 300 and find(s, '^-?%d+$') then return s + 0 end
    if #s > MAX_NUMBER or not find(s, DECIMAL) then return nil end
    local ok, n = pcall(plus0, s)
    if not ok or n - n ~= 0 then return nil end -- n is infinite
    return n
  end

  -- pairs_of reads "name:number name:number"; nil if the text is anything else. The pattern
  -- matches any word, so that Lua does not try one again from each of its bytes.
  local function pairs_of(s)
    local names, numbers, wholes, n, size = {}, {}, {}, 0, -1
    for whole, name, num in gmatch(s, '(([^ :]+):?([^ ]*))') do
      n = n + 1
      if num == '' or n > MAX_COMPONENTS then return nil end
      names[n], numbers[n], wholes[n] = name, num, whole
      size = size + #whole + 1
    end
    if n == 0 or size ~= #s then return nil end
    return names, numbers, wholes, n
  end

  -- The components that a page can show. A page omits a series with any other, or with a
  -- count below zero.
  local SUMMARY, HISTOGRAM = {sum = true, count = true}, {sum = true, ['+Inf'] = true}
  local function fits(name, kind)
    if not kind[name] and kind == HISTOGRAM and number(name) then kind[name] = true end
    return kind[name]
  end

  -- add returns the sum of a stored vector (false if there is none) and a delta, and
  -- whether the stored one was damaged, which the delta then replaces. It returns nil for a
  -- delta that is malformed.
  local add
  function add(stored, delta)
    if stored and #stored > MAX_TEXT then return (add(false, delta)), true end
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

    local out, k = {}, 0
    if stored then
      local had, texts, wholes, count = pairs_of(stored)
      local damaged, kind = not had, more.count and SUMMARY or HISTOGRAM
      for i = 1, count or 0 do
        local name, num = had[i], texts[i]
        local d = more[name]
        if d then
          local s = number(num)
          damaged = not s or s + d < 0 and name ~= 'sum'
          more[name] = nil
          out[i] = name .. ':' .. text((s or 0) + d)
        else
          if not find(num, '^%d+$') or #num >= 300 then
            local s = number(num)
            damaged = not s or s < 0 and name ~= 'sum'
          end
          out[i] = wholes[i]
        end
        if damaged or not kind[name] and not fits(name, kind) then return (add(false, delta)), true end
      end
      if damaged then return (add(false, delta)), true end
      k = count
    end
    for i = 1, n do
      local d = more[names[i]]
      if d then
        k = k + 1
        out[k] = names[i] .. ':' .. text(d)
        more[names[i]] = nil -- the delta may name it again: d has the sum
      end
    end
    local sum = concat(out, ' ')
    if stored and (#sum > MAX_TEXT or k > MAX_COMPONENTS) then return (add(false, delta)), true end
    return sum, false
  end

  -- latest returns that of two "number stamp deadline" with the newer stamp. A stored stamp
  -- in the future is not believed: it was written before the clock was set back. A new one
  -- in the future becomes the present, and its deadline moves back as far.
  local STAMPED = '^(%S+) (%d+) (%d+)$'
  local function latest(stored, new, now)
    local value, stamp, deadline = match(new, STAMPED)
    if not value then return nil end
    stamp, deadline = tonumber(stamp), tonumber(deadline)
    if stamp > now then
      if deadline > 0 then deadline = math.max(1, deadline - (stamp - now)) end
      stamp = now
      new = value .. ' ' .. format('%.0f', stamp) .. ' ' .. format('%.0f', deadline)
    end
    local _, old = match(stored and #stored <= MAX_TEXT and stored or '', STAMPED)
    old = tonumber(old or '')
    if old and old > stamp and old <= now then return stored, false end
    return new, stored and not old
  end
  return add, latest
end

