// Who reads a channel before a protocol has taken it. Nothing may come here: the channel is paused until then.
import type { ChannelReader } from "./channel.ts";

export const deafReader: ChannelReader = {
  received() {},
  ended() {},
  drained() {},
  closed() {},
};
