// Owns what other gateways call what stands at a place here, and what to write instead. docs/porting.md is the long form of it.
// Must never name a key that the place does not have: a test holds it to the schema.

type Words = Readonly<Record<string, string>>;

/** Words in one line -> what is said of each. */
function words(lines: Readonly<Record<string, string>>): Words {
  return Object.fromEntries(Object.entries(lines).flatMap(([keys, remedy]) => keys.split(" ").map((key) => [key, remedy])));
}

const POLICIES =
  "policies are keys of a route, such as `cors`; routes share them by `policySets` and `use`, all have those under `defaults`";
const AUTHENTICATOR = "authenticators stand under `auth` at the top of the file, by names; here stands the name: `auth: NAME`";
const HOST = "write `host: client`";

/** Place (with `*` for any name or index) -> words. What is close to the right key needs no entry: the nearest key is told anyway. */
const FOREIGN: Readonly<Record<string, Words>> = {
  "": words({
    "listen bind entryPoints frontends": "write `listeners: [{ address: ... }]`",
    "services backends clusters": "services stand under `upstreams`",
    "endpoints locations servers routers virtualHosts": "what is served stands under `routes`",
    "plugins middlewares filters": "policies are keys of routes; for all routes they stand under `defaults`, in sets under `policySets`",
    "acls keyauth_credentials basicauth_credentials credentials": "groups, keys and passwords stand with the `consumers`",
    http: "routers are `routes`, services `upstreams`, middlewares keys of routes",
    "cors rateLimit compress": "for all routes it stands under `defaults`",
    "timeout timeouts": "for all upstreams it stands under `upstreamDefaults`",
  }),
  "listeners.*": words({
    "listen bind": "write `address: ...`",
    "ssl certificates": "write `tls: { certificates: [...] }`",
    "redirect redirections": "write `redirectToHttps: 443`",
  }),
  "routes.*": words({
    "strip_path stripPath stripPrefix strip_prefix": "write `rewrite: { stripPrefix: ... }`",
    "add_prefix addPrefix": "write `rewrite: { addPrefix: ... }`",
    "plugins middlewares filters": POLICIES,
    "rule rules": "write `match: { hosts: [...], path: ... }`",
    "uri uris endpoint location prefix pathPrefix": "write `match: { path: ... }`",
    "regex_priority order": "routes have no order: the more specific one wins, see `sluice routes`",
    "preserve_host passHostHeader pass_host": HOST,
    "return status direct_response directResponse": "write `respond: { status: ... }`",
    "proxy_pass upstream_id serviceName default_backend": "`to` names the upstream",
    "backends backendRefs": "write `weighted: [{ upstream: ..., weight: ... }]`",
    input_headers: "write `headers: { request: { allow: [...] } }`",
    input_query_strings: "write `query: { allow: [...] }`",
    "apiKey keyAuth basicAuth basic jwt": AUTHENTICATOR,
    acl: "write `authorize: { groups: { any: [...] } }`",
    "allow deny ipAllowList ipWhiteList ipRestriction": "write `ip: { allow: [...], deny: [...] }`",
    "proxy_cache proxyCache cache_ttl": "write `cache: { ttl: ... }`",
    retries: "it stands under `upstreams.NAME` as `retry: { attempts: ... }`",
    "extAuth forward_auth auth_request": "write `forwardAuth: { url: ... }`",
  }),
  "routes.*.match": words({
    "pathPrefix path_prefix prefix pathBeg": "write `path: /x/**` for all below `/x`",
    "pathRegex pathRegexp regex path_reg": 'write `path: "/users/{id:[0-9]+}"`: an expression stands for one segment',
    "ip clientIp clientIP remoteAddr": "addresses are judged by the route's `ip`",
    "protocols protocol": "write `scheme: https`",
    priority: "routes have no order: the more specific one wins",
    entryPoints: "write `listener: NAME`",
  }),
  "routes.*.rewrite": words({
    "replacePath uri": "write `path: ...`",
    "prefix replacePrefix replacePrefixMatch": "write `stripPrefix: ...` and `addPrefix: ...`",
    "pattern regex_uri match": "write `regex: ...` and `to: ...`",
    "replacement substitution": "write `to: ...`",
  }),
  "routes.*.cors": words({
    "allowOrigins allow_origins allowedOrigins accessControlAllowOriginList": "write `origins: [...]`",
    "allowMethods allow_methods allowedMethods": "write `methods: [...]`",
    "allowHeaders allow_headers allowedHeaders": "write `headers: [...]`",
    "exposedHeaders exposed_headers expose_headers": "write `exposeHeaders: [...]`",
    "allowCredentials allow_credentials": "write `credentials: ...`",
  }),
  "routes.*.rateLimit.*": words({
    "second minute hour day month year count limit requests": "write `quota: N/minute` for a count by period, `rate: N/s` for an even flow",
    "average max_rate": "write `rate: N/s`",
    "key limit_by": "write `per: ip`, `per: consumer` or `per: { header: ... }`",
    "amount maxConnections connections": "write `concurrency: ...`",
    "time_window period": "the period stands in the quota: `quota: 100/hour`",
  }),
  "routes.*.redirect": words({
    "code statusCode status_code": "write `status: ...`",
    "url uri location target": "write `to: ...`",
    "scheme http_to_https httpsRedirect": "write `https: true`",
  }),
  "routes.*.respond": words({
    "root dir directory folder alias try_files": "files of a folder are for a service; `file: ...` sends one",
    "code statusCode status_code": "write `status: ...`",
    "message text": "write `body: ...`",
  }),
  "routes.*.ip": words({
    "whitelist allowList sourceRange ranges": "write `allow: [...]`",
    "blacklist denyList": "write `deny: [...]`",
  }),
  "upstreams.*": words({
    "nodes endpoints members server address addresses": "write `targets: [{ url: ... }]`",
    path: "a target takes no path: the route's `rewrite` changes it",
    weight: "it stands with a target: `targets: [{ url: ..., weight: ... }]`",
    retries: "write `retry: { attempts: ... }`",
    "healthCheck healthcheck healthchecks health_checks checks": "write `health: { active: { path: ... } }`",
    "keepalive maxConnections connections maxconn": "write `pool: { connections: ... }`",
    "algorithm lb loadBalancer lb_policy strategy type": "write `balance: ...`",
    "preserve_host passHostHeader pass_host": HOST,
    "timeout connect_timeout read_timeout write_timeout": "write `timeouts: { connect: ..., attempt: ..., idle: ... }`",
    "circuitBreaker circuit_breaker outlierDetection": "write `breaker: { errorRate: ... }`",
    ssl: "write `tls: { ... }`",
    "proto http2 versions httpVersion http2_protocol_options http2ProtocolOptions proxy_http_version appProtocol":
      "write `protocol: h2` for https targets, `protocol: h2c` for http ones",
  }),
  "upstreams.*.timeouts": words({
    "read server": "`attempt` lasts to the head of the response, `idle` is the pause between two pieces of its body",
    "send write client": "`limits.bodyTimeout` bounds the pauses of a client's body",
    request: "write `total: ...`",
    backendRequest: "write `attempt: ...`",
  }),
  "upstreams.*.health": words({
    "path interval timeout expect healthyAfter unhealthyAfter": "it stands under `active`: `active: { path: ..., interval: ... }`",
    "consecutiveFailures ejectFor maxEjected": "it stands under `passive`",
  }),
  "upstreams.*.tls": words({
    "verify insecure ssl_verify skipVerify": "to leave it unverified stands beside `tls`: `insecure: [tls-unverified]`",
    "sni hostname": "write `serverName: ...`",
  }),
  "auth.*.apiKey": words({
    "key_names header headers query cookie extractFrom": "write `from: [{ header: ... }, { query: ... }]`",
    hide_credentials: "keys are left out unless `forwardCredentials: true` stands beside `apiKey`",
  }),
  "auth.*.basic": words({ "users usersFile userlist file auth_basic_user_file": "write `htpasswd: file:...`" }),
  "auth.*.jwt": words({
    "jwk_url jwks_url jwksUri jwks_uri remoteJWKS": "write `jwks: ...`",
    alg: "write `algorithms: [...]`",
    iss: "write `issuer: ...`",
    "aud audiences": "write `audience: ...`",
    disable_jwk_security: "write `insecure: [http-jwks]`",
  }),
  "consumers.*": words({
    "keyauth_credentials key apiKeys api_keys": "write `keys: [...]`",
    "acls group": "write `groups: [...]`",
    name: "write `id: ...`",
  }),
};

