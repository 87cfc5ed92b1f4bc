// Owns finding the cookies of one name in a Cookie line (RFC 6265 section 4.2.1), in one pass.
// Must cost no more than one look at each character, whatever a client sends; decides nothing about what is found.

const SEMICOLON = 59;
const EQUALS = 61;
const NO_BREAK_SPACE = 0xa0;

/** As String.trim() sees a byte string: readers differ, and none may find a cookie that is not found here. */
const isBlank = (c: number): boolean => c === 32 || (c >= 9 && c <= 13) || c === NO_BREAK_SPACE;

/** Cookies of one name, one after the other. May be begun anew, but not before the last walk is over. */
export class CookieWalk {
  /** Of the pair that {@link next} came to: `[start, end)`, blanks around it included. */
  start = 0;
  end = 0;
  private line = "";
  private name = "";
  private valueStart = 0;
  private from = 0;

  /** @param name case-sensitive. @returns itself, before the first */
  begin(line: string, name: string): this {
    this.line = line;
    this.name = name;
    this.from = 0;
    return this;
  }

  /** Goes to the next cookie of that name. @returns false when there is none */
  next(): boolean {
    const { line, name } = this;
    const { length } = line;
    let start = this.from;
    let equals = -1;
    for (let i = start; i <= length; i++) {
      const c = i < length ? line.charCodeAt(i) : SEMICOLON;
      if (c === EQUALS) {
        if (equals < 0) equals = i;
      } else if (c === SEMICOLON) {
        if (equals >= 0 && isNamed(line, start, equals, name)) {
          this.from = i + 1;
          this.start = start;
          this.valueStart = equals + 1;
          this.end = i;
          return true;
        }
        start = i + 1;
        equals = -1;
      }
    }
    this.from = length + 1;
    return false;
  }

  /** Its value without blanks around it. */
  value(): string {
    return this.line.slice(this.valueStart, this.end).trim();
  }
}

function isNamed(line: string, start: number, end: number, name: string): boolean {
  if (end - start < name.length) return false;
  let first = start;
  let last = end;
  while (first < last && isBlank(line.charCodeAt(first))) first++;
  while (last > first && isBlank(line.charCodeAt(last - 1))) last--;
  return last - first === name.length && line.startsWith(name, first);
}
