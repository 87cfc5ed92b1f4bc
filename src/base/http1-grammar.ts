// Owns the grammar of HTTP/1.1 messages (RFC 9112) that both of the gateway's sides read by: requests of clients and responses of upstreams.
// Must never be laxer on one side than on the other. Pure.

/** RFC 9110 section 5.1: a field name is a token; in any case, as sent. */
const NAME = "[!#$%&'*+\\-.^_`|~0-9A-Za-z]+";
/** RFC 9110 section 5.5: HTAB, SP, visible characters and obs-text; white space around it included. */
export const VALUE = "[\\t\\x20-\\x7e\\x80-\\xff]*";

/** A field section: `name:value CRLF`, any number of them. No folding, no white space before the colon, CRLF only. Unambiguous: linear time. */
export const FIELDS = new RegExp(`^(?:${NAME}:${VALUE}\\r\\n)*$`);

/** RFC 9112 section 7.1: a size below 2^52, and extensions `;name`, `;name=token` or `;name="quoted"`, without white space. */
const QUOTED = '"[\\t\\x20\\x21\\x23-\\x5b\\x5d-\\x7e\\x80-\\xff]*"';
export const CHUNK_LINE = new RegExp(`^([0-9A-Fa-f]{1,13})(?:;${NAME}(?:=(?:${NAME}|${QUOTED}))?)*$`);
/** Largest line that gives a chunk's size, extensions included, bytes. */
export const CHUNK_LINE_BYTES_MAX = 4096;
