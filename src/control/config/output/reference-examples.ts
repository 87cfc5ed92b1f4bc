// Owns the examples of the reference docs: one for each section and each policy. A test loads them all.

/** Section, or `routes: POLICY` -> an example in YAML. */
export const REFERENCE_EXAMPLES: Readonly<Record<string, string>> = {
  "Top level": `version: 1
trustedProxies: [10.0.0.0/8, unix]
drainTimeout: 1m`,
  workers: `workers: { count: auto, cpus: auto }`,
  listeners: `listeners:
  - address: 0.0.0.0:8080
    paths: { emptySegments: merge }
  - address: 0.0.0.0:8443
    tls:
      certificates:
        - { cert: certs/api.pem, key: certs/api.key, hosts: [api.example.com] }`,
  admin: `admin:
  address: 0.0.0.0:9901
  token: file:secrets/admin-token`,
  limits: `limits:
  headerBytes: 32KiB
  bodyBytes: 1MiB
  webSocket: { idleTimeout: 10m }`,
  cache: `cache: { memory: 256MiB, maxObject: 2MiB }`,
  overload: `overload: { mode: on, loopDelay: 50ms, inFlight: 5000, memory: 90% }`,
  watchdog: `watchdog: { timeout: 2s, replaceAfter: 1m }`,
  dns: `dns: { servers: [10.0.0.53], ttlMax: 1m }`,
  log: `log: { file: stdout }`,
  redis: `redis:
  url: rediss://redis.internal:6380/2
  username: sluice
  password: file:secrets/redis
  fleetSize: 4`,
  auth: `auth:
  staff:
    jwt:
      issuer: https://id.example.com
      audience: api
      discovery: true
      algorithms: [RS256, ES256]
  partner-keys: { apiKey: { in: header, name: x-api-key } }
  old-keys: { apiKey: { from: [{ header: x-key }, { query: apikey }] }, forwardCredentials: true }`,
  tiers: `tiers:
  gold: { rate: 100/s, burst: 200, quota: 1000000/month, concurrency: 50 }
  bronze: { rate: 60/minute, quota: 10000/week }`,
  consumers: `consumers:
  - id: initech
    tier: gold
    scopes: ["orders:read"]
    keys: ["sha256:498c49edd651d7e7ff00f063f2e864ffd3ee79d6eb7ce8ca5c317bdea156e22a"]`,
  identity: `identity:
  headers: { consumer: x-consumer-id, roles: x-consumer-roles }
  claims: { x-tenant: tenant }`,
  consumersFrom: `consumersFrom: { directory: consumers.d }`,
  clients: `clients:
  app: { headers: { x-client: { prefix: "acme-app/" } } }
  tv: { userAgent: ["*SmartTV*", "*AppleTV*"] }`,
  versioning: `versioning:
  from: [path, header, accept]
  default: "1"
  header: api-version
  accept: { vendor: acme }`,
  errorPages: `errorPages:
  route_not_found: { body: "Nothing is here. Your request was {requestId}." }
  429: { json: { error: "{code}", status: "{status}" } }
  500-599:
    - { body: "<!doctype html><title>{title}</title><h1>{status}</h1>", contentType: text/html; charset=utf-8 }
    - { json: { error: "{code}" } }
  503: { redirect: "https://status.example.com/?code={code}" }
  intercept: [502, 503]`,
  upstreamDefaults: `upstreamDefaults:
  timeouts: { connect: 500ms, attempt: 10s }
  retry: { attempts: 1, on: [connect-failure, reset, 503] }
  health: { active: { path: /healthz } }
  host: client`,
  upstreams: `upstreams:
  users:
    targets:
      - { url: http://10.0.0.1:9001, weight: 2 }
      - { url: http://10.0.0.2:9001 }
    timeouts: { connect: 500ms, attempt: 10s }
    retry: { attempts: 1, on: [connect-failure, reset, 503] }
    health: { active: { path: /healthz } }`,
  routes: `routes:
  - name: users
    match:
      hosts: [api.example.com]
      path: /users/{id}
      methods: [GET, PATCH]
      headers: { x-api-version: { prefix: "2" } }
    timeouts: { attempt: 30s }
    to: users
  - name: everything-else
    weighted: [{ upstream: users, weight: 95 }, { upstream: orders, weight: 5 }]`,
  "routes: ip": `routes:
  - name: internal
    match: { path: /internal/** }
    ip: { allow: [10.0.0.0/8], deny: [10.9.0.0/16] }
    to: users`,
  "routes: cors": `routes:
  - name: app
    match: { path: /app/** }
    cors: { origins: ["https://app.example.com"], credentials: true, maxAge: 1h }
    to: users`,
  "routes: rateLimit": `routes:
  - name: search
    match: { path: /search }
    rateLimit:
      - { per: ip, rate: 10/s, burst: 20 }
      - { name: search-daily, per: ip, quota: 1000/day }
    to: users`,
  "routes: cache": `routes:
  - name: products
    match: { path: /products/** }
    to: users
    cache:
      ttl: 30s
      staleWhileRevalidate: 10s
      staleIfError: 5m
      statuses: { 404: 10s }
      key: { query: { except: [utm_source, utm_medium] }, headers: [x-region] }`,
  "routes: auth": `routes:
  - name: orders
    match: { path: /orders/** }
    auth: { any: [staff, partner-keys] }
    to: orders`,
  "routes: forwardAuth": `routes:
  - name: shop
    match: { path: /shop/** }
    auth: none
    forwardAuth:
      url: http://auth.internal:9000/verify
      requestHeaders: [authorization, cookie]
      responseHeaders: [x-user]
      timeout: 500ms
    to: users`,
  "routes: authorize": `routes:
  - name: invoices
    match: { path: "/tenants/{tenant}/invoices/**" }
    auth: staff
    authorize:
      scopes: { all: ["invoices:read"] }
      claims: { tenant: "{path.tenant}" }
    to: orders`,
  "routes: redirect": `routes:
  - name: moved
    match: { path: "/old/{id}" }
    redirect: { to: "https://www.example.com/new/{path.id}", status: 301 }`,
  "routes: aggregate": `routes:
  - name: account-page
    match: { path: "/pages/account/{id}", methods: [GET] }
    aggregate:
      legs:
        user: { to: users, path: "/users/{id}", pick: [id, name], relay: [404] }
        orders: { to: orders, path: "/orders?user={legs.user.json.id}", select: /items, timeout: 500ms, required: false }
      incomplete: member`,
  "routes: respond": `routes:
  - name: maintenance
    match: { path: /shop/** }
    respond: { status: 503, retryAfter: 10m, json: { message: "We are back soon" } }`,
  "routes: rewrite": `routes:
  - name: graphql
    match: { path: /graphql }
    rewrite: { stripPrefix: /graphql, addPrefix: /rpc/graphql }
    to: users
  - name: shop
    match: { path: /shop/** }
    rewrite: { stripPrefix: /shop, response: { location: auto, cookies: { path: auto, domain: auto, secure: auto } } }
    to: users`,
  "routes: query": `routes:
  - name: search
    match: { path: /search }
    query:
      - { allow: [q, page, "filter_*"], set: { tenant: "{claims.tenant}" }, setIfAbsent: { page: "1" } }
      - { when: consumer.tier == "free", set: { limit: "10" } }
    to: users`,
  "routes: headers": `routes:
  - name: tenants
    match: { path: "/tenants/{tenant}/**" }
    headers:
      request: { set: { x-tenant: "{path.tenant}" }, setIfAbsent: { x-key: "{header.authorization ?? header.apikey}" }, remove: [x-internal-*] }
      response:
        - { set: { cache-control: no-store }, remove: [server] }
        - { when: 'response.status == 200 && !("etag" in response.header)', set: { cache-control: "max-age=60" } }
    to: users`,
  "routes: deprecation": `routes:
  - name: orders-v1
    match: { path: /v1/orders/** }
    deprecation: { since: "2026-03-01", sunset: "2026-12-31", link: "https://developer.example.com/orders-v2" }
    to: orders`,
  "routes: compress": `routes:
  - name: catalog
    match: { path: /catalog/** }
    compress: { encodings: [br, gzip], minBytes: 2KiB, types: [text/*, application/json] }
    to: users`,
  defaults: `defaults:
  auth: staff
  timeouts: { attempt: 10s }
  headers: { request: { remove: [x-internal-*] } }`,
  policySets: `policySets:
  partner:
    auth: partner-keys
    rateLimit: [{ name: partner, per: consumer, rate: 50/s }]
    headers: { request: { set: { x-caller: "{consumer.id}" } } }
  browser: { cors: { origins: ["https://app.example.com"] } }
routes:
  - { name: orders, match: { path: /orders/** }, use: [partner, browser], to: orders }`,
};
