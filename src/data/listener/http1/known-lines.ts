// Owns the field lines that the last heads of one connection had, by their place: mostly all but one or two come again, and what has been read need not be read again.
// Must never hold on to the head that a line came with, nor more than its bounds, nor answer for a line that has not been checked.
import type { HeaderList } from "../../../base/header-list.ts";
import { FIELDS_READ, FIELDS_USUAL, FIELDS_WRONG, readFields } from "./fields.ts";

/** Places that are remembered of a connection; the longest line, and all of them together, characters. */
const PLACES_MAX = 32;
const LINE_CHARS_MAX = 256;
const LINES_CHARS_MAX = 2048;
/** A place that holds another line each time is learnt so rarely: once in so many heads. */
const LEARN_EVERY_MAX = 64;

/** What a place held. */
interface KnownLine {
  /** With its CRLF; '' for none. */
  line: string;
  name: string;
  value: string;
  isUsual: boolean;
  /** Heads until it is learnt anew, and from one such time to the next. */
  wait: number;
  every: number;
}

export class KnownLines {
  private readonly lines: KnownLine[] = [];
  private chars = 0;

  /** As readFields() does. */
  read(text: string, at: number, end: number, list: HeaderList): number {
    let outcome = FIELDS_USUAL;
    let from = at;
    for (let place = 0; from < end; place++) {
      const known = this.lines[place];
      // A slice and a comparison take less than startsWith() does.
      if (known !== undefined && known.line !== "" && text.slice(from, from + known.line.length) === known.line) {
        known.wait = known.every = 1;
        list.push(known.name, known.value);
        if (!known.isUsual) outcome = FIELDS_READ;
        from += known.line.length;
        continue;
      }
      const next = text.indexOf("\n", from) + 1;
      const read = readFields(text, from, next, list);
      if (read === FIELDS_WRONG) return FIELDS_WRONG;
      if (read === FIELDS_READ) outcome = FIELDS_READ;
      if (place < PLACES_MAX) this.learn(place, text.slice(from, next), read === FIELDS_USUAL);
      from = next;
    }
    return outcome;
  }

  private learn(place: number, line: string, isUsual: boolean): void {
    const last = this.lines[place];
    if (last === undefined) {
      this.lines[place] = { line: "", name: "", value: "", isUsual, wait: 1, every: 1 };
      return;
    }
    if (--last.wait > 0) return;
    last.every = Math.min(2 * last.every, LEARN_EVERY_MAX);
    last.wait = last.every;
    this.chars -= last.line.length;
    last.line = "";
    if (line.length > LINE_CHARS_MAX || this.chars + line.length > LINES_CHARS_MAX) return;
    const own = Buffer.from(line, "latin1").toString("latin1"); // a part of a head would keep all of it
    const field: HeaderList = [];
    readFields(own, 0, own.length, field);
    const [name = "", value = ""] = field;
    this.chars += own.length;
    last.line = own;
    last.name = name;
    last.value = value;
    last.isUsual = isUsual;
  }
}
