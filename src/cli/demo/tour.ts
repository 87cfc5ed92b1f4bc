// Owns the demo's tour: the command lines to try and what each shows. A test runs every one and checks `expect`.
// Must never print anything.

/** One thing to try. */
export interface Stop {
  /** The capability it shows. */
  readonly title: string;
  readonly command: string;
  /** What to look for, for people. */
  readonly look: string;
  /** The same for the test: matches the command's standard output. */
  readonly expect: RegExp;
}

/** Stops under one heading. */
export interface Leg {
  readonly heading: string;
  readonly stops: readonly Stop[];
}

/**
 * @param gateway URL of the listener, without a slash at the end
 * @param admin URL of the admin listener
 * @param accessLog path of the access log
 */
export function tour(gateway: string, admin: string, accessLog: string): readonly Leg[] {
  return [
    { heading: "Routing", stops: routing(gateway) },
    { heading: "Answers the gateway makes itself", stops: ownAnswers(gateway) },
    { heading: "Who is calling, and how often", stops: callers(gateway) },
    { heading: "Strictness", stops: strictness(gateway) },
    { heading: "Upstreams", stops: upstreams(gateway) },
    { heading: "Streams and bodies", stops: streams(gateway) },
    { heading: "Operations", stops: operations(gateway, admin, accessLog) },
  ];
}

function routing(g: string): readonly Stop[] {
  return [
    {
      title: "a path parameter, rewritten for the service",
      command: `curl -s ${g}/users/7`,
      look: "the service was asked for /v1/users/7",
      expect: /"id":7,.*"apiVersion":1/,
    },
    {
      title: "the same path by header: version 2",
      command: `curl -s -H 'X-Api-Version: 2' ${g}/users/7`,
      look: '"apiVersion":2',
      expect: /"apiVersion":2/,
    },
    {
      title: "by host",
      command: `curl -s -H 'Host: status.example.com' ${g}/`,
      look: "another site on the same listener",
      expect: /All systems go/,
    },
    {
      title: "by type of client",
      command: `curl -s -A 'Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Mobile/15E148' ${g}/home`,
      look: "the page for phones; without -A the one for desktops",
      expect: /phone/,
    },
    {
      title: "what the service sees",
      command: `curl -s -H 'X-Forwarded-For: 6.6.6.6' -H 'X-Internal-Role: admin' ${g}/echo/hello?q=1`,
      look: "X-Forwarded-*, Forwarded, Via and a request id set by the gateway; the forged headers are gone",
      expect:
        /^(?!.*6\.6\.6\.6)(?!.*x-internal-role)(?=.*"x-forwarded-for":"127\.0\.0\.1")(?=.*"x-request-id":")(?=.*"via":").*"path":"\/echo\/hello\?q=1"/s,
    },
  ];
}

function ownAnswers(g: string): readonly Stop[] {
  return [
    {
      title: "no such route",
      command: `curl -si ${g}/nowhere`,
      look: "404 as application/problem+json (RFC 9457)",
      expect: /404[\s\S]*problem\+json[\s\S]*"code":"route_not_found"/i,
    },
    {
      title: "wrong method",
      command: `curl -si -X DELETE ${g}/users/7`,
      look: "405, and Allow lists what would work",
      expect: /405[\s\S]*allow: [^\n]*GET[\s\S]*"code":"method_not_allowed"/i,
    },
    { title: "redirect", command: `curl -si ${g}/old/users/7`, look: "308 to /users/7", expect: /308[\s\S]*location: \/users\/7/i },
    {
      title: "maintenance page",
      command: `curl -si ${g}/shop/cart`,
      look: "503 with Retry-After, without any service",
      expect: /503[\s\S]*retry-after: 120[\s\S]*back soon/i,
    },
    {
      title: "CORS preflight",
      command: `curl -si -X OPTIONS -H 'Origin: https://app.example.com' -H 'Access-Control-Request-Method: GET' ${g}/users/7`,
      look: "204 with Access-Control-Allow-Origin, answered at the gateway",
      expect: /204[\s\S]*access-control-allow-origin: https:\/\/app\.example\.com/i,
    },
    { title: "denied by address", command: `curl -s ${g}/internal/keys`, look: '"code":"ip_denied"', expect: /"code":"ip_denied"/ },
  ];
}

function callers(g: string): readonly Stop[] {
  return [
    {
      title: "a key is needed",
      command: `curl -si ${g}/account/orders`,
      look: "401, and WWW-Authenticate says what would do",
      expect: /401[\s\S]*www-authenticate: ApiKey[\s\S]*"code":"credentials_missing"/i,
    },
    {
      title: "with the key, the service learns who is calling",
      command: `curl -s -H 'X-Api-Key: demo-key-of-acme-0123456789' -H 'X-Consumer-Id: root' ${g}/account/orders`,
      look: '"x-consumer-id":"acme"; neither the key nor the forged id gets there',
      expect: /^(?!.*demo-key)(?!.*root)(?=.*"x-consumer-id":"acme").*"x-consumer-roles":"partner"/s,
    },
    {
      title: "a rate limit: three at once, then one every ten seconds",
      command: `curl -si '${g}/limited?n=[1-4]' | grep -iE '^(HTTP|RateLimit|Retry-After)'`,
      look: "three times 200 with RateLimit counting down, then 429 and when to come back",
      expect: /(200[\s\S]*ratelimit: "ip";r=\d[\s\S]*){3}429[\s\S]*retry-after: \d/i,
    },
  ];
}

