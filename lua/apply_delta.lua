-- apply_delta: adds an increase to the counter once. It was committed in MySQL before, in the epoch given.
--
-- KEYS  1 inventory:stock:T   2 inventory:meta:T   3 inventory:delta:<event>:T
-- ARGV  1 incarnation   2 epoch   3 units   4 TTL of the marker, s
--
-- {OK, left, version}        added now
-- {DUPLICATE}                this event was added before
-- {STALE, epoch}             a newer base contains it
-- {NOT_READY, epoch, why}    see ready.lua
-- {BAD_ARG}                  no epoch, units no integer >= 1, a TTL that is none, or a counter beyond 15 digits

local epoch, units, ttl = integer(ARGV[2]), integer(ARGV[3]), integer(ARGV[4])
if not epoch or epoch < 1 or not units or units < 1 or not ttl or ttl < 1 then
  return {'BAD_ARG'}
end

local refusal, _, stock, version = ready(KEYS[2], KEYS[1], ARGV[1], epoch)
if refusal then
  return refusal
end
-- GET rather than SET NX: a marker of a wrong type must raise, not pass for an increase that was applied.
if redis.call('GET', KEYS[3]) then
  return {'DUPLICATE'}
end
local next_version, left = decimal(version + 1), decimal(stock + units)
if not integer(left) then
  return {'BAD_ARG'}
end

redis.call('SET', KEYS[3], ARGV[2], 'EX', ARGV[4])
redis.call('HSET', KEYS[2], 'version', next_version, 'avail', left)
redis.call('SET', KEYS[1], left)
return {'OK', left, next_version}
