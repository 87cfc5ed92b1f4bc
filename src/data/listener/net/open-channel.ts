// Makes a channel of a socket: on the stream below it where that is as we know it, else the way that is everybody's.
import type { Socket } from "node:net";
import { nativeStreamOf } from "../../../base/native-stream.ts";
import type { Channel } from "./channel.ts";
import type { ClientFacts } from "./client-facts.ts";
import { NativeChannel } from "./native-channel.ts";
import { StreamChannel } from "./stream-channel.ts";

/** @param socket carries HTTP; nobody reads it yet. @param bottom what was accepted: the same, or what lies below TLS */
export function openChannel(socket: Socket, bottom: Socket, facts: ClientFacts): Channel {
  const stream = nativeStreamOf(socket);
  const kernel = socket === bottom ? stream : nativeStreamOf(bottom);
  return stream === null || kernel === null
    ? new StreamChannel(socket, bottom, facts)
    : new NativeChannel(socket, { stream, kernel, bottom }, facts);
}
