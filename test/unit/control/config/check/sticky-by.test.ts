// What `stickyBy` of a route needs, and what is told when it is not there.
import { describe, expect, it } from "vitest";
import { check, problemsOf } from "../../../../support/config-text.ts";

const text = (route: string) => `version: 1
listeners: [{ address: 127.0.0.1:0 }]
upstreams: { a: { targets: [{ url: http://a }] }, b: { targets: [{ url: http://b }] } }
auth: { keys: { apiKey: { in: header, name: x-api-key } } }
consumers: [{ id: acme, keys: ["sha256:498c49edd651d7e7ff00f063f2e864ffd3ee79d6eb7ce8ca5c317bdea156e22a"] }]
routes: [{ name: r, match: {}, ${route} }]
`;
const SPLIT = "weighted: [{ upstream: a, weight: 9 }, { upstream: b }]";

describe("stickyBy", () => {
  it.each([
    ["consumer", "keys"],
    ["consumer", "{ optional: keys }"],
    ["ip", "none"],
    ["{ header: X-User }", "none"],
    ["{ cookie: sid }", "none"],
  ])("by %s, with auth: %s", (by, auth) => expect(problemsOf(text(`${SPLIT}, stickyBy: ${by}, auth: ${auth}`))).toEqual([]));

  const refuses = (name: string, route: string, message: string) => check(name, text(route), `routes[0].stickyBy${message}`);
  refuses(
    "one upstream is no split",
    "to: a, stickyBy: ‸ip, auth: none",
    ": only a split has upstreams to stay with; write `weighted`, or for the targets of one upstream its `sticky`",
  );
  refuses(
    "nobody is known on a public route",
    `${SPLIT}, stickyBy: ‸consumer, auth: none`,
    ": nobody is known by name on the public route r; give the route `auth`, or write `stickyBy: ip`, `{ header: ... }` or `{ cookie: ... }`",
  );
  refuses("two at once", `${SPLIT}, stickyBy: ‸{ header: a, cookie: b }, auth: none`, ": expected exactly one of header and cookie");
  refuses("none", `${SPLIT}, stickyBy: ‸{}, auth: none`, ": expected exactly one of header and cookie");
  refuses(
    "a word that is none",
    `${SPLIT}, stickyBy: ‸consumr, auth: none`,
    ": expected consumer, ip, or a map such as `{ cookie: NAME }`; did you mean `consumer`?",
  );
  refuses("a key that is none", `${SPLIT}, stickyBy: { ‸query: a }, auth: none`, ".query: unknown key; known keys: header, cookie");
  refuses("a word for a map", `${SPLIT}, stickyBy: ‸cookie, auth: none`, ": expected consumer, ip, or a map such as `{ cookie: NAME }`");
});
