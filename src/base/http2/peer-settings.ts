// Owns what the peer's SETTINGS say (RFC 9113 section 6.5.2), and whether they may. Must never act on them.
import {
  ERROR_CODE,
  FRAME_BYTES_LIMIT,
  FRAME_BYTES_MAX,
  SETTING,
  TABLE_BYTES_DEFAULT,
  WINDOW_BYTES_DEFAULT,
  WINDOW_BYTES_MAX,
} from "./protocol.ts";

export class PeerSettings {
  headerTableSize = TABLE_BYTES_DEFAULT;
  /** Infinity while it has not said. */
  maxConcurrentStreams = Number.POSITIVE_INFINITY;
  initialWindowSize = WINDOW_BYTES_DEFAULT;
  /** Infinity while it has not said. */
  maxHeaderListSize = Number.POSITIVE_INFINITY;
  /** RFC 8441: WebSockets may be asked for. */
  enableConnectProtocol = false;

  /** @param ofServer a server says it. @returns an error code of the connection; 0 when it may */
  set(id: number, value: number, ofServer: boolean): number {
    switch (id) {
      case SETTING.headerTableSize:
        this.headerTableSize = value;
        return 0;
      case SETTING.enablePush:
        return value > 1 || (ofServer && value === 1) ? ERROR_CODE.protocolError : 0;
      case SETTING.maxConcurrentStreams:
        this.maxConcurrentStreams = value;
        return 0;
      case SETTING.initialWindowSize:
        if (value > WINDOW_BYTES_MAX) return ERROR_CODE.flowControlError;
        this.initialWindowSize = value;
        return 0;
      case SETTING.maxFrameSize:
        return value < FRAME_BYTES_MAX || value > FRAME_BYTES_LIMIT ? ERROR_CODE.protocolError : 0;
      case SETTING.maxHeaderListSize:
        this.maxHeaderListSize = value;
        return 0;
      case SETTING.enableConnectProtocol:
        if (value > 1 || (this.enableConnectProtocol && value === 0)) return ERROR_CODE.protocolError;
        this.enableConnectProtocol = value === 1;
        return 0;
      case SETTING.noRfc7540Priorities:
        return value > 1 ? ERROR_CODE.protocolError : 0;
      default:
        return 0; // unknown ones are ignored
    }
  }
}
