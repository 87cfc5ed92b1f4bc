// Owns what runs inside Redis for purges of a fleet: a bounded log with numbers, of which each instance reads what it has not seen. One hash is all of it, so that
// no part can be lost without the others: `era` (when it was begun), `seq` (the last number), and an entry under each number.
import { script } from "./fleet-scripts.ts";

/** Entries that are kept: an instance that has missed more of them purges everything. */
export const PURGES_MAX = 4096;
/** The log is forgotten when no instance has looked at it for so long, ms. */
export const PURGES_TTL_MS = 7 * 86_400_000;

/** The era is when the log was begun, and by whom: a log that was lost and begun anew never has the same. */
const ERA = `
local era = redis.call('HGET', KEYS[1], 'era')
local function anew()
  local t = redis.call('TIME')
  era = t[1] .. '.' .. t[2] .. '.' .. ARGV[1]
  redis.call('DEL', KEYS[1])
  redis.call('HSET', KEYS[1], 'era', era, 'seq', 0)
end
if not era then anew() end
redis.call('PEXPIRE', KEYS[1], ${PURGES_TTL_MS})
`;

/**
 * Adds an order, and wakes those who listen.
 * KEYS: log. ARGV: instance, order. Answer: its number. Twice is no harm.
 */
export const PURGE_APPEND = script(`${ERA}
local seq = redis.call('HINCRBY', KEYS[1], 'seq', 1)
redis.call('HSET', KEYS[1], seq, ARGV[1] .. ' ' .. ARGV[2])
redis.call('HDEL', KEYS[1], seq - ${PURGES_MAX})
redis.pcall('PUBLISH', KEYS[1], seq)
return seq
`);

/**
 * Answers what an instance has not read.
 * KEYS: log. ARGV: instance, era and number up to which it has read ('' and 0 for nothing yet), most entries.
 * Answer: era, number up to which it has read with this answer, 1 when nothing in between is missing, 1 when there is more, then the entries.
 */
export const PURGE_READ = script(`${ERA}
local seq = tonumber(redis.call('HGET', KEYS[1], 'seq'))
local known = tonumber(ARGV[3])
-- A failover has lost orders that were confirmed: their numbers would be given to others, and nobody could tell.
if era == ARGV[2] and known > seq then
  anew()
  redis.call('PEXPIRE', KEYS[1], ${PURGES_TTL_MS})
  seq = 0
end
if era ~= ARGV[2] or known > seq or seq - known > ${PURGES_MAX} then return {era, seq, 0, 0} end
local last = math.min(seq, known + tonumber(ARGV[4]))
local out = {era, last, 1, last < seq and 1 or 0}
for i = known + 1, last do
  local entry = redis.call('HGET', KEYS[1], i)
  if not entry then return {era, seq, 0, 0} end
  out[#out + 1] = entry
end
return out
`);
