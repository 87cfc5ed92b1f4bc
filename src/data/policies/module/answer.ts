// Owns turning what a policy of the user's own answers into a reply. Throws at what is none: then the policy has failed.
import type { Readable } from "node:stream";
import { ERRORS, type ErrorCode } from "../../../base/errors.ts";
import type { HeaderList } from "../../../base/header-list.ts";
import type { Reply } from "../../exchange/policy.ts";
import { headerValue, writableName } from "./header-rules.ts";

const KEYS: ReadonlySet<string> = new Set(["status", "headers", "body", "json", "problem", "detail"]);

/** @throws TypeError */
export function replyOf(answer: unknown): Reply | undefined {
  if (answer === undefined) return undefined;
  if (typeof answer !== "object" || answer === null)
    throw new TypeError(`it gave ${answer === null ? "null" : typeof answer}: an answer is an object, and nothing goes on`);
  const unknown = Object.keys(answer).find((key) => !KEYS.has(key));
  if (unknown !== undefined) throw new TypeError(`an answer has no \`${unknown}\``);
  const { status, headers, body, json, problem, detail } = answer as Readonly<Record<string, unknown>>;
  const list = headerList(headers);
  if (problem !== undefined) {
    if (status !== undefined || body !== undefined || json !== undefined)
      throw new TypeError("an answer with `problem` has no status and no body of its own");
    return { kind: "problem", code: codeOf(problem), detail: detail === undefined ? "" : String(detail), headers: list };
  }
  if (detail !== undefined) throw new TypeError("`detail` goes with `problem`");
  if (!Number.isInteger(status) || Number(status) < 200 || Number(status) > 599)
    throw new TypeError(`${String(status)} is no status from 200 to 599`);
  if (json !== undefined) {
    if (body !== undefined) throw new TypeError("an answer has `body` or `json`, not both");
    if (!list.includes("content-type")) list.push("content-type", "application/json");
    return { kind: "response", status: Number(status), headers: list, body: JSON.stringify(json) };
  }
  if (isReadable(body)) return { kind: "stream", status: Number(status), headers: list, body };
  if (body !== undefined && body !== null && typeof body !== "string" && !(body instanceof Uint8Array))
    throw new TypeError("`body` has to be text, bytes or a stream");
  return { kind: "response", status: Number(status), headers: list, body: body ?? null };
}

function codeOf(problem: unknown): ErrorCode {
  const code = String(problem);
  if (!Object.hasOwn(ERRORS, code) || ERRORS[code as ErrorCode].status === 0)
    throw new TypeError(`there is no problem ${code} to answer with`);
  return code as ErrorCode; // looked up
}

function headerList(headers: unknown): HeaderList {
  if (headers === undefined) return [];
  if (typeof headers !== "object" || headers === null) throw new TypeError("`headers` has to be an object of names and values");
  return Object.entries(headers).flatMap(([name, value]: [string, unknown]) => {
    const lower = writableName(name);
    return (Array.isArray(value) ? value : [value]).flatMap((each: unknown) => [lower, headerValue(lower, each)]);
  });
}

const isReadable = (body: unknown): body is Readable =>
  typeof body === "object" && body !== null && "pipe" in body && typeof body.pipe === "function" && "destroy" in body;
