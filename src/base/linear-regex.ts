// Owns the gateway's own regular expressions: a pattern becomes a complete deterministic automaton at load, so that a text costs one table look-up a
// character whatever the text is, and two patterns can be compared by their automata. Patterns that need too many states are refused at load.
//
// Thompson's construction, then subset construction (Aho, Sethi, Ullman, "Compilers", section 3.7). No captures, no look-around, no back references.
import { parseRegex, type Ranges, type RegexNode, type RegexProblem, RegexRefused } from "./regex-syntax.ts";

/** States of one automaton. */
const REGEX_STATES_MAX = 1000;
/** Instructions before it is made deterministic. */
const INSTRUCTIONS_MAX = 4000;
/** Steps of the construction: some 10 ms. */
const STEPS_MAX = 2_000_000;

/** Pairs of states that a comparison of two automata looks at. */
const PAIRS_MAX = 100_000;
/** More than there are states. */
const STATE_KEYS = 0x10000;

/** `search`: the pattern matches somewhere in the text, as CEL's `matches()` has it; `whole`: it matches the whole text. */
export type RegexMode = "search" | "whole";

/** No text that goes on from here matches. */
const DEAD = 0;
/** Every text that goes on from here matches. */
const ACCEPT = 1;

/** A pattern, ready to be used. Immutable. */
export class LinearRegex {
  readonly pattern: string;
  /** Next state by `state * classes + class`. */
  readonly #table: Uint16Array;
  readonly #classes: number;
  /** 1 for a state in which a text may end. */
  readonly #ends: Uint8Array;
  readonly #first: number;
  /** Class by char code below 128. */
  readonly #ascii: Uint16Array;
  /** First code point of each class's stretch, ascending from 0. */
  readonly #stretches: Uint32Array;

  /** For compileRegex(). */
  constructor(pattern: string, built: Automaton) {
    this.pattern = pattern;
    this.#table = built.table;
    this.#classes = built.stretches.length;
    this.#ends = built.ends;
    this.#first = built.first;
    this.#stretches = built.stretches;
    this.#ascii = Uint16Array.from({ length: 128 }, (_, code) => this.#classOf(code));
  }

