// What is asked of a server before it is measured.
import http from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, describe, expect, it } from "vitest";
import { askGuarded, askOnce } from "../../../native-bench/cases/ask-once.ts";

const TOKEN = "e30.e30.AAAA";
let server: http.Server | null = null;
afterEach(() => server?.close());

/** @returns the address of a server that answers `xx` with the status that `statusOf` gives to an Authorization field. */
async function serve(statusOf: (authorization: string | undefined) => number): Promise<URL> {
  const made = http.createServer((request, response) => response.writeHead(statusOf(request.headers.authorization)).end("xx"));
  server = made;
  await new Promise<void>((resolve) => made.listen(0, "127.0.0.1", resolve));
  return new URL(`http://127.0.0.1:${(made.address() as AddressInfo).port}/`); // a TCP server that listens has one
}

describe("askGuarded", () => {
  const ask = async (statusOf: (authorization: string | undefined) => number, answerBytes = 2): Promise<string | null> =>
    askGuarded(await serve(statusOf), TOKEN, { answerBytes });
  it("is content with a server that takes the token and refuses a forged one", async () => {
    expect(await ask((authorization) => (authorization === `Bearer ${TOKEN}` ? 200 : 401))).toBeNull();
  });
  it("names a server that lets everything through, that refuses the token, or that refuses in another way", async () => {
    expect(await ask(() => 200)).toBe("it lets a forged token through");
    expect(await ask(() => 401)).toBe("status 401");
    expect(await ask((authorization) => (authorization === `Bearer ${TOKEN}` ? 200 : 500))).toBe("status 500");
    expect(await ask((authorization) => (authorization === `Bearer ${TOKEN}` ? 200 : 401), 3)).toBe(
      "2 bytes of body where 3 were expected",
    );
  });
});

describe("askOnce", () => {
  it("looks at the body only of the answer that is measured", async () => {
    const url = await serve(() => 404);
    expect(await askOnce(url, { answerBytes: 3, status: 404 })).toBeNull();
    expect(await askOnce(url, { answerBytes: 2 })).toBe("status 404");
  });
});