/** @param place with `*` for any name or index. @returns what to write instead of another gateway's word; null when it is none */
export function foreignWord(place: string, key: string): string | null {
  const own = place.replace(/^(?:defaults|policySets\.\*)(?=\.|$)/, "routes.*").replace(/^upstreamDefaults(?=\.|$)/, "upstreams.*");
  const known = FOREIGN[own.replace(/^routes\.\*\.timeouts$/, "upstreams.*.timeouts")];
  return known !== undefined && Object.hasOwn(known, key) ? (known[key] ?? null) : null;
}

/** Place -> values of others -> what to write. */
const FOREIGN_VALUES: Readonly<Record<string, Words>> = {
  "upstreams.*.balance": words({
    "ip_hash source": "write `balance: hash` and `hashOn: ip`",
    "chash hash-on consistent-hashing ring_hash maglev uri": "write `balance: hash` and say `hashOn`",
    "least_conn leastconn least-connections least_request ewma": "write `balance: least-request`",
  }),
};

/** @returns what to write instead of another gateway's value; null when it is none */
export function foreignValue(place: string, value: string): string | null {
  const known = FOREIGN_VALUES[place.replace(/^upstreamDefaults(?=\.)/, "upstreams.*")];
  return known !== undefined && Object.hasOwn(known, value) ? (known[value] ?? null) : null;
}

/** Every place with its words, for the test that holds them to the schema. */
export const FOREIGN_WORDS = FOREIGN;
