// Owns the `compress` key of a route: response compression. Schema, type and docs only.
import * as z from "zod";
import { once, size } from "../../../base/schema.ts";

const TYPES_MAX = 100;

export const compressSchema = once(() =>
  z
    .strictObject({
      encodings: z
        .array(z.enum(["zstd", "br", "gzip"]))
        .min(1, "name at least one encoding, or leave `compress` out")
        .refine((list) => new Set(list).size === list.length, { error: "each encoding once" })
        .default(["zstd", "br", "gzip"])
        .meta({ description: "Encodings offered; the first of those that the client likes best is used." }),
      minBytes: size().prefault("1KiB").meta({ description: "Smaller responses of known length are left alone." }),
      types: z
        .array(
          z
            .string()
            .regex(/^(?:[\w.+-]+\/(?:[\w.+-]+|\*)|\*\+[\w.-]+)$/, "expected a media type such as application/json, text/* or *+json")
            .transform((text) => text.toLowerCase()),
        )
        .max(TYPES_MAX)
        .prefault([
          "text/*",
          "application/json",
          "application/x-ndjson",
          "application/javascript",
          "application/xml",
          "application/wasm",
          "application/graphql-response+json",
          "*+json",
          "*+xml",
        ])
        .meta({
          description: "Media types worth compressing: exact, `text/*`, or by suffix `*+json`. text/event-stream is never compressed.",
        }),
      level: z
        .strictObject({
          zstd: z.int().min(1).max(12).default(3).meta({ description: "1 to 12" }),
          br: z.int().min(0).max(9).default(4).meta({ description: "0 to 9" }),
          gzip: z.int().min(1).max(9).default(5).meta({ description: "1 to 9" }),
        })
        .prefault({})
        .meta({ description: "Effort by encoding: higher is smaller and slower." }),
      concurrent: z
        .int()
        .min(1)
        .max(10_000)
        .default(256)
        .meta({ description: "Responses one worker compresses at once on this route; beyond it they go out as they are." }),
    })
    .meta({
      description:
        "Compress responses (zstd, brotli, gzip) as the client's Accept-Encoding permits. Off unless present. Do not use it for pages that hold a secret beside text an attacker can choose (BREACH).",
    }),
);

export type CompressConfig = z.output<ReturnType<typeof compressSchema>>;
export type Encoding = CompressConfig["encodings"][number];
