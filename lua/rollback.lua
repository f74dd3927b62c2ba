-- rollback: gives the units of locks back whose tokens can never get a ledger row. The caller has proved that.
--
-- KEYS  1 inventory:stock:T   2 inventory:meta:T   3 inventory:lock:T
-- ARGV  1 incarnation   2 epoch   3... members
--
-- {OK, units, left, version}   given back now
-- {OK, 0, left}                none of the locks stands any more
-- {STALE, epoch}               the epoch is over, and its reservations with it
-- {NOT_READY, epoch, why}      see ready.lua
-- {BAD_ARG}                    no epoch, no member, or a member that is malformed or of another epoch

local epoch = integer(ARGV[2])
if not epoch or epoch < 1 or #ARGV < 3 then
  return {'BAD_ARG'}
end
-- The quantity is the one inside the member, which pre_deduct wrote; a caller's number could give back more than was taken.
local quantities = {}
for i = 3, #ARGV do
  local of_epoch, quantity = string.match(ARGV[i], '^[^|]+|(%d+):%d+|(%d+)$')
  quantities[i] = integer(quantity)
  if of_epoch ~= ARGV[2] or not quantities[i] or quantities[i] < 1 then
    return {'BAD_ARG'}
  end
end

local refusal, _, stock, version = ready(KEYS[2], KEYS[1], ARGV[1], epoch)
if refusal then
  return refusal
end

-- ZREM is the gate: only who removed the lock gives its units back. It is also the one call here that a wrong type can refuse.
local removed, units = 0, 0
for i = 3, #ARGV do
  if redis.call('ZREM', KEYS[3], ARGV[i]) == 1 then
    removed = removed + 1
    units = units + quantities[i]
  end
end
if removed == 0 then
  return {'OK', '0', decimal(stock)}
end

local next_version, left = decimal(version + removed), decimal(stock + units)
redis.call('HSET', KEYS[2], 'version', next_version, 'avail', left)
redis.call('SET', KEYS[1], left)
return {'OK', decimal(units), left, next_version}
