// The parts of the `ws` package that read and write frames: it exports them, its type declarations do not. Loaded with the first WebSocket.
import type { Writable } from "node:stream";
import * as ws from "ws";

export interface WsFrames {
  readonly Receiver: new (options: {
    readonly isServer: boolean;
    readonly maxPayload: number;
    readonly maxFragments: number;
    readonly maxBufferedChunks: number;
  }) => Writable;
  readonly Sender: { frame(data: Buffer, options: FrameOptions): Buffer[] };
}

interface FrameOptions {
  readonly opcode: number;
  readonly fin: boolean;
  readonly mask: boolean;
  readonly readOnly: boolean;
  readonly rsv1: boolean;
}

export const wsFrames = ws as unknown as WsFrames; // see above
