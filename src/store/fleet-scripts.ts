// Owns what runs inside Redis: the script that adds up what a fleet spends, the one that counts its instances, and the one that passes on what they
// report. All know one clock only, Redis's own, and give every key a time to live. A script touches the keys of one shard, so that it runs in a cluster too.
import { createHash } from "node:crypto";

export interface Script {
  readonly text: string;
  readonly sha1: string;
}

export const script = (text: string): Script => ({ text, sha1: createHash("sha1").update(text).digest("hex") });

/** Arguments of SYNC that come once, and those of each bucket. */
export const SYNC_HEAD_ARGS = 6;
export const SYNC_ENTRY_ARGS = 8;
/** Numbers of SYNC's answer that come once, and those of each bucket. */
export const SYNC_HEAD_REPLIES = 4;
export const SYNC_ENTRY_REPLIES = 2;

/** Lives of keys (ms) beyond what they are needed for: an answer may be late, a clock set back a little. */
const SLACK_MS = 2000;
const QUOTA_SLACK_MS = 3_600_000;
/** How long Redis remembers which batch of an instance it has seen: longer than any outage after which the batch is sent again. */
export const SEQUENCE_TTL_MS = 86_400_000;
/** How long a shard remembers since when it has kept count. */
const ERA_TTL_MS = 30 * 86_400_000;

/**
 * Applies one batch of spending, once, and answers what the fleet has spent.
 *
 * KEYS: era, sequence of the instance, one key for each bucket.
 * ARGV: sequence number; last sequence number that Redis confirmed to this instance; era as the instance knows it (0: none); instance;
 *   how long a lease lasts, how long after its end an unsettled one is kept before it is held to be spent (ms);
 *   for each bucket: kind (`r` rate, `q` quota; upper case: strict), spent, level before that (Redis's clock in ms, or units used), capacity,
 *   unit, held (strict: what the instance may still spend; below 0: what Redis has granted less what is spent), wanted (strict: units that are wanted more), end of the period (quota: epoch ms).
 * Answer: Redis's clock (us), 1 when the batch was applied now and 0 when it was before, era (ms), 1 while strict grants nothing;
 *   for each bucket: backlog (us; strict: with what others hold) or units used, and units granted.
 *
 * Idempotent: a batch that was applied before changes nothing. Rate buckets are kept as their theoretical arrival time in ms (GCRA as virtual
 * scheduling, ITU-T I.371 annex A): arrival = max(arrival, level before) + spent. As levels are times, a batch that comes late is worth as much
 * as it was, and a Redis that was emptied is told what it has forgotten.
 *
 * A strict bucket is a hash: `level` (time or units) of what is known to be spent, and for each instance with a lease `amount:end`. What is
 * granted keeps level + all leases within the capacity, so that whoever spends when, the limit holds. An instance says anew in each batch what
 * it holds: a grant whose answer got lost is given back by that. A lease that nobody settled counts as spent at its end.
 *
 * The era is when a shard began to count. An instance that knows an older era, or had a batch confirmed that is not remembered, proves that
 * spending was forgotten: the era begins anew and is marked `lost`. Strict buckets of a lost era are taken to be as full as they can have been;
 * in the first moments of any era nothing is granted, until every lease of the era before has ended.
 */
