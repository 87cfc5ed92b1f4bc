// Makes the bytes of a response that is sent again and again, for HTTP/1.1: its head, and a small body behind it, so that both go out as one piece of memory.
// Must never be used for a response that closes the connection: none of them says so.
import { getHeader } from "../../../base/header-list.ts";
import { COPIED_BODY_BYTES_MAX, type LyingBody, PreparedBytes, type PreparedResponse } from "../../exchange/prepared-response.ts";
import { httpDate } from "../http-date.ts";
import { statusLine } from "../status-line.ts";

/** Whether the body stands behind the head. */
export const isWithBody = (length: number): boolean => length <= COPIED_BODY_BYTES_MAX;

/** @param id of the request that it is first sent for */
export function prepareBytes(response: PreparedResponse, id: string, source: LyingBody): PreparedBytes {
  const begin = `HTTP/1.1 ${statusLine(response.status)}\r\n`;
  const { lines, idAt } = response.fieldsFor(id);
  const date = getHeader(response.headers, "date") === undefined ? httpDate() : ""; // RFC 9110 section 6.6.1: of an upstream's response, its own
  const text = `${begin}${lines}${date === "" ? "" : `date: ${date}\r\n`}content-length: ${source.length}\r\n\r\n`;
  const body = isWithBody(source.length) ? source.body : null;
  return new PreparedBytes(text, idAt < 0 ? -1 : begin.length + idAt, id.length, { date, body });
}

/** Whether what was prepared still says the time. */
export const isNow = ({ date }: PreparedBytes): boolean => date === "" || date === httpDate();
