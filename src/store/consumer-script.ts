// Owns the script that reads the consumers out of Redis: all of them as they are at one moment, or that nothing has changed. Must never write.
import { type Script, script } from "./fleet-scripts.ts";

/** The hash of the consumers: name -> JSON. */
export const consumersKey = (prefix: string): string => `${prefix}:consumers`;
/** What says that they are complete, and which of their versions they are. In the same slot of a cluster: the hash's name is its tag. */
export const markerKey = (prefix: string): string => `{${prefix}:consumers}:version`;

/** Longest marker that is told apart; further characters do not count. */
const MARKER_CHARS_MAX = 64;

/**
 * KEYS: the hash, its marker. ARGV: the marker and the number of consumers as they were last read (-1: read in
 * any case), most consumers, most bytes of names and JSON.
 * Answer: one of `unmarked` (there is no marker) and `many` with the number of consumers, `large` with the bytes, `same`, or `set` with
 * the marker, and names and JSON in turn.
 *
 * To look costs two look-ups, whatever the number of consumers.
 */
export const READ_CONSUMERS: Script = script(`
local count = redis.call('HLEN', KEYS[1])
local marker = redis.call('GET', KEYS[2])
if not marker then return { 'unmarked', count } end
marker = string.sub(marker, 1, ${MARKER_CHARS_MAX})
if marker == ARGV[1] and count == tonumber(ARGV[2]) then return { 'same' } end
if count > tonumber(ARGV[3]) then return { 'many', count } end
local all = redis.call('HGETALL', KEYS[1])
local bytes = 0
for i = 1, #all do bytes = bytes + #all[i] end
if bytes > tonumber(ARGV[4]) then return { 'large', bytes } end
return { 'set', marker, all }
`);
