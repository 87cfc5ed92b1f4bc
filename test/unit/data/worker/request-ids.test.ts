import { describe, expect, it } from "vitest";
import { RequestIds } from "../../../../src/data/worker/request-ids.ts";

describe("request ids", () => {
  it("are the prefix and a counter in base 36, from 1", () => {
    const ids = new RequestIds("0190a1b2c3d4-");
    for (let count = 1; count <= 36 ** 3 + 100; count++) {
      const id = ids.next();
      if (id !== `0190a1b2c3d4-${count.toString(36)}`) expect.fail(`${id} for ${count}`);
    }
  });
});
