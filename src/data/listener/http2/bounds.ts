// Owns what one client's HTTP/2 connection may hold and do: from limits where operators may need to say, else by constants. Must never depend on the client.
import type { Http2Bounds } from "../../../base/http2/connection.ts";
import type { LimitsPlan } from "../../../plan/limits-plan.ts";

/** RFC 9113 section 6.5.2: counted for each field beside its bytes. limits.headerBytes and headerCount are kept exactly by admission, this bounds what is decoded. */
const FIELD_BYTES = 32;
/** What a client may send of one body before any of it is taken. */
const STREAM_WINDOW_BYTES = 128 * 1024;
const CONNECTION_WINDOW_BYTES = 1024 * 1024;
/** Content that came and that nobody takes yet, of all streams. */
const HELD_BYTES_MAX = 1024 * 1024;
/** Streams that the client resets, or provokes us to reset (CVE-2023-44487, CVE-2025-8671): a page that is left behind resets a hundred at once. */
const RESETS_BURST = 200;
const RESETS_PER_SECOND = 20;
/** Frames that carry nothing (CVE-2019-9512, 9515, 9518). */
const CONTROL_FRAMES_BURST = 1000;
const CONTROL_FRAMES_PER_SECOND = 100;

export const boundsFor = ({ headerBytes, headerCount, uriBytes, streamsPerConnection }: LimitsPlan): Http2Bounds => ({
  headerBytesMax: headerBytes + uriBytes + FIELD_BYTES * headerCount,
  streamWindowBytes: STREAM_WINDOW_BYTES,
  connectionWindowBytes: CONNECTION_WINDOW_BYTES,
  heldBytesMax: HELD_BYTES_MAX,
  peerStreamsMax: streamsPerConnection,
  resetsBurst: RESETS_BURST,
  resetsPerSecond: RESETS_PER_SECOND,
  controlFramesBurst: CONTROL_FRAMES_BURST,
  controlFramesPerSecond: CONTROL_FRAMES_PER_SECOND,
  extendedConnect: true,
});
