// Owns the form in which a configuration travels between processes and threads of one instance. Never kept on disk, so that it needs no version.
import type { Config } from "../config/schema/schema.ts";

/** Marks bytes, which JSON does not have: an object with this key alone. No name in a configuration holds a NUL. */
const BYTES = "\0bytes";

/** How it begins in JSON. */
const WRITTEN_BYTES = JSON.stringify(BYTES).slice(0, -1);

/** A configuration as text. It holds JSON values, and bytes where a policy has read a file. */
export function packConfig(config: Config): string {
  return JSON.stringify(config, (_key, value: unknown) =>
    typeof value === "object" && value instanceof Uint8Array
      ? { [BYTES]: Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString("base64") }
      : value,
  );
}

/** @param text from {@link packConfig}, by this same program */
export function unpackConfig(text: string): Config {
  if (!text.includes(WRITTEN_BYTES)) return JSON.parse(text) as Config; // see the parameter
  return JSON.parse(text, (_key, value: unknown) =>
    typeof value === "object" && value !== null && BYTES in value ? new Uint8Array(Buffer.from(String(value[BYTES]), "base64")) : value,
  ) as Config; // see the parameter
}
