// Writes the head that accepts a WebSocket (RFC 6455 section 4.2.2). Must never agree to what the upstream has not.
import type { HeaderList } from "../../../base/header-list.ts";
import { isFieldValue, isToken } from "../../../base/http.ts";
import type { UpgradedUpstream } from "../../exchange/exchange.ts";
import { acceptKey } from "../../handlers/proxy/websocket/handshake.ts";
import type { Http1Exchange } from "./exchange.ts";

export function switchingHead(x: Http1Exchange, upstream: UpgradedUpstream): string {
  let head = "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\n";
  const { headers } = upstream;
  for (let i = 0; i + 1 < headers.length; i += 2) {
    const [name = "", value = ""] = [headers[i], headers[i + 1]];
    if (isToken(name) && isFieldValue(value)) head += `${name}: ${value}\r\n`;
  }
  if (!has(headers, "sec-websocket-accept")) head += `sec-websocket-accept: ${acceptKey(x.header("sec-websocket-key") ?? "")}\r\n`;
  if (upstream.protocol !== "" && !has(headers, "sec-websocket-protocol")) head += `sec-websocket-protocol: ${upstream.protocol}\r\n`;
  return `${head}\r\n`;
}

function has(headers: HeaderList, name: string): boolean {
  for (let i = 0; i < headers.length; i += 2) if (headers[i] === name) return true;
  return false;
}
