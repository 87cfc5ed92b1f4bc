// The real pool with its real thread.
import { afterAll, expect, it } from "vitest";
import { parseForeignHash } from "../../../src/data/credentials/foreign-hash.ts";
import { PasswordPool } from "../../../src/offload/password-pool.ts";
import type { PasswordJob } from "../../../src/offload/password-task.ts";

const warnings: string[] = [];
const pool = new PasswordPool((message) => warnings.push(message));
afterAll(() => pool.close());

function job(password: string, stored: string): PasswordJob {
  const parsed = parseForeignHash(stored);
  if (parsed === null) throw new Error(`${stored} cannot be read`);
  const { scheme, salt, hash } = parsed;
  return { password, scheme: scheme.scheme, cost: "cost" in scheme ? scheme.cost : 0, salt, hash };
}
const BCRYPT = "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW";
const APR1 = "$apr1$r31.....$HqJZimcKQFAMYayBlzkrA/";
const SHA = "{SHA}VBPuJHI7uixaa6LQGWx4s+5GKNE=";

it("tells right from wrong for each form, for many at once, while the event loop turns", async () => {
  let turns = 0;
  const turning = setInterval(() => turns++, 1);
  const asked = [job("U*U", BCRYPT), job("U*V", BCRYPT), job("myPassword", APR1), job("myPassword", SHA), job("x", APR1), job("x", SHA)];
  expect(await Promise.all(asked.map((each) => pool.check(each)))).toEqual([true, false, true, true, false, false]);
  clearInterval(turning);
  expect(turns).toBeGreaterThan(0);
  expect(warnings).toEqual([]);
});

it("a thread that cannot answer is replaced, nobody waits for it, and it is told once", async () => {
  const broken = pool.check({ ...job("U*U", BCRYPT), password: undefined as unknown as string });
  await expect(broken).rejects.toThrow("the thread broke");
  expect(warnings).toEqual([expect.stringContaining("the thread that checks passwords broke and is replaced")]);
  expect(await pool.check(job("U*U", BCRYPT))).toBe(true);
});

it("what waits when the pool is closed fails", async () => {
  const closing = new PasswordPool(() => {});
  const waiting = [closing.check(job("U*U", BCRYPT)), closing.check(job("U*U", BCRYPT))];
  const ends = Promise.allSettled(waiting);
  await closing.close();
  expect((await ends).map(({ status }) => status)).toEqual(["rejected", "rejected"]);
});
