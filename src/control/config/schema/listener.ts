// Owns the schema of listeners: address, TLS by SNI, engine choice.
import * as z from "zod";
import { withRules } from "../../../base/rules.ts";
import { lazyOptional, name, once } from "../../../base/schema.ts";
import { filePath, hostPattern, listenAddress } from "./fields.ts";
import { listenerPaths } from "./paths.ts";
import { beyondUws, ciphersForEachVersion, tlsRuleKeys, tlsRulesOf, versionOrder } from "./tls-rules.ts";

/** Listeners of one instance. */
export const LISTENERS_MAX = 64;
/** Certificates of one listener. */
export const CERTIFICATES_MAX = 1000;
const NAMES_MAX = 200;

const certificate = once(() =>
  z.strictObject({
    cert: filePath().meta({ description: "PEM file: the certificate, then its intermediates. Read again when it changes." }),
    key: filePath().meta({ description: "PEM file: the private key, not encrypted." }),
    hosts: z
      .array(hostPattern())
      .max(NAMES_MAX)
      .prefault([])
      .meta({ description: "Server names (SNI) it is for, `*.` allowed; may be left out for the first, which is the default." }),
  }),
);

const tls = once(() =>
  withRules(
    z.strictObject({
      certificates: z.array(certificate()).min(1).max(CERTIFICATES_MAX).meta({ description: "Chosen by SNI; the first is the default." }),
      clientCa: filePath().optional().meta({
        description:
          "PEM file: the authorities whose client certificates are accepted (mTLS), for all server names. Read again when it changes. Uses the `net` engine.",
      }),
      clientCertificates: z.enum(["required", "optional"]).optional().meta({
        description:
          "`required` (the default with `clientCa`): no handshake without a certificate. `optional`: clients may come without one, never with one that is not good.",
      }),
      ...tlsRuleKeys(),
    }),
    versionOrder,
    ciphersForEachVersion,
    ({ clientCertificates, clientCa }, object) => {
      if (clientCertificates !== undefined && clientCa === undefined) object("clientCertificates needs clientCa", ["clientCertificates"]);
    },
  ),
);

export const listener = once(() =>
  withRules(
    z.strictObject({
      name: name()
        .optional()
        .meta({
          description: "Unique among listeners: what `match.listener` of routes knows it by.",
          examples: ["public"],
        }),
      address: listenAddress().meta({
        description:
          "`host:port`, `[IPv6]:port` or `unix:/path`; port 0 picks a free one. To a Unix socket only the user that Sluice runs as can connect.",
      }),
      tls: lazyOptional(tls).meta({ description: "Serve HTTPS." }),
      redirectToHttps: z
        .int({ error: (issue) => (issue.input === true ? "expected the port of the https address, such as 443" : undefined) })
        .min(1)
        .max(65_535)
        .optional()
        .meta({
          description:
            "Redirect (308) every request that came by plain HTTP to the same address by https on this port, before a route is looked for. Requests that a trusted proxy says came by https are served. Credentials in the query are left out.",
          examples: [443],
        }),
      engine: z.enum(["net", "uws"]).optional().meta({
        description:
          "`uws`: the default for plain HTTP/1.1. `net`: the strict and complete one, with HTTP/1.0, absolute-form targets, `OPTIONS *`, HTTP/2, client certificates and the PROXY protocol; the default with `tls` and wherever one of these is asked for.",
      }),
      http2: z.boolean().optional().meta({
        description: "Offer HTTP/2 in TLS handshakes (ALPN); the default with `tls` on the `net` engine.",
      }),
      h2c: z.boolean().prefault(false).meta({
        description:
          "Without `tls`: also serve clients that begin with HTTP/2 (prior knowledge, RFC 9113 section 3.3). Uses the `net` engine.",
      }),
      strict: z.boolean().prefault(false).meta({ description: "The older way to write `engine: net`." }),
      proxyProtocol: z.boolean().prefault(false).meta({
        description:
          "Every connection begins with a PROXY protocol header, version 1 or 2, which names the client; one without is closed. Only behind a load balancer that always sends one. Uses the `net` engine.",
      }),
      paths: lazyOptional(listenerPaths).meta({
        description:
          "What the paths of requests may hold beyond the strict normal form, here and where a route allows it: else 400 `bad_path`. The form is made once: it is matched, judged, signed and forwarded.",
      }),
    }),
    ({ redirectToHttps, tls }, object) => {
      if (redirectToHttps !== undefined && tls !== undefined)
        object("redirectToHttps and tls exclude each other: nobody comes here by plain HTTP", ["redirectToHttps"], "remove it");
    },
    ({ http2, h2c, tls }, object) => {
      if (http2 === true && tls === undefined)
        object("http2 needs tls: it is agreed on in the handshake", ["http2"], "add tls, or write `h2c: true` for clients that know");
      if (h2c && tls !== undefined) object("h2c is HTTP/2 without tls", ["h2c"], "remove it: with tls, `http2` is the default");
    },
    ({ engine, strict, http2, h2c, proxyProtocol, tls }, object) => {
      if (engine !== "uws") return;
      const rules = tls === undefined ? null : tlsRulesOf(tls);
      const wanted = { strict, http2: http2 === true, h2c, proxyProtocol, "tls.clientCa": tls?.clientCa !== undefined };
      const [key] = Object.entries(wanted).find(([, asked]) => asked) ?? [];
      const beyond = key !== undefined ? `\`${key}\`` : rules === null ? "" : beyondUws(rules);
      if (beyond !== "") object(`the uws engine has no ${beyond}`, ["engine"], "write `engine: net`, or remove what needs it");
    },
  ).transform((v) => ({
    ...v.address,
    name: v.name ?? "",
    redirectToHttps: v.redirectToHttps ?? null,
    engine: v.engine ?? null,
    strict: v.strict,
    http2: v.http2 ?? (v.tls !== undefined && v.engine !== "uws"),
    h2c: v.h2c,
    proxyProtocol: v.proxyProtocol,
    paths: v.paths ?? null,
    certificates: v.tls === undefined ? null : v.tls.certificates,
    tlsRules: v.tls === undefined ? null : tlsRulesOf(v.tls),
    clientAuth: v.tls?.clientCa === undefined ? null : { ca: v.tls.clientCa, required: v.tls.clientCertificates !== "optional" },
  })),
);

export type ListenerConfig = z.output<ReturnType<typeof listener>>;

export const listeners = once(() => z.array(listener()).min(1).max(LISTENERS_MAX).meta({ description: "Where clients connect." }));
