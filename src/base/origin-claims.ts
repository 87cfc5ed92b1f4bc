// Owns the names of request fields that services believe and that no stranger may send: where a request came from, what was asked for, and by which
// method it is to be taken. Names only; must never look at a value.

/**
 * Fields in which proxies say where a request came from or what was asked for, besides those that the gateway writes itself, and which services
 * believe: a client's address or certificate, the scheme, a prefix, the path, where a file lies. Only a trusted proxy may send them.
 */
export const ORIGIN_CLAIMS: ReadonlySet<string> = new Set([
  // The client's address, as content delivery networks, clouds and older proxies call it.
  "akamai-client-ip",
  "ali-cdn-real-ip",
  "cdn-src-ip",
  "cf-connecting-ip",
  "cf-connecting-ipv6",
  "cf-pseudo-ipv4",
  "client-ip",
  "cloudfront-viewer-address",
  "do-connecting-ip",
  "fastly-client-ip",
  "fly-client-ip",
  "forwarded-for",
  "http-client-ip", // these four as code for CGI looks for them, which is copied to where they are names of fields
  "http-forwarded",
  "http-forwarded-for",
  "http-x-forwarded-for",
  "incap-client-ip",
  "proxy-client-ip",
  "remote-addr",
  "true-client-ip",
  "wl-proxy-client-ip",
  "x-azure-clientip",
  "x-azure-socketip",
  "x-client-ip",
  "x-cluster-client-ip",
  "x-forwarded",
  "x-nf-client-connection-ip",
  "x-original-forwarded-for",
  "x-original-remote-addr",
  "x-originating-ip",
  "x-proxyuser-ip",
  "x-remote-addr",
  "x-real-port",
  "x-remote-ip",
  "x-sucuri-clientip",
  "x-vercel-forwarded-for",
  // The scheme.
  "cf-visitor",
  "cloudfront-forwarded-proto",
  "fastly-ssl",
  "fly-forwarded-port",
  "fly-forwarded-proto",
  "fly-forwarded-ssl",
  "front-end-https",
  "x-arr-ssl",
  "x-https",
  "x-scheme",
  "x-url-scheme",
  // Host, path and prefix.
  "x-host",
  "x-http-host-override",
  "x-original-host",
  "x-original-method",
  "x-original-path",
  "x-original-uri",
  "x-original-url", // routes by it: IIS, Symfony, Zend
  "x-rewrite-url",
  "x-script-name",
  "x-waws-unencoded-url",
  // The client's certificate (RFC 9440, and before it).
  "client-cert",
  "client-cert-chain",
  "ssl-client-cert",
  "ssl-client-issuer-dn",
  "ssl-client-subject-dn",
  "ssl-client-verify",
  "x-arr-clientcert",
  "x-client-cert",
  "x-client-cert-dn",
  "x-client-dn",
  "x-client-verify",
  "x-ssl-cert",
  "x-ssl-client-cert",
  "x-ssl-client-cn",
  "x-ssl-client-dn",
  "x-ssl-client-s-dn",
  "x-ssl-client-verify",
  "x-tls-client-cert",
  // That it came through a certain edge.
  "x-azure-fdid",
  // Where on the disk a file lies, to Rack (CVE-2025-61780).
  "x-accel-mapping",
  "x-sendfile-type",
]);

/** Of them, those from which services build addresses of their own: they say where a client has asked for something, beside Host, port and scheme. */
export const TARGET_CLAIMS: ReadonlySet<string> = new Set([
  "x-forwarded-path",
  "x-forwarded-prefix",
  "x-forwarded-uri",
  "x-host",
  "x-http-host-override",
  "x-original-host",
  "x-original-path",
  "x-original-uri",
  "x-original-url",
  "x-rewrite-url",
  "x-script-name",
]);

const X = 120;
const A = 97;
const E = 101;
const F = 102;

/** Whether only a trusted proxy may send this field. @param name lowercase */
export const isOriginClaim = (name: string): boolean => isOfOriginFamily(name) || ORIGIN_CLAIMS.has(name);

/** The part of {@link isOriginClaim} that is no list. @param name lowercase */
export function isOfOriginFamily(name: string): boolean {
  // Whole families begin with `x-`. One look at a character spares most names the rest.
  if (name.charCodeAt(0) === X) {
    switch (name.charCodeAt(2)) {
      case F:
        if (name.startsWith("x-forwarded-")) return true;
        break;
      case E:
        if (name.startsWith("x-envoy-")) return true; // also orders to a sidecar: timeouts, retries
        break;
      case A:
        if (name.startsWith("x-appengine-") || name.startsWith("x-amzn-mtls-")) return true;
        break;
    }
  }
  return false;
}

/** Fields by which frameworks take a request for one of another method than the gateway has matched, limited and logged. */
export const METHOD_OVERRIDES: ReadonlySet<string> = new Set(["x-http-method", "x-http-method-override", "x-method-override"]);

/** Marks upstream what passed although nobody decided about it. No client can send it: it is among the protected names of every plan. */
export const FAILED_OPEN_HEADER = "x-forward-auth";
