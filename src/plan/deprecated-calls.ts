// Types of what workers report of calls to deprecated routes. No logic.

/** Finished exchanges of one route and caller since the last report. */
export interface DeprecatedCalls {
  readonly route: string;
  /** '' for nobody known. */
  readonly consumer: string;
  readonly count: number;
}
