// Owns what the lines of a response head mean, looked up once: a service sends the same few names, mostly in the same order, and many with the same value.
// Must never hold on to the head that a line came with, nor answer for a line that has not been checked.
import { trimWhitespace } from "../../../../base/http.ts";
import { fieldRole } from "../response-headers.ts";

/** Names kept for a thread, and the longest that is kept, characters with the colon. */
export const NAMES_MAX = 1024;
export const NAME_CHARS_MAX = 64;
/** Places in a head that are remembered of a server. */
export const PLACES_MAX = 32;
/** Longest line that is kept of a place, and of all places of a server together, characters. */
export const LINE_CHARS_MAX = 256;
export const LINES_CHARS_MAX = 2048;
/** A line that is another each time is looked at so rarely: once in so many heads. */
const LEARN_EVERY_MAX = 64;

export interface FieldName {
  /** As it was sent, with its colon. */
  readonly written: string;
  /** Lowercase. */
  readonly name: string;
  /** What becomes of such a field: one of the ROLE_ constants. */
  readonly role: number;
}

const known = new Map<string, FieldName>();

/** @param written a token (RFC 9110 section 5.1) and its colon */
export function fieldName(written: string): FieldName {
  const found = known.get(written);
  if (found !== undefined) return found;
  const own = ownText(written);
  const name = own.slice(0, -1).toLowerCase();
  const field = { written: own, name, role: fieldRole(name) };
  if (own.length > NAME_CHARS_MAX) return field;
  if (known.size >= NAMES_MAX) known.clear();
  known.set(own, field);
  return field;
}

/** A part of a head would keep all of it. */
const ownText = (part: string): string => Buffer.from(part, "latin1").toString("latin1");

/** What a place in a server's heads held last. */
export class KnownPlace {
  name: FieldName;
  /** A whole line, with its CRLF, '' for none; what it was read as: its name and its value without white space around it. */
  line = "";
  lineName: FieldName;
  value = "";
  private wait = 1;
  private every = 1;

  constructor(name: FieldName) {
    this.name = name;
    this.lineName = name;
  }

  /** The line has come again. */
  hit(): void {
    this.wait = this.every = 1;
  }

  /** @returns whether this other line is to be remembered: one that never comes twice is not worth its copy */
  wants(): boolean {
    if (--this.wait > 0) return false;
    this.every = Math.min(2 * this.every, LEARN_EVERY_MAX);
    this.wait = this.every;
    return true;
  }
}

/** The lines of the last heads of one server, whatever connections they came on, by their place: the next head most likely has the same names there, and some of the same lines. */
export class FieldPlaces {
  private readonly places: KnownPlace[] = [];
  private chars = 0;

  /** @returns what came last in this place of a head */
  last(place: number): KnownPlace | undefined {
    return this.places[place];
  }

  /** @returns the name of the field that begins at `at`. @param text has been checked: there is a name and a colon */
  at(place: number, text: string, at: number): FieldName {
    const last = this.places[place];
    if (last !== undefined && text.startsWith(last.name.written, at)) return last.name;
    const field = fieldName(text.slice(at, text.indexOf(":", at) + 1));
    if (place >= PLACES_MAX || field.written.length > NAME_CHARS_MAX) return field;
    if (last === undefined) this.places[place] = new KnownPlace(field);
    else last.name = field;
    return field;
  }

  /**
   * This line has been read, and was not the one that is known.
   * @param field what at() gave for it
   * @param line checked, with its CRLF
   */
  learn(place: number, field: FieldName, line: string): void {
    const last = this.places[place];
    if (last === undefined || !last.wants()) return;
    this.chars -= last.line.length;
    const keep = line.length <= LINE_CHARS_MAX && this.chars + line.length <= LINES_CHARS_MAX;
    last.line = keep ? ownText(line) : "";
    last.lineName = field;
    last.value = keep ? trimWhitespace(last.line.slice(field.written.length, -2)) : "";
    this.chars += last.line.length;
  }
}
