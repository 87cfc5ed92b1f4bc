// Owns flat header lists and changes to them in place. Names are lowercase already; must never look at meaning beyond `Vary`.

/** Flat header list `[name, value, name, value, ...]`: names lowercase, values as byte strings (one char a byte, latin1). */
export type HeaderList = string[];

/** @returns the first value of a header, or undefined. @param name lowercase */
export function getHeader(headers: HeaderList, name: string): string | undefined {
  for (let i = 0; i < headers.length; i += 2) if (headers[i] === name) return headers[i + 1];
  return undefined;
}

/** @returns all values of a list-valued header joined with ", " (RFC 9110 section 5.2), or undefined. @param name lowercase */
export function getList(headers: HeaderList, name: string): string | undefined {
  let joined: string | undefined;
  for (let i = 0; i < headers.length; i += 2)
    if (headers[i] === name) joined = joined === undefined ? headers[i + 1] : `${joined}, ${headers[i + 1]}`;
  return joined;
}

/** Removes every header whose name satisfies `gone`. Allocates nothing. */
export function removeHeaders(headers: HeaderList, gone: (name: string) => boolean): void {
  let kept = 0;
  for (let i = 0; i < headers.length; i += 2) {
    const name = headers[i]!; // in range: the list holds pairs
    if (gone(name)) continue;
    if (kept !== i) {
      headers[kept] = name;
      headers[kept + 1] = headers[i + 1]!; // in range: the list holds pairs
    }
    kept += 2;
  }
  for (let over = headers.length - kept; over > 0; over--) headers.pop(); // mostly one field: to set the length takes longer
}

/** Replaces a header in its first place and drops its repetitions; appends it when absent. @param name lowercase */
export function setHeader(headers: HeaderList, name: string, value: string): void {
  for (let i = 0; i < headers.length; i += 2) {
    if (headers[i] !== name) continue;
    headers[i + 1] = value;
    dropFrom(headers, name, i + 2);
    return;
  }
  headers.push(name, value);
}

/** Removes a header. @param name lowercase */
export function removeHeader(headers: HeaderList, name: string): void {
  dropFrom(headers, name, 0);
}

function dropFrom(headers: HeaderList, name: string, from: number): void {
  for (let i = from; i < headers.length; ) {
    if (headers[i] === name) headers.splice(i, 2);
    else i += 2;
  }
}

/** Adds headers beside those that are there; the names of a `Vary` go into the one that is there. */
export function appendHeaders(headers: HeaderList, more: HeaderList): void {
  for (let i = 0; i < more.length; i += 2) {
    const name = more[i]!; // in range: the list holds pairs
    const value = more[i + 1]!; // the same
    if (name === "vary") for (const part of value.split(",")) addVary(headers, part.trim());
    else headers.push(name, value);
  }
}

/** Adds a field name to `Vary` (RFC 9110 section 12.5.5) unless it, or `*`, is there. @param name lowercase */
export function addVary(headers: HeaderList, name: string): void {
  for (let i = 0; i < headers.length; i += 2) {
    if (headers[i] !== "vary") continue;
    const value = headers[i + 1]!; // in range: the list holds pairs
    if (value === name) return;
    for (const part of value.split(",")) {
      const token = part.trim().toLowerCase();
      if (token === name || token === "*") return;
    }
  }
  for (let i = 0; i < headers.length; i += 2) {
    if (headers[i] !== "vary") continue;
    headers[i + 1] = headers[i + 1] === "" ? name : `${headers[i + 1]}, ${name}`;
    return;
  }
  headers.push("vary", name);
}
