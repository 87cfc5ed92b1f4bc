// Owns waiting for a condition: bounded, and by looking, never by guessing a time.

/** Looks this often. */
const LOOK_EVERY_MS = 5;

/** Waits until the condition holds. @throws Error after `withinMs`, naming what was waited for. */
export async function until(what: string, condition: () => boolean, withinMs = 5000): Promise<void> {
  const deadlineMs = performance.now() + withinMs;
  while (!condition()) {
    if (performance.now() > deadlineMs) throw new Error(`not within ${withinMs} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
  }
}
