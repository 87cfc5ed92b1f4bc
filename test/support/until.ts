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

/** Looks this often at what takes a while to look at. */
const ASK_EVERY_MS = 50;

/** Waits until the check no longer throws. @throws Error after `withinMs`, with what the last check said */
export async function untilAsync(what: string, check: () => Promise<void>, withinMs = 20_000): Promise<void> {
  const deadlineMs = performance.now() + withinMs;
  for (;;) {
    try {
      return await check();
    } catch (error) {
      if (performance.now() > deadlineMs) throw new Error(`not within ${withinMs} ms: ${what}`, { cause: error });
    }
    await new Promise((resolve) => setTimeout(resolve, ASK_EVERY_MS));
  }
}
