// What a response filter may know of a body that is stored as it comes: its other forms, so that each is made once. Types only.

/** Of one stored body, for one exchange. A form is named by everything that its bytes depend on beside the body. */
export interface StoredForms {
  /** @returns null when it is not there. Else it must be released, once. */
  find(form: string): StoredForm | null;
  /** @returns takes a form that is being made; null when somebody else makes it, or it may not be kept */
  make(form: string): FormMaker | null;
}

export interface StoredForm {
  /** Valid until {@link release}. */
  readonly bytes: Buffer;
  release(): void;
}

/** One of done() and drop() ends it; what comes behind has no effect. */
export interface FormMaker {
  /** @param chunk owned by whoever calls, and not changed any more */
  add(chunk: Buffer): void;
  /** It is whole. */
  done(): void;
  drop(): void;
}
