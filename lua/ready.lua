-- Head of every script: put before its text when it is loaded, so that there is one copy of these two checks.

-- The number in `text`, a string or what Redis gives for none, if that is a plain decimal integer of at most 15 digits, else nil.
-- By pattern, because tonumber also takes '0x10', ' 5 ', '1e3', '5.5', 'inf' and 'nan', and nan passes every comparison.
-- 15 digits: such a number, and the sum of two, is exact in a Lua number (2^53 has 16).
-- Neither type nor tonumber is called: in a sale pre_deduct asks six times, and those calls were a fifteenth of it.
local function integer(text)
  if text and #text <= 15 and (text == '0' or string.find(text, '^[1-9]%d*$')) then
    return text + 0
  end
  return nil
end

-- A whole number as text. tostring and `..` round to 14 digits; '%d' is exact and cheaper than '%.0f'.
local function decimal(number)
  return string.format('%d', number)
end

-- READY: whether the counter of the item may be used on this connection. Reads only.
--   meta, stock   keys; stock nil: leave the CORRUPT test out (confirm changes no counter)
--   incarnation   Redis process that the caller's connection was opened to, as run_id:master_replid
--   epoch         number of the epoch that the caller acts in, or nil if it takes the installed one
-- Returns the reply that refuses the call, or nil and then epoch (text), stock and version (numbers).
--   {NOT_READY, 0, MISSING}          no counter is installed
--   {NOT_READY, epoch, INCARNATION}  it was installed in another process: a restart, failover or restore lies between
--   {STALE, epoch}                   a newer epoch is installed: the caller's effect is inside its base, or void
--   {NOT_READY, epoch, BEHIND}       the caller's epoch is committed and its counter has not arrived
--   {NOT_READY, epoch, CORRUPT}      a key is missing, was changed by a stranger, or holds no plain number
-- A key of a wrong type raises WRONGTYPE, which the caller reads as NOT_READY CORRUPT.
local function ready(meta, stock, incarnation, epoch)
  local fields = redis.call('HMGET', meta, 'epoch', 'inc', 'version', 'avail')
  local installed = fields[1]
  if not installed then
    return {'NOT_READY', '0', 'MISSING'}
  end
  local current = integer(installed)
  if not current then
    return {'NOT_READY', '0', 'CORRUPT'}
  end
  if fields[2] ~= incarnation then
    return {'NOT_READY', installed, 'INCARNATION'}
  end
  if epoch and current > epoch then
    return {'STALE', installed}
  end
  if epoch and current < epoch then
    return {'NOT_READY', installed, 'BEHIND'}
  end
  if not stock then
    return nil, installed
  end
  -- The copy in meta tells a foreign write, a lost or an evicted key. Numbers that are none would raise after the first write.
  local text = redis.call('GET', stock)
  local units, version = integer(text), integer(fields[3])
  if text ~= fields[4] or not units or not version then
    return {'NOT_READY', installed, 'CORRUPT'}
  end
  return nil, installed, units, version
end
