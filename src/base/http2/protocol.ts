// Owns the numbers of HTTP/2 (RFC 9113) and their names. Must never hold state.

/** RFC 9113 section 3.4: what a client sends first. */
export const PREFACE = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "latin1");

export const FRAME_HEADER_BYTES = 9;

/** RFC 9113 section 6. */
export const FRAME = {
  data: 0,
  headers: 1,
  priority: 2,
  rstStream: 3,
  settings: 4,
  pushPromise: 5,
  ping: 6,
  goAway: 7,
  windowUpdate: 8,
  continuation: 9,
} as const;

export const FLAG_END_STREAM = 0x1;
export const FLAG_ACK = 0x1;
export const FLAG_END_HEADERS = 0x4;
export const FLAG_PADDED = 0x8;
export const FLAG_PRIORITY = 0x20;

/** RFC 9113 section 7. */
export const ERROR_CODE = {
  noError: 0x0,
  protocolError: 0x1,
  internalError: 0x2,
  flowControlError: 0x3,
  settingsTimeout: 0x4,
  streamClosed: 0x5,
  frameSizeError: 0x6,
  refusedStream: 0x7,
  cancel: 0x8,
  compressionError: 0x9,
  connectError: 0xa,
  enhanceYourCalm: 0xb,
  inadequateSecurity: 0xc,
  http11Required: 0xd,
} as const;

const ERROR_NAMES: readonly string[] = [
  "NO_ERROR",
  "PROTOCOL_ERROR",
  "INTERNAL_ERROR",
  "FLOW_CONTROL_ERROR",
  "SETTINGS_TIMEOUT",
  "STREAM_CLOSED",
  "FRAME_SIZE_ERROR",
  "REFUSED_STREAM",
  "CANCEL",
  "COMPRESSION_ERROR",
  "CONNECT_ERROR",
  "ENHANCE_YOUR_CALM",
  "INADEQUATE_SECURITY",
  "HTTP_1_1_REQUIRED",
];

/** @returns the name of an error code, for logs */
export const errorName = (code: number): string => ERROR_NAMES[code] ?? `error ${code}`;

/** RFC 9113 section 6.5.2, RFC 8441 section 3, RFC 9218 section 2.1. */
export const SETTING = {
  headerTableSize: 0x1,
  enablePush: 0x2,
  maxConcurrentStreams: 0x3,
  initialWindowSize: 0x4,
  maxFrameSize: 0x5,
  maxHeaderListSize: 0x6,
  enableConnectProtocol: 0x8,
  noRfc7540Priorities: 0x9,
} as const;

/** RFC 9113 section 6.9.1: the largest window. */
export const WINDOW_BYTES_MAX = 0x7fffffff;
/** RFC 9113 section 6.9.2: windows to begin with. */
export const WINDOW_BYTES_DEFAULT = 65_535;
/** RFC 9113 section 4.2: the frame size that every peer takes; nothing larger is sent or taken here. */
export const FRAME_BYTES_MAX = 16_384;
export const FRAME_BYTES_LIMIT = 16_777_215;
export const STREAM_ID_MAX = 0x7fffffff;
/** RFC 7541 section 4.1: what a field counts beyond its name and value. */
export const FIELD_OVERHEAD_BYTES = 32;
/** RFC 9113 section 6.5.2: dynamic table to begin with. */
export const TABLE_BYTES_DEFAULT = 4096;
