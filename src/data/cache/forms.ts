// Owns the other forms of a stored body: found beside it, and kept once one has been made. Must never give out a form of another body than the one that is served.

import type { StoredObject } from "../../shared/cache/store.ts";
import type { FormMaker, StoredForm, StoredForms } from "../exchange/stored-forms.ts";
import type { PieceBudget } from "./growing-body.ts";
import type { FormPlace, ResponseCache } from "./response-cache.ts";

/** What they are made of. */
export interface FormsParts {
  readonly cache: ResponseCache;
  /** What is being made takes memory of it. */
  readonly budget: PieceBudget;
  /** Keys of forms that this worker is making. */
  readonly making: Set<string>;
  readonly maxObjectBytes: number;
}

export class Forms implements StoredForms {
  readonly #parts: FormsParts;
  readonly #object: StoredObject;

  /** @param object the body's, while it is pinned */
  constructor(parts: FormsParts, object: StoredObject) {
    this.#parts = parts;
    this.#object = object;
  }

  find(form: string): StoredForm | null {
    const found = this.#parts.cache.findForm(this.#object, form);
    return found === null ? null : { bytes: found.body, release: () => found.release() };
  }

  make(form: string): FormMaker | null {
    const place = this.#parts.cache.placeForm(this.#object, form);
    const { making } = this.#parts;
    if (making.has(place.key)) return null;
    making.add(place.key);
    return new Maker(this.#parts, place);
  }
}

/** Collects a form until it is whole. */
class Maker implements FormMaker {
  readonly #parts: FormsParts;
  readonly #place: FormPlace;
  readonly #chunks: Buffer[] = [];
  #bytes = 0;
  #isOver = false;

  constructor(parts: FormsParts, place: FormPlace) {
    this.#parts = parts;
    this.#place = place;
  }

  add(chunk: Buffer): void {
    if (this.#isOver) return;
    const { budget, maxObjectBytes } = this.#parts;
    if (this.#bytes + chunk.length > maxObjectBytes || budget.used + chunk.length > budget.max) return this.drop();
    this.#chunks.push(chunk);
    this.#bytes += chunk.length;
    budget.used += chunk.length;
  }

  done(): void {
    if (this.#isOver) return;
    this.#parts.cache.keepForm(this.#place, this.#chunks, this.#bytes);
    this.drop();
  }

  drop(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#chunks.length = 0;
    this.#parts.budget.used -= this.#bytes;
    this.#parts.making.delete(this.#place.key);
  }
}
