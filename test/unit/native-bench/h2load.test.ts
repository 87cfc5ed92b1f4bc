// How the numbers of h2load are read.
import { expect, it } from "vitest";
import { parseH2load } from "../../../native-bench/measure/h2load.ts";

const REPORT = `
finished in 2.00s, 37649.36 req/s, 13.68MB/s
requests: 75298 total, 75426 started, 75298 done, 75290 succeeded, 8 failed, 0 errored, 2 timeout
status codes: 75290 2xx, 0 3xx, 3 4xx, 5 5xx
traffic: 27.36MB (28688000) total, 10.00MB (10485760) headers (space savings 30.00%), 18.00MB (18874368) data
`;

it("requests, and errors of every kind once", () => {
  expect(parseH2load(REPORT, 2)).toEqual({ requests: 75_298, seconds: 2, errors: 10 });
});

it("fails with h2load's own words when it did not get to its end", () => {
  expect(() => parseH2load("could not resolve host", 2)).toThrow("could not resolve host");
});
