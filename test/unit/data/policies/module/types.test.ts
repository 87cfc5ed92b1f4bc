// The types of `sluice/policy`: what does not fit a phase does not compile. The compiler is the test; at run time only the mark is looked at.
import { definePolicy } from "sluice/policy";
import { expect, expectTypeOf, test } from "vitest";

test("each phase's request is a type of its own, and so is each hook's", () => {
  const policies = [
    definePolicy({
      name: "edge",
      phase: "edge",
      create: () => ({
        onRequest(x) {
          // @ts-expect-error nobody was asked yet who calls
          expect(x.caller).toBeDefined();
          // @ts-expect-error what goes upstream is made in the phase origin
          x.setUpstreamHeader("x-a", "b");
        },
      }),
    }),
    definePolicy({
      name: "identified",
      phase: "identified",
      create: () => ({
        onRequest(x) {
          expectTypeOf(x.caller?.scopes).toEqualTypeOf<readonly string[] | undefined>();
          // @ts-expect-error
          x.sendTo("other");
          // @ts-expect-error a response is not there yet
          x.setResponseHeader("x-a", "b");
        },
      }),
    }),
    definePolicy({
      name: "origin",
      phase: "origin",
      create: () => ({
        onRequest(x) {
          x.sendTo("other");
          // @ts-expect-error an attempt is not there yet
          x.removeUpstreamHeader("x-a");
          return { status: 204 };
        },
        onUpstreamRequest(x) {
          x.removeUpstreamHeader("x-a");
          // @ts-expect-error the upstream is chosen by now
          x.sendTo("other");
        },
        onResponse(x) {
          x.setResponseHeader("x-a", "b");
          // @ts-expect-error
          x.setUpstreamHeader("x-a", "b");
        },
        onFinish(x) {
          expectTypeOf(x.durationMs).toBeNumber();
          // @ts-expect-error it is over
          x.addResponseHeader("x-a", "b");
        },
      }),
    }),
  ];
  expect(policies.map(({ phase }) => phase)).toEqual(["edge", "identified", "origin"]);
});

test("the configuration of `create` is what the schema gives", () => {
  definePolicy({
    name: "typed",
    phase: "origin",
    schema: (z) =>
      z.strictObject({
        text: z.string(),
        count: z.int().default(3),
        maybe: z.boolean().optional(),
        one: z.enum(["a", "b"]),
        map: z.record(z.string(), z.number()),
      }),
    upstreams: (config) => [config.text],
    create(config, route) {
      expectTypeOf(config.text).toEqualTypeOf<string>();
      expectTypeOf(config.count).toEqualTypeOf<number>();
      expectTypeOf(config.maybe).toEqualTypeOf<boolean | undefined>();
      expectTypeOf(config.one).toEqualTypeOf<"a" | "b">();
      // @ts-expect-error it is frozen
      config.text = "b";
      const slot = route.slot<number>();
      return {
        onRequest(x) {
          slot.set(x, 1);
          // @ts-expect-error
          slot.set(x, "1");
        },
        cacheKey: (x) => x.host,
      };
    },
  });
});

test("what is no hook, no phase and no answer does not compile", () => {
  // @ts-expect-error
  definePolicy({ name: "a", phase: "late", create: () => ({}) });
  // @ts-expect-error
  definePolicy({ name: "a", phase: "edge", create: () => ({ onRequest: () => true }) });
  expect(Object.isFrozen(definePolicy({ name: "a", phase: "edge", create: () => ({}) }))).toBe(true);
});
