// Owns the form in which a configuration travels between processes of one instance. Never kept on disk, so that it needs no version.
import { deserialize, serialize } from "node:v8";
import type { Config } from "../config/schema.ts";

/** A configuration as text. It may hold bytes, so JSON does not do. */
export function packConfig(config: Config): string {
  return serialize(config).toString("base64");
}

/** @param text from {@link packConfig}, by this same program */
export function unpackConfig(text: string): Config {
  return deserialize(Buffer.from(text, "base64")) as Config; // see the parameter
}