export const SYNC: Script = script(`
local t = redis.call('TIME')
local now = t[1] * 1000 + t[2] / 1000
local seq, confirmed, knownEra, id = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4]
local leaseMs, graceMs = tonumber(ARGV[5]), tonumber(ARGV[6])
local last = tonumber(redis.call('GET', KEYS[2]) or 0)
local era, lost = string.match(redis.call('GET', KEYS[1]) or '', '^(%d+)(.*)$')
era = tonumber(era or 0)
if era == 0 or confirmed > last or knownEra > era then
  lost = (era > 0 or knownEra > 0) and 'lost' or ''
  era = math.floor(now)
elseif knownEra > 0 and knownEra < era then lost = 'lost' end
redis.call('SET', KEYS[1], string.format('%d', era) .. lost, 'PX', ${ERA_TTL_MS})
local fresh = seq > last
if fresh then redis.call('SET', KEYS[2], string.format('%d', seq), 'PX', ${SEQUENCE_TTL_MS}) end
local holding = now < era + leaseMs + graceMs

-- What others hold, and what they held too long; the level that is known.
local function look(key)
  local seen = { level = 0, era = 0, leased = 0, unsettled = 0, ends = 0 }
  local all = redis.call('HGETALL', key)
  for i = 1, #all, 2 do
    local field, value = all[i], all[i + 1]
    if field == 'level' or field == 'era' then seen[field] = tonumber(value)
    else
      local amount, ends = string.match(value, '^(.+):(.+)$')
      amount, ends = tonumber(amount), tonumber(ends)
      if field == id then seen.mine = amount
      elseif ends + graceMs >= now then seen.leased = seen.leased + amount
      elseif fresh then
        seen.unsettled = seen.unsettled + amount
        seen.ends = math.max(seen.ends, ends)
        redis.call('HDEL', key, field)
      end
    end
  end
  return seen
end

local function strict(key, timed, spent, before, capacity, unit, held, wanted, endMs)
  local seen = look(key)
  local level = seen.level
  local function add(amount, since)
    if amount > 0 then level = (timed and math.max(level, since) or level) + amount end
  end
  if not timed then level = math.max(level, before)
  elseif lost == 'lost' and seen.era ~= era then level = math.max(level, era + leaseMs + graceMs + capacity) end
  if not fresh then return level, 0, seen.leased end
  add(seen.unsettled, seen.ends)
  add(spent, now)
  if held < 0 then held = math.max(0, (seen.mine or 0) - spent) end
  local room = capacity - (timed and math.max(0, level - now) or level) - seen.leased - held
  local units = 0
  if wanted > 0 and room > 0 and not holding then units = math.floor(math.min(wanted, room / unit) + 1e-6) end
  local lease = held + units * unit
  if lease > 0 then redis.call('HSET', key, id, string.format('%.6f:%.3f', lease, now + leaseMs))
  elseif seen.mine then redis.call('HDEL', key, id) end
  redis.call('HSET', key, 'level', string.format('%.4f', level), 'era', string.format('%d', era))
  local life = timed and math.max(level - now, leaseMs + graceMs) + ${SLACK_MS} or math.max(endMs - now, 0) + ${QUOTA_SLACK_MS}
  redis.call('PEXPIRE', key, math.ceil(life))
  return level, units, seen.leased
end

local out = { math.floor(now * 1000), fresh and 1 or 0, era, holding and 1 or 0 }
local a, o = ${SYNC_HEAD_ARGS}, ${SYNC_HEAD_REPLIES}
for k = 3, #KEYS do
  local key, kind = KEYS[k], ARGV[a + 1]
  local spent, before, capacity = tonumber(ARGV[a + 2]), tonumber(ARGV[a + 3]), tonumber(ARGV[a + 4])
  local unit, held, wanted, endMs = tonumber(ARGV[a + 5]), tonumber(ARGV[a + 6]), tonumber(ARGV[a + 7]), tonumber(ARGV[a + 8])
  a = a + ${SYNC_ENTRY_ARGS}
  local told, units = 0, 0
  if kind == 'r' then
    local arrival = tonumber(redis.call('GET', key) or 0)
    if fresh then
      arrival = math.max(arrival, before) + spent
      local life = math.ceil(arrival - now) + ${SLACK_MS}
      if life > 0 then redis.call('SET', key, string.format('%.4f', arrival), 'PX', life) end
    end
    told = math.max(0, arrival - now) * 1000
  elseif kind == 'q' then
    told = tonumber(redis.call('GET', key) or 0)
    if fresh then
      told = math.max(told, before) + spent
      redis.call('SET', key, string.format('%.4f', told), 'PX', math.ceil(math.max(0, endMs - now)) + ${QUOTA_SLACK_MS})
    end
  else
    local timed = kind == 'R'
    local leased
    told, units, leased = strict(key, timed, spent, before, capacity, unit, held, wanted, endMs)
    if timed then told = (math.max(0, told - now) + leased) * 1000 end
  end
  out[o + 1], out[o + 2] = math.ceil(told - 1e-4), units
  o = o + ${SYNC_ENTRY_REPLIES}
end
return out
`);

/**
 * Says that an instance lives, and counts those that do.
 *
 * KEYS: the members, a sorted set by the time of their last sign of life. ARGV: instance, time (ms) until one is held to be dead, 1 to leave.
 * Answer: Redis's clock (us), the number of live instances.
 */
