// Makes the bytes of a head that is sent again and again by uWebSockets.js: one "status" with all lines in it, which is one call into native code.
// Must never be used for a response that closes the connection, nor hold what uWebSockets.js writes itself.
import { PreparedBytes, type PreparedResponse } from "../../exchange/prepared-response.ts";
import { statusLine } from "../status-line.ts";

/** @param id of the request that it is first sent for @returns status, and all lines but the last one's end */
export function prepareBytes(response: PreparedResponse, id: string): PreparedBytes {
  const begin = `${statusLine(response.status)}\r\n`;
  const { lines, idAt } = response.fieldsFor(id, "date"); // this engine writes its own
  const text = (begin + lines).slice(0, -2);
  return new PreparedBytes(text, idAt < 0 ? -1 : begin.length + idAt, id.length, { date: "", body: null });
}
