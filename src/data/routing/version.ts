// Owns which version of a service a request names: in its path, a header, its query or the media types it accepts.
// Must never choose between places that contradict each other, nor fall back to a version that was not named.
import type { ErrorCode } from "../../base/errors.ts";
import type { VersioningPlan } from "../../plan/routing-terms.ts";
import { type AcceptedRange, acceptedRanges } from "./request/accept-versions.ts";
import { decodeQuery, QueryWalk } from "./request/query-walk.ts";
import { readSingle, TWICE } from "./request/single-value.ts";
import type { RequestView } from "./request-view.ts";
import { versionInPath } from "./versioned-paths.ts";

const NOWHERE: VersioningPlan = { path: null, header: null, query: null, accept: null, default: null };
/** Of a version in a message. */
const SHOWN_CHARS_MAX = 40;
/** Versions in a message. */
const SHOWN_VERSIONS_MAX = 20;

/** Why a request got no route of a version. */
export interface VersionRefusal {
  readonly code: ErrorCode;
  readonly detail: string;
}

type Place = "path" | "header" | "query" | "accept";

/** A version to look for, in the order of the client's preference. */
interface Candidate {
  /** '' for no version. */
  readonly version: string;
  /** The client named it: else it is the default. */
  readonly named: boolean;
}

interface Reading {
  readonly candidates: readonly Candidate[];
  /** The first place that names one; null when none does. */
  readonly place: Place | null;
  /** Why nobody can say which version is meant; '' when that is clear. */
  readonly fault: string;
}

/** State of the match under way: one thread, never re-entered. */
export class VersionReader {
  /** By which responses vary: header names, lowercase. */
  readonly headers: readonly string[];
  readonly #plan: VersioningPlan;
  readonly #known: ReadonlySet<string>;
  /** What a request says that says nothing. */
  readonly #silent: Reading;
  #x: RequestView | null = null;
  #reading: Reading | null = null;
  #next = 0;

