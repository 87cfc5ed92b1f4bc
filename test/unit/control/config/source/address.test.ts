import { describe, expect, it } from "vitest";
import { isLoopback, parseListenAddress, parseTargetUrl } from "../../../../../src/control/config/source/address.ts";

describe("parseListenAddress", () => {
  const check = (text: string, expected: string | null) =>
    it(JSON.stringify(text), () => expect(parseListenAddress(text)?.address ?? null).toBe(expected));
  check("0.0.0.0:8080", "0.0.0.0:8080");
  check("127.0.0.1:0", "127.0.0.1:0");
  check("LocalHost:8080", "localhost:8080");
  check("[::1]:80", "[::1]:80");
  check("[0:0:0:0:0:0:0:1]:80", "[::1]:80");
  check("[::]:443", "[::]:443");
  check("unix:/run/sluice.sock", "unix:/run/sluice.sock");
  check("unix:relative.sock", null);
  check(`unix:/${"x".repeat(98)}`, null);
  check("8080", null);
  check(":8080", null);
  check("::1:80", null);
  check("[127.0.0.1]:80", null);
  check("127.0.0.1", null);
  check("127.0.0.1:65536", null);
  check("127.0.0.300:80", null);
  check("-bad:80", null);
  check("a b:80", null);
  it("gives host and port apart", () => expect(parseListenAddress("[::1]:80")).toMatchObject({ host: "::1", port: 80, unixPath: null }));
  it("gives the path of a Unix socket", () => expect(parseListenAddress("unix:/a")).toMatchObject({ host: "", port: 0, unixPath: "/a" }));
});

describe("isLoopback", () => {
  const check = (text: string, expected: boolean) =>
    it(text, () => {
      const address = parseListenAddress(text);
      expect(address === null ? null : isLoopback(address)).toBe(expected);
    });
  check("127.0.0.1:1", true);
  check("127.9.9.9:1", true);
  check("localhost:1", true);
  check("[::1]:1", true);
  check("unix:/a", true);
  check("0.0.0.0:1", false);
  check("[::]:1", false);
  check("127.0.0.1.example.com:1", false);
});

describe("parseTargetUrl", () => {
  const check = (text: string, expected: string | null) =>
    it(JSON.stringify(text), () => {
      const parsed = parseTargetUrl(text);
      expect("url" in parsed ? parsed.url : null).toBe(expected);
    });
  check("http://10.0.0.1:9001", "http://10.0.0.1:9001");
  check("HTTP://Users.Internal/", "http://users.internal:80");
  check("https://users.internal", "https://users.internal:443");
  check("http://[::1]:9001", "http://[::1]:9001");
  check("http+srv://_http._tcp.users.internal", "http+srv://_http._tcp.users.internal");
  check("https+srv://users.internal", "https+srv://users.internal");
  check("http+srv://users.internal:80", null);
  check("http://users:0", null);
  check("http://user:secret@users", null);
  check("http://users/path", null);
  check("http://users?x", null);
  check("ftp://users", null);
  check("users:80", null);
  check("http://", null);
  check("http://a b", null);
});
