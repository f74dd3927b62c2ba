-- confirm: removes locks whose units the ledger owns now. Changes no counter.
--
-- KEYS  1 inventory:meta:T   2 inventory:lock:T
-- ARGV  1 incarnation   2 epoch   3... members (at most some thousands: they are unpacked on Lua's stack)
--
-- {OK, removed}              locks removed; one that is gone already counts 0, so a repeat is harmless
-- {STALE, epoch}             locks of the epoch went with it
-- {NOT_READY, epoch, why}    see ready.lua; never for a CORRUPT counter, which is no obstacle to removing a lock
-- {BAD_ARG}                  no epoch, or no member

local epoch = integer(ARGV[2])
if not epoch or epoch < 1 or #ARGV < 3 then
  return {'BAD_ARG'}
end

local refusal = ready(KEYS[1], nil, ARGV[1], epoch)
if refusal then
  return refusal
end

return {'OK', redis.call('ZREM', KEYS[2], unpack(ARGV, 3))}
