// Owns trying again to listen where a start did without, as the certificate could not be used. Must never touch a listener that serves.
import { isUsable } from "../config/check/tls.ts";
import type { LeftOutListener } from "../config/schema/schema.ts";

/** Time between two looks at the files, ms. */
const RETRY_MS = 5000;

/** @param usable told when one can be opened, again each time while it is left out all the same. @returns stops it */
export function retryLeftOut(leftOut: () => readonly LeftOutListener[], usable: () => void): () => void {
  const timer = setInterval(() => {
    if (leftOut().some(isUsable)) usable();
  }, RETRY_MS);
  return () => clearInterval(timer);
}
