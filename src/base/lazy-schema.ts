// Owns schemas that are made when somebody asks for them: making all of them is much of a cold start, and most configurations use few.
import * as z from "zod";

/** A schema never changes, so that one serves every field of its kind. Made when first asked for. */
export function once<T>(make: () => T): () => T {
  let made: T | undefined;
  return () => (made ??= make());
}

/** What stands in for a schema that is not made yet -> its maker. */
const makers = new WeakMap<object, () => z.ZodType>();

/**
 * An optional key whose schema is made when somebody writes the key. (`z.lazy` would do, but zod makes what is lazy as soon as an object looks which of its
 * keys are optional.)
 * @param make of a schema that gives nothing for a key that is absent
 */
export function lazyOptional<S extends z.ZodType>(make: () => S): z.ZodOptional<S> {
  const stand = z.transform((value, ctx) => parsedBy(make(), value, ctx));
  makers.set(stand, make);
  return stand.optional() as unknown as z.ZodOptional<S>; // it parses what S parses
}

/**
 * A map, or a list of such maps. Told apart by what is written, so that mistakes are told of that, where a union would tell of both.
 * @param meta of the whole, for whoever describes schemas
 */
export function mapOrList<M extends z.ZodType, L extends z.ZodType>(map: M, list: L, meta: Parameters<M["meta"]>[0]): z.ZodUnion<[M, L]> {
  const stand = z.transform((value, ctx) => parsedBy(Array.isArray(value) ? list : map, value, ctx));
  makers.set(
    stand,
    once(() => z.union([map, list]).meta(meta)),
  );
  return stand as unknown as z.ZodUnion<[M, L]>; // it parses what the union parses
}

type Context = z.core.$RefinementCtx;

function parsedBy(schema: z.ZodType, value: unknown, ctx: Context): unknown {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  for (const issue of parsed.error.issues) ctx.issues.push({ ...issue, input: value } as (typeof ctx.issues)[number]); // finished: nobody reads the input
  return z.NEVER;
}

/** @returns the schema that another stands in for, or null. For whoever describes schemas. */
export const resolveLazy = (schema: object): z.ZodType | null => makers.get(schema)?.() ?? null;
