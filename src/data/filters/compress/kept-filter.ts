// Owns serving a compressed form that is stored, in the place of the body that it was made of: nothing is compressed.
import { PassingFilter } from "../../exchange/response-filter.ts";
import type { StoredForm } from "../../exchange/stored-forms.ts";

/** Handed on at once. */
const SLICE_BYTES = 256 * 1024;

export class KeptFilter extends PassingFilter {
  #form: StoredForm | null;
  #at = 0;
  #hasEnded = false;

  /** @param form its own from here on */
  constructor(form: StoredForm) {
    super();
    this.#form = form;
  }

  /** The body itself, which the form stands for. */
  override data(): boolean {
    return true;
  }

  override end(): void {
    this.#hasEnded = true;
    this.#pump();
  }

  override drained(): void {
    if (this.#hasEnded) this.#pump();
    else this.source.drained();
  }

  #pump(): void {
    for (let form = this.#form; form !== null; form = this.#form) {
      const { bytes } = form;
      if (this.#at >= bytes.length) {
        this.#release();
        return this.next.end(null);
      }
      const slice = bytes.subarray(this.#at, this.#at + SLICE_BYTES);
      this.#at += slice.length;
      if (!this.next.data(slice)) return;
    }
  }

  override abort(): void {
    this.#release();
  }

  close(): void {
    this.#release();
  }

  #release(): void {
    this.#form?.release();
    this.#form = null;
  }
}
