// Owns which protocols the net engine speaks. A protocol is served, and offered by ALPN, where it stands here and nowhere else.
import { Http1Connection } from "../listener/http1/connection.ts";
import { ServedHttp2Connection } from "../listener/http2/connection.ts";
import type { Protocols } from "../listener/net/channel.ts";

export const protocols: Protocols = {
  "http/1.1": (channel, host, terms) => new Http1Connection(channel, host, terms),
  h2: (channel, host, terms) => new ServedHttp2Connection(channel, host, terms),
};
