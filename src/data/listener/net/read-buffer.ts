// Owns the one buffer that all client connections of a thread read into. What lies in it is valid until the callback of its read returns: whoever needs it
// longer copies it, or bytes of one client reach another. It can't be exchanged for another: each connection's next read has been told of it already.

/** One read, bytes. */
export const READ_BYTES = 64 * 1024;

export const readBuffer = Buffer.allocUnsafeSlow(READ_BYTES);