function strictness(g: string): readonly Stop[] {
  return [
    {
      title: "paths are normalised before they are matched, and forwarded so",
      command: `curl -s --path-as-is ${g}/users/../echo/./%68i`,
      look: "the service got /echo/hi",
      expect: /"path":"\/echo\/hi"/,
    },
    {
      title: "a hidden slash is refused",
      command: `curl -s --path-as-is ${g}/echo/..%2f..%2fetc/passwd`,
      look: '"code":"bad_path"',
      expect: /"code":"bad_path"/,
    },
    {
      title: "request smuggling is refused",
      command: `curl -si --max-time 3 -H 'Transfer-Encoding: chunked' -H 'Content-Length: 3' -d abc ${g}/echo`,
      look: "400, and the connection is closed",
      expect: /^HTTP\/1\.1 400/,
    },
    {
      title: "body too large",
      command: `head -c 100000 /dev/zero | curl -s -H 'Expect:' --data-binary @- ${g}/upload/small`,
      look: '"code":"body_too_large" on a route with a limit of 64KiB',
      expect: /"code":"body_too_large"/,
    },
  ];
}

function upstreams(g: string): readonly Stop[] {
  return [
    {
      title: "load balancing",
      command: `curl -s '${g}/users/[1-6]' | grep -o 'users-[ab]' | sort | uniq -c`,
      look: "users-a and users-b share the work",
      expect: /3 users-a\s+3 users-b/,
    },
    {
      title: "kill one of the two",
      command: `curl -s -X POST ${g}/demo/users-b/stop`,
      look: "users-b refuses connections from now on",
      expect: /"running":false/,
    },
    {
      title: "nobody notices: connects are tried again elsewhere, then the target is ejected",
      command: `curl -s -w '%{http_code}\\n' '${g}/users/[1-30]' | grep -c '^200$'`,
      look: "30 of 30 answers are 200",
      expect: /^30$/m,
    },
    {
      title: "bring it back",
      command: `curl -s -X POST ${g}/demo/users-b/start`,
      look: "it gets traffic again after its ejection of 5 s",
      expect: /"running":true/,
    },
    {
      title: "timeout",
      command: `curl -si ${g}/slow`,
      look: "504 after half a second: the service would take three",
      expect: /504[\s\S]*"code":"response_timeout"/,
    },
    {
      title: "circuit breaker: a service that only fails is left alone",
      command: `curl -s -o /dev/null -w '%{http_code}\\n' '${g}/fail?n=[1-20]' | sort | uniq -c`,
      look: "500 from the service until the breaker opens after five, then 503 at once; 5 s later it is tried again",
      expect: /\d 500\s+1\d 503/,
    },
    {
      title: "canary: 10% of the traffic to a new version",
      command: `curl -s '${g}/checkout?n=[1-200]' | sort | uniq -c`,
      look: "about 20 canary, 180 stable",
      expect: /\d+ canary\s+\d+ stable/,
    },
  ];
}

function streams(g: string): readonly Stop[] {
  return [
    {
      title: "server-sent events, unbuffered",
      command: `curl -sN ${g}/events`,
      look: "five events, one every 200 ms",
      expect: /tick 1 of 5[\s\S]*tick 5 of 5/,
    },
    {
      title: "WebSocket",
      command: `curl -siN --max-time 2 -H 'Connection: Upgrade' -H 'Upgrade: websocket' -H 'Sec-WebSocket-Version: 13' -H 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==' ${g}/ws`,
      look: "101, and the service's greeting; curl waits two seconds for more",
      expect: /101[\s\S]*hello from the echo service/,
    },
    {
      title: "compression",
      command: `curl -s -D - -o /dev/null -w '%{size_download} bytes\\n' -H 'Accept-Encoding: gzip' ${g}/catalog`,
      look: "Content-Encoding: gzip, a fraction of the 16 KB",
      expect: /content-encoding: gzip[\s\S]*\n\d{4} bytes/i,
    },
    {
      title: "responses from memory",
      command: `for i in 1 2; do curl -s -D - -o /dev/null ${g}/cached/catalog; done | grep -i '^cache-status'`,
      look: "the service is asked once, then the gateway's store answers",
      expect: /fwd=uri-miss[\s\S]*; hit/,
    },
    {
      title: "a large download",
      command: `curl -s -o /dev/null -w '%{size_download} bytes\\n' ${g}/big`,
      look: "64 MiB, streamed in constant memory",
      expect: /^67108864 bytes/,
    },
    {
      title: "an upload of unknown length",
      command: `head -c 20000000 /dev/zero | curl -s -T - ${g}/upload/large`,
      look: "20000000 bytes received by the service",
      expect: /"received":20000000/,
    },
  ];
}

function operations(g: string, admin: string, accessLog: string): readonly Stop[] {
  return [
    {
      title: "one id from client to service and log",
      command: `curl -s -o /dev/null -H 'X-Request-Id: demo-42' ${g}/users/1; sleep 0.5; grep demo-42 ${accessLog}`,
      look: "the access log's line: route, target, status, timings",
      expect: /"demo-42"/,
    },
    { title: "ready?", command: `curl -s ${admin}/readyz`, look: "200 while it serves, 503 while it drains", expect: /ready/i },
    { title: "targets", command: `curl -s ${admin}/upstreams`, look: "health of every target", expect: /"users"/ },
    {
      title: "metrics",
      command: `curl -s ${admin}/metrics | grep '^sluice_requests_total' | head -5`,
      look: "Prometheus text format",
      expect: /sluice_requests_total\{/,
    },
    {
      title: "what is stored, and its purge",
      command: `curl -s -G -X POST --data-urlencode 'prefix=${g}/cached/' '${admin}/cache/purge'`,
      look: "how many responses were removed; `sluice cache show` says what is there",
      expect: /"removed": [1-9]/,
    },
    {
      title: "reload without losing a request",
      command: `curl -s -X POST ${admin}/reload`,
      look: "a new version; saving the configuration file or SIGHUP does the same",
      expect: /"version":\s*\d+/,
    },
  ];
}
