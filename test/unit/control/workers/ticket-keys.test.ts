// The keys of TLS sessions: one set for all workers, exchanged every hour.
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { TICKET_KEYS_EVERY_MS, TicketKeys } from "../../../../src/control/workers/ticket-keys.ts";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

it("are random, as Node wants them, and told when they are exchanged, until the end", () => {
  const told: Uint8Array[] = [];
  const keys = new TicketKeys((each) => told.push(each));
  const first = keys.current;
  expect([first.length, TICKET_KEYS_EVERY_MS]).toEqual([48, 3_600_000]);
  expect(new TicketKeys(() => {}).current).not.toEqual(first);
  vi.advanceTimersByTime(TICKET_KEYS_EVERY_MS - 1);
  expect([told, keys.current]).toEqual([[], first]);
  vi.advanceTimersByTime(1);
  expect(told).toEqual([keys.current]);
  expect(keys.current).not.toEqual(first);
  vi.advanceTimersByTime(TICKET_KEYS_EVERY_MS);
  expect(told).toHaveLength(2);
  keys.stop();
  vi.advanceTimersByTime(10 * TICKET_KEYS_EVERY_MS);
  expect(told).toHaveLength(2);
});