export const MEET: Script = script(`
local t = redis.call('TIME')
local now = t[1] * 1000 + t[2] / 1000
local ttl = tonumber(ARGV[2])
if ARGV[3] == '1' then redis.call('ZREM', KEYS[1], ARGV[1])
else redis.call('ZADD', KEYS[1], string.format('%.3f', now), ARGV[1]) end
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('(%.3f', now - ttl))
redis.call('PEXPIRE', KEYS[1], ttl * 2)
return { math.floor(now * 1000), redis.call('ZCARD', KEYS[1]) }
`);

/** Numbers of REPORT's answer in front of the reports. */
export const REPORT_HEAD_REPLIES = 4;
/** Longest time (ms) that a report may be kept without being said anew. */
export const REPORT_TTL_MS_MAX = 60_000;

/**
 * Leaves an instance's report (of its breakers) and tells what others have left since the reader last looked.
 *
 * KEYS: who reports, a sorted set by the time (ms) at which the report ends; the same, by the report's number; the reports, a hash.
 * ARGV: instance; how long the report holds (ms); the report, empty to leave; the highest number that the reader has seen (0: tell all);
 *   reports in one answer; bytes of a report.
 * Answer: the highest number in the answer, how many instances report, 1 when there is more to tell, entries removed because no instance
 *   can have made them; then instance and report by turns, the oldest first, empty for one that is too long.
 *
 * A report gets a new number when its text changes, so an answer holds only news; numbers grow with Redis's clock, so they do not repeat when
 * the keys were lost. Who misses somebody counts. The three keys are about the same instances: if not, somebody else wrote there, and all begin anew.
 */
export const REPORT: Script = script(`
local t = redis.call('TIME')
local now = t[1] * 1000 + t[2] / 1000
local me, ttl, report, known = ARGV[1], tonumber(ARGV[2]), ARGV[3], ARGV[4]
local page, bytes = tonumber(ARGV[5]), tonumber(ARGV[6])
local foreign = 0

for i, kind in ipairs({ 'zset', 'zset', 'hash' }) do
  if redis.call('TYPE', KEYS[i]).ok ~= kind then redis.call('UNLINK', KEYS[i]) end
end
local function forget(id)
  redis.call('ZREM', KEYS[1], id)
  redis.call('ZREM', KEYS[2], id)
  redis.call('HDEL', KEYS[3], id)
end
local function ended(from, to)
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], from, to, 'LIMIT', 0, 1000)) do forget(id) end
end
ended('-inf', string.format('(%.3f', now))
ended(string.format('(%.3f', now + ${REPORT_TTL_MS_MAX}), '+inf')

local last = tonumber(redis.call('ZREVRANGE', KEYS[2], 0, 0, 'WITHSCORES')[2] or 0)
local count = redis.call('ZCARD', KEYS[1])
if count ~= redis.call('ZCARD', KEYS[2]) or count ~= redis.call('HLEN', KEYS[3]) or last > (now + ${REPORT_TTL_MS_MAX}) * 1000 then
  redis.call('UNLINK', KEYS[1], KEYS[2], KEYS[3])
  last = 0
end
if report == '' then
  forget(me)
  return { 0, 0, 0, 0 }
end

if redis.call('HGET', KEYS[3], me) ~= report then
  redis.call('HSET', KEYS[3], me, report)
  redis.call('ZADD', KEYS[2], string.format('%.0f', math.max(math.floor(now * 1000), last + 1)), me)
end
redis.call('ZADD', KEYS[1], string.format('%.3f', now + ttl), me)
for i = 1, 3 do redis.call('PEXPIRE', KEYS[i], ${2 * REPORT_TTL_MS_MAX}) end

local out = { tonumber(known), 0, 0, 0 }
local news = redis.call('ZRANGEBYSCORE', KEYS[2], '(' .. known, '+inf', 'WITHSCORES', 'LIMIT', 0, page)
for i = 1, #news, 2 do
  local id = news[i]
  out[1] = tonumber(news[i + 1])
  if #id ~= #me then
    forget(id)
    foreign = foreign + 1
  else
    out[#out + 1] = id
    out[#out + 1] = redis.call('HSTRLEN', KEYS[3], id) <= bytes and redis.call('HGET', KEYS[3], id) or ''
  end
end
out[2], out[3], out[4] = redis.call('ZCARD', KEYS[1]), #news == 2 * page and 1 or 0, foreign
return out
`);
