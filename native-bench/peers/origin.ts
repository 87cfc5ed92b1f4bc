// Owns the origin that every server proxies to: nginx answering from its configuration or from the page cache, so that what it
// costs is small, and the same for all; and the one that sends WebSocket messages back. Their CPU time is never counted.
import fs from "node:fs";
import path from "node:path";
import { launch } from "./launch.ts";
import { writeNginx } from "./nginx.ts";
import type { Peer } from "./peer.ts";

/** Bodies that have a path of their own, `/bytes/N`, and one whose answer may be stored, `/cached/N`; every other path answers 256 bytes. */
export const BODY_BYTES = [256, 16_384, 65_536, 1_048_576] as const;
export type BodyBytes = (typeof BODY_BYTES)[number];

const order = (id: number): object => ({
  id,
  state: "shipped",
  total: 12_345,
  currency: "EUR",
  items: [{ sku: `sku-${id}`, quantity: 2 }],
});

/** JSON as services send it, by path: some 250, 1000 and 500 bytes. Without single quotes and `$`, which nginx would read. */
export const JSON_ANSWERS: Readonly<Record<string, string>> = {
  "/json/user": JSON.stringify({
    id: 8412,
    name: "Ada Lovelace",
    email: "ada@example.com",
    tier: "gold",
    address: { street: "12 St James Square", city: "London", country: "GB" },
    tags: ["a", "b"],
  }),
  "/json/orders": JSON.stringify({ page: 1, items: Array.from({ length: 9 }, (_, i) => order(70_000 + i)) }),
  "/json/offers": JSON.stringify(
    Array.from({ length: 8 }, (_, i) => ({ id: i, title: `Offer number ${i}`, price: 1999 + i, until: "2026-12-31" })),
  ),
};

/** What the case `aggregate` makes of them. */
export const AGGREGATED = `{"user":${JSON_ANSWERS["/json/user"]},"orders":${JSON_ANSWERS["/json/orders"]},"offers":${JSON_ANSWERS["/json/offers"]}}`;

/** Of paths below `/cached`. */
const CACHEABLE = 'add_header Cache-Control "public, max-age=3600";';

/** Smallest bodies stand in the configuration; nginx takes no longer text there. */
const IN_CONFIGURATION_BYTES_MAX = 2048;

export function startOrigin(directory: string, port: number, name = "origin"): Promise<Peer> {
  const files = path.join(directory, `${name}-files`);
  fs.mkdirSync(path.join(files, "bytes"), { recursive: true });
  const locations = BODY_BYTES.filter((bytes) => bytes > IN_CONFIGURATION_BYTES_MAX).map((bytes) => {
    fs.writeFileSync(path.join(files, "bytes", String(bytes)), "x".repeat(bytes));
    return `location = /bytes/${bytes} { root ${files}; default_type text/plain; }
    location = /cached/${bytes} { alias ${files}/bytes/${bytes}; default_type text/plain; ${CACHEABLE} }`;
  });
  const small = "x".repeat(BODY_BYTES[0]);
  const configuration = writeNginx({
    name,
    directory,
    workers: 1,
    http: `
  sendfile on; tcp_nopush on; open_file_cache max=16 inactive=1h; open_file_cache_valid 1h;
  server {
    listen 127.0.0.1:${port} backlog=8192;
    ${locations.join("\n    ")}
    ${Object.entries(JSON_ANSWERS)
      .map(([path, text]) => `location = ${path} { default_type application/json; return 200 '${text}'; }`)
      .join("\n    ")}
    location /cached { default_type text/plain; ${CACHEABLE} return 200 "${small}"; }
    location / { default_type text/plain; return 200 "${small}"; }
  }`,
  });
  return launch({ name, directory, port, command: "nginx", arguments: ["-c", configuration.file], configuration: configuration.text });
}

export function startEchoOrigin(directory: string, port: number): Promise<Peer> {
  const file = path.join(import.meta.dirname, "programs/uws-echo.ts");
  return launch({ name: "echo", directory, port, command: process.execPath, arguments: [file, String(port)], configuration: "" });
}
