// Owns which protocols the net engine speaks. A protocol is served, and offered by ALPN, where it stands here and nowhere else.
import type { Protocols } from "../listener/net/channel.ts";

export const protocols: Protocols = {
  "http/1.1": null, // http1: (channel, host, terms) => new Http1Connection(channel, host, terms)
  h2: null,
};