  /**
   * In time linear in the text's length, and nothing is allocated.
   * @param text read by code points; a lone surrogate is one of its own
   * @param start together with `end`, the part of the text that counts; all of it by default
   */
  matches(text: string, start = 0, end = text.length): boolean {
    let state = this.#first;
    if (state <= ACCEPT) return state === ACCEPT;
    const table = this.#table;
    const classes = this.#classes;
    const ascii = this.#ascii;
    for (let i = start; i < end; i++) {
      const code = text.codePointAt(i) as number; // i is inside the text
      if (code > 0xffff) i++;
      // Both tables are total: every state has every class, every code below 128 a class.
      state = table[state * classes + (code < 128 ? (ascii[code] as number) : this.#classOf(code))] as number;
      if (state <= ACCEPT) return state === ACCEPT;
    }
    return this.#ends[state] === 1;
  }

  /**
   * Whether some text of more than `length` code points matches both, by walking the product of the automata (Hopcroft and Ullman, "Introduction to
   * Automata Theory", section 4.2). Exact, except that patterns with more than some 100,000 pairs of states are taken to share one.
   */
  sharesText(other: LinearRegex, length = 0): boolean {
    const codes = Uint32Array.from(new Set([...this.#stretches, ...other.#stretches]));
    const seen = new Set<number>();
    const pending: (readonly [left: number, right: number, length: number])[] = [[this.#first, other.#first, 0]];
    for (let from = pending.pop(); from !== undefined; from = pending.pop()) {
      const reached = Math.min(from[2], length) + 1;
      for (const code of codes) {
        const [left, right] = [this.#next(from[0], code), other.#next(from[1], code)];
        const key = (reached * STATE_KEYS + left) * STATE_KEYS + right;
        if (left === DEAD || right === DEAD || seen.has(key)) continue;
        if (reached > length && this.#ends[left] === 1 && other.#ends[right] === 1) return true;
        if (seen.add(key).size > PAIRS_MAX) return true;
        pending.push([left, right, reached]);
      }
    }
    return false;
  }

  /** A shortest text of at least one of these characters that matches; among equally short ones, of the earliest characters. @returns null for none */
  shortestOf(characters: string): string | null {
    const codes = new Map<number, number>();
    for (const character of characters) {
      const code = character.codePointAt(0) as number; // characters are not empty
      const each = this.#classOf(code);
      if (!codes.has(each)) codes.set(each, code);
    }
    const seen = new Set<number>();
    let row: (readonly [state: number, text: string])[] = [[this.#first, ""]];
    while (row.length > 0) {
      const further: (readonly [number, string])[] = [];
      for (const [state, text] of row)
        for (const code of codes.values()) {
          const next = this.#next(state, code);
          if (next === DEAD || seen.has(next)) continue;
          if (this.#ends[next] === 1) return text + String.fromCodePoint(code);
          seen.add(next);
          further.push([next, text + String.fromCodePoint(code)]);
        }
      row = further;
    }
    return null;
  }

  #next(state: number, code: number): number {
    if (state <= ACCEPT) return state;
    return this.#table[state * this.#classes + this.#classOf(code)] as number; // the table is total
  }

  #classOf(code: number): number {
    const stretches = this.#stretches;
    let low = 0;
    let high = stretches.length;
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if ((stretches[middle] as number) <= code) low = middle;
      else high = middle;
    }
    return low;
  }
}

/** @returns the regular expression, or why it is refused; never throws */
export function compileRegex(pattern: string, mode: RegexMode): LinearRegex | RegexProblem {
  try {
    const program = new Program(parseRegex(pattern));
    return new LinearRegex(pattern, new AutomatonBuilder(program, mode).build());
  } catch (error) {
    if (error instanceof RegexRefused) return { error: error.message, at: error.at };
    throw error;
  }
}

interface Automaton {
  readonly table: Uint16Array;
  readonly ends: Uint8Array;
  readonly first: number;
  readonly stretches: Uint32Array;
}

type Instruction =
  | { readonly op: "chars"; readonly ranges: Ranges; next: number }
  | { readonly op: "split"; readonly next: number[] }
  | { readonly op: "start" | "end"; next: number }
  | { readonly op: "match" };

const MATCH = 0;

/** A nondeterministic automaton: instructions that point at each other. Built from the end, so that each knows what follows it. */
class Program {
  readonly instructions: Instruction[] = [{ op: "match" }];
  readonly first: number;

  constructor(node: RegexNode) {
    this.first = this.#add(node, MATCH);
  }

  #push(instruction: Instruction): number {
    if (this.instructions.length >= INSTRUCTIONS_MAX) throw tooLarge();
    return this.instructions.push(instruction) - 1;
  }

  /** @returns where the node begins, when `next` follows it */
  #add(node: RegexNode, next: number): number {
    switch (node.kind) {
      case "chars":
        return this.#push({ op: "chars", ranges: node.ranges, next });
      case "start":
      case "end":
        return this.#push({ op: node.kind, next });
      case "sequence":
        return node.parts.reduceRight((after, part) => this.#add(part, after), next);
      case "choice":
        return this.#push({ op: "split", next: node.parts.map((part) => this.#add(part, next)) });
      case "repeat":
        return this.#repeat(node, next);
    }
  }

  #repeat({ part, min, max }: Extract<RegexNode, { kind: "repeat" }>, next: number): number {
    let at = next;
    if (max === Number.POSITIVE_INFINITY) {
      const ways = [next];
      at = this.#push({ op: "split", next: ways });
      ways.push(this.#add(part, at));
    } else for (let i = min; i < max; i++) at = this.#push({ op: "split", next: [this.#add(part, at), next] });
    for (let i = 0; i < min; i++) at = this.#add(part, at);
    return at;
  }
}

function tooLarge(): RegexRefused {
  return new RegexRefused(`it needs more than ${REGEX_STATES_MAX} states: anchor it with ^, or make its counted repetitions smaller`, 0);
}

/** Instructions that a text has reached, without those that only lead on. Ascending. */
type StateSet = readonly number[];

/** Subset construction: each set of instructions that can be reached becomes one state. */
class AutomatonBuilder {
  readonly #program: Program;
  readonly #mode: RegexMode;
  readonly #stretches: Uint32Array;
  /** For each `chars` instruction: the classes that it takes. */
  readonly #takes: readonly (readonly number[])[];
  readonly #ids = new Map<string, number>();
  readonly #sets: StateSet[] = [[], []];
  readonly #ends: number[] = [0, 1];
  #steps = 0;

  constructor(program: Program, mode: RegexMode) {
    this.#program = program;
    this.#mode = mode;
    this.#stretches = stretchesOf(program);
    this.#takes = program.instructions.map((each) => (each.op === "chars" ? this.#classesIn(each.ranges) : []));
  }

  build(): Automaton {
    const { first } = this.#program;
    const begin = this.#stateOf(this.#closure([first], { atStart: true, atEnd: false }), true);
    /** What a search may begin with behind every character. */
    const again = this.#mode === "search" ? this.#closure([first], { atStart: false, atEnd: false }) : [];
    const rows: number[][] = [this.#stretches.length === 0 ? [] : this.#constant(DEAD), this.#constant(ACCEPT)];
    for (let state = ACCEPT + 1; state < this.#sets.length; state++) rows.push(this.#row(this.#sets[state] as StateSet, again));
    return { table: Uint16Array.from(rows.flat()), ends: Uint8Array.from(this.#ends), first: begin, stretches: this.#stretches };
  }

  #constant(state: number): number[] {
    return new Array<number>(this.#stretches.length).fill(state);
  }

  #row(set: StateSet, again: StateSet): number[] {
    const reached: number[][] = this.#constant(0).map(() => []);
    for (const id of set) {
      const instruction = this.#program.instructions[id] as Instruction; // ids are of this program
      if (instruction.op !== "chars") continue;
      for (const each of this.#takes[id] as readonly number[]) {
        this.#step();
        (reached[each] as number[]).push(instruction.next); // classes are below its length
      }
    }
    const known = new Map<string, number>();
    return reached.map((next) => {
      const key = next.join();
      let state = known.get(key);
      if (state === undefined) known.set(key, (state = this.#stateOf(this.#union(next, again), false)));
      return state;
    });
  }

  #union(next: readonly number[], again: StateSet): StateSet {
    const set = this.#closure(next, { atStart: false, atEnd: false });
    return again.length === 0 ? set : [...new Set([...set, ...again])].sort((a, b) => a - b);
  }

  /** @returns the number of the state; a new one is counted against the bound */
  #stateOf(set: StateSet, atStart: boolean): number {
    const isMatch = set.includes(MATCH);
    if (isMatch && this.#mode === "search") return ACCEPT;
    if (set.length === 0) return DEAD;
    const key = `${atStart ? "^" : ""}${set.join()}`;
    let state = this.#ids.get(key);
    if (state !== undefined) return state;
    state = this.#sets.push(set) - 1;
    if (state >= REGEX_STATES_MAX) throw tooLarge();
    this.#ids.set(key, state);
    this.#ends.push(isMatch || this.#closure(set, { atStart, atEnd: true }).includes(MATCH) ? 1 : 0);
    return state;
  }

  /** All that can be reached without a character. Anchors stay in the set until their place has come. */
  #closure(from: readonly number[], where: { readonly atStart: boolean; readonly atEnd: boolean }): StateSet {
    const seen = new Set<number>();
    const kept: number[] = [];
    const pending = [...from];
    for (let id = pending.pop(); id !== undefined; id = pending.pop()) {
      if (seen.has(id)) continue;
      seen.add(id);
      this.#step();
      const instruction = this.#program.instructions[id] as Instruction; // ids are of this program
      if (instruction.op === "split") pending.push(...instruction.next);
      else if (instruction.op === "start") {
        if (where.atStart) pending.push(instruction.next);
      } else if (instruction.op === "end") {
        if (where.atEnd) pending.push(instruction.next);
        else kept.push(id);
      } else kept.push(id);
    }
    return kept.sort((a, b) => a - b);
  }

  #step(): void {
    if (++this.#steps > STEPS_MAX) throw tooLarge();
  }

  #classesIn(ranges: Ranges): number[] {
    const classes: number[] = [];
    for (let each = 0; each < this.#stretches.length; each++) if (isIn(ranges, this.#stretches[each] as number)) classes.push(each);
    return classes;
  }
}

/** Where the pattern begins to treat code points differently: all of one stretch are alike to it. */
function stretchesOf(program: Program): Uint32Array {
  const borders = new Set([0]);
  for (const instruction of program.instructions) {
    if (instruction.op !== "chars") continue;
    for (let i = 0; i < instruction.ranges.length; i += 2) {
      borders.add(instruction.ranges[i] as number);
      borders.add((instruction.ranges[i + 1] as number) + 1);
    }
  }
  return Uint32Array.from(borders).sort();
}

function isIn(ranges: Ranges, code: number): boolean {
  for (let i = 0; i < ranges.length; i += 2) if (code >= (ranges[i] as number) && code <= (ranges[i + 1] as number)) return true;
  return false;
}
