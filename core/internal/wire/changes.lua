-- SPDX-License-Identifier: Apache-2.0
--
-- The log of changes. This is no script, but a part of those that add or remove series or move
-- their starts; scripts.go puts it before them.
--
-- The rules: docs/protocol.md, Changes.

-- change returns what to write into the control hash when series change, as pairs of field and
-- text: the next shape, and if the family is large, entries that name the fields in the lists.
-- shape is the stored one; series is how many there were before, or 0 to write no entry.
local function change(shape, time, series, ...)
  local LARGE, RING, LONGEST, SEPARATOR = 1000, 256, 2048, '\254'
  local MOST = 4503599627370496 -- 2^52: a larger count is damaged
  local find, format, concat = string.find, string.format, table.concat
  local count = tonumber(string.match(shape or '', '^%d+') or '0') or 0
  if count >= MOST then shape, count = false, 0 end

  -- The shape is a count and a time. If Redis steps back, the same count comes again with
  -- other series; and a clock may stand still.
  local function shape_of(n) return format('%.0f', n) .. ' ' .. time[1] .. '.' .. time[2] end
  local unlogged = {'shape', shape_of(count + 1)}
  local whole = shape and #shape <= 99 and (shape == '0' or find(shape, '^%d+ %d+%.%d+$'))
  if series <= LARGE or not whole then return unlogged end

  local notes, last = {}, count
  local parts, size = {}, LONGEST -- of the present entry; at first there is none
  local lists = {...}
  for l = 1, #lists do
    for i = 1, #lists[l] do
      local field = lists[l][i]
      if size + 1 + #field > LONGEST then
        if last > count then notes[#notes + 1] = concat(parts, SEPARATOR) end
        last = last + 1
        notes[#notes + 1] = 'c:' .. format('%.0f', last % RING)
        parts = {shape, shape_of(last)}
        size, shape = #shape + 1 + #parts[2], parts[2]
      end
      size = size + 1 + #field
      if size > LONGEST or last - count > RING or find(field, SEPARATOR, 1, true) then return unlogged end
      parts[#parts + 1] = field
    end
  end
  if last == count then return unlogged end
  notes[#notes + 1] = concat(parts, SEPARATOR)
  notes[#notes + 1] = 'shape'
  notes[#notes + 1] = shape
  return notes
end

