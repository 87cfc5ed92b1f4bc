// Owns what a field name in a response head means, looked up once: a service sends the same few names, mostly in the same order.
// Must never hold on to the head that a name came with.
import { isRelayed } from "../response-headers.ts";

/** Names kept for a thread, and the longest that is kept, characters with the colon. */
export const NAMES_MAX = 1024;
export const NAME_CHARS_MAX = 64;
/** Places in a head that a connection remembers. */
export const PLACES_MAX = 32;

export interface FieldName {
  /** As it was sent, with its colon. */
  readonly written: string;
  /** Lowercase. */
  readonly name: string;
  readonly relayed: boolean;
}

const known = new Map<string, FieldName>();

/** @param written a token (RFC 9110 section 5.1) and its colon */
export function fieldName(written: string): FieldName {
  const found = known.get(written);
  if (found !== undefined) return found;
  const own = Buffer.from(written, "latin1").toString("latin1"); // `written` is a part of the head, and would keep it
  const name = own.slice(0, -1).toLowerCase();
  const field = { written: own, name, relayed: isRelayed(name) };
  if (own.length > NAME_CHARS_MAX) return field;
  if (known.size >= NAMES_MAX) known.clear();
  known.set(own, field);
  return field;
}

/** The names of the last heads of one connection, by their place: the next head most likely has the same ones there. */
export class FieldPlaces {
  private readonly places: FieldName[] = [];

  /** @returns the name of the field that begins at `at`. @param text has been checked: there is a name and a colon */
  at(place: number, text: string, at: number): FieldName {
    const last = this.places[place];
    if (last !== undefined && text.startsWith(last.written, at)) return last;
    const field = fieldName(text.slice(at, text.indexOf(":", at) + 1));
    if (place < PLACES_MAX && field.written.length <= NAME_CHARS_MAX) this.places[place] = field;
    return field;
  }
}