  /** @param known named by routes, lowercase */
  constructor(plan: VersioningPlan | null, known: ReadonlySet<string>) {
    this.#plan = plan ?? NOWHERE;
    this.#known = known;
    this.#silent = { candidates: [{ version: this.#plan.default ?? "", named: false }], place: null, fault: "" };
    this.headers = [...(this.#plan.header === null ? [] : [this.#plan.header]), ...(this.#plan.accept === null ? [] : ["accept"])];
  }

  begin(x: RequestView): void {
    this.#x = x;
    this.#reading = null;
    this.#next = 0;
  }

  end(): void {
    this.#x = null;
  }

  /** Whether the last match came to a route that demands a version. */
  get wasRead(): boolean {
    return this.#reading !== null;
  }

  /** Whether the path names a version. Reads nothing else. */
  get isInPath(): boolean {
    const { path } = this.#plan;
    return path !== null && this.#x !== null && versionInPath(this.#x.path, path, this.#known) !== null;
  }

  /** Whether the version that the request names at present, or else the default, is one of these. */
  isOneOf(versions: readonly string[]): boolean {
    const candidate = this.#candidate();
    return candidate !== undefined && versions.includes(candidate.version);
  }

  /** Whether the client has named it, so that no route without a version may take the request in its place. */
  get isNamed(): boolean {
    return this.#candidate()?.named ?? true;
  }

  /** Goes to the version that the client likes next best. @returns false when there is none */
  next(): boolean {
    const { candidates } = this.#read();
    if (this.#next < candidates.length) this.#next++;
    return this.#next < candidates.length;
  }

  /** After a match that found no route because of the version. @param served what routes with this host and path have */
  refusal(served: readonly string[]): VersionRefusal {
    const { fault, place, candidates } = this.#read();
    if (fault !== "") return { code: "version_ambiguous", detail: fault };
    const [first] = candidates;
    const here = `${served.slice(0, SHOWN_VERSIONS_MAX).join(", ")}${served.length > SHOWN_VERSIONS_MAX ? ", ..." : ""}`;
    const detail = `version ${shown(first?.version ?? "")} is not served here; there is ${here}`;
    if (place === "accept") return { code: "version_not_acceptable", detail: `no accepted version is served here; there is ${here}` };
    if (place === "header" || place === "query") return { code: "version_unknown", detail };
    if (place === null && this.#plan.default === null) {
      const places = this.#places();
      if (places !== "") return { code: "version_missing", detail: `name one by ${places}; there is ${here}` };
      return { code: "route_not_found", detail: `the path names no version; there is ${here}` };
    }
    return { code: "route_not_found", detail };
  }

  /** Where one could be named besides the path. */
  #places(): string {
    const { header, query, accept } = this.#plan;
    return [
      ...(header === null ? [] : [`the header ${header}`]),
      ...(query === null ? [] : [`the query parameter ${query}`]),
      ...(accept === null ? [] : ["a media type in accept"]),
    ].join(" or ");
  }

  #candidate(): Candidate | undefined {
    return this.#read().candidates[this.#next];
  }

  #read(): Reading {
    return (this.#reading ??= this.#x === null ? this.#silent : this.#readFrom(this.#x));
  }

  #readFrom(x: RequestView): Reading {
    const { path, header, query, accept } = this.#plan;
    let version: string | null = null;
    let place: Place | null = null;
    for (const each of ["path", "header", "query"] as const) {
      let found: string | typeof TWICE | null | undefined;
      if (each === "path") found = path === null ? null : versionInPath(x.path, path, this.#known);
      else if (each === "header") found = header === null ? null : readSingle(x, header);
      else found = query === null ? null : queryOnce(x.query, query);
      if (found === undefined || found === null) continue;
      if (found === TWICE) return faulty(`the ${each === "header" ? `header ${header}` : `query parameter ${query}`} is there twice`);
      const lower = found.toLowerCase();
      if (version !== null && version !== lower) return faulty(`the ${place} names version ${shown(version)}, the ${each} ${shown(lower)}`);
      version = lower;
      place ??= each;
    }
    const ranges = accept === null ? NO_RANGES : acceptedBy(x, accept, this.#known);
    if (ranges === null) return faulty("the versions in accept cannot be read");
    if (version !== null) return named(version, place, ranges);
    return ranges.length === 0 ? this.#silent : this.#fromRanges(ranges);
  }

  /** What the client accepts, best first. A range that names no version means the default. */
  #fromRanges(ranges: readonly AcceptedRange[]): Reading {
    if (ranges.every((range) => range.version === null)) return this.#silent;
    const preset = this.#plan.default ?? "";
    const refused = refusedBy(ranges);
    const candidates: Candidate[] = [];
    for (const { version, weight } of ranges) {
      const wanted = version ?? preset;
      if (weight === 0 || refused.has(wanted) || (version !== null && !this.#known.has(version))) continue;
      if (candidates.some((each) => each.version === wanted)) continue;
      candidates.push({ version: wanted, named: version !== null });
    }
    return { candidates, place: "accept", fault: "" };
  }
}

const NO_RANGES: readonly AcceptedRange[] = [];
const faulty = (fault: string): Reading => ({ candidates: [], place: null, fault });
const shown = (version: string): string => JSON.stringify(version.slice(0, SHOWN_CHARS_MAX));

/** One version, from another place than Accept, which must accept it: a range without a version accepts any. */
function named(version: string, place: Place | null, ranges: readonly AcceptedRange[]): Reading {
  const versioned = ranges.filter((range) => range.version !== null);
  const accepted =
    versioned.length === 0 ||
    ranges.some((range) => range.weight > 0 && (range.version === version || (range.version === null && !refusedBy(ranges).has(version))));
  if (!accepted) return faulty(`the ${place} names version ${shown(version)}, which accept does not take`);
  return { candidates: [{ version, named: true }], place, fault: "" };
}

/** Versions of weight 0 that no other range accepts. */
function refusedBy(ranges: readonly AcceptedRange[]): ReadonlySet<string> {
  const taken = ranges.flatMap(({ version, weight }) => (version !== null && weight > 0 ? [version] : []));
  return new Set(ranges.flatMap(({ version, weight }) => (version !== null && weight === 0 && !taken.includes(version) ? [version] : [])));
}

/** Of all Accept fields, as one list (RFC 9110 section 5.3). */
function acceptedBy(x: RequestView, form: NonNullable<VersioningPlan["accept"]>, known: ReadonlySet<string>) {
  const { headers } = x;
  let text = "";
  for (let i = 0; i < headers.length; i += 2)
    if (headers[i] === "accept") text = text === "" ? `${headers[i + 1]}` : `${text}, ${headers[i + 1]}`;
  // Most name no version, which is found out many characters at a time.
  const lower = text.toLowerCase();
  return lower.includes("vnd.") || lower.includes(form.parameter) ? acceptedRanges(text, form, known) : NO_RANGES;
}

const walk = new QueryWalk();

function queryOnce(query: string, name: string): string | typeof TWICE | undefined {
  if (query === "") return undefined;
  let found: string | undefined;
  walk.begin(query, name);
  while (walk.next()) {
    if (walk.divided || found !== undefined) return TWICE;
    found = decodeQuery(walk.value());
  }
  return found;
}
