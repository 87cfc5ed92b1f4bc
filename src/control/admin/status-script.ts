// Owns the browser's side of the status page, as text: it is not part of the program and may use only what /status sends.
// Inline style attributes are forbidden by the page's policy: set element.style in script instead.

export const STATUS_SCRIPT = `
"use strict";
const REFRESH_MS = 2000;
/** Rates, quantiles and shares are of this time: long enough to be steady, short enough to show an incident while it lasts. */
const WINDOW_MS = 30000;
/** Points of the trend line: some three minutes. */
const TREND_MAX = 90;
/** Requests in the window below which a failing route is no alarm. */
const ALARM_REQUESTS_MIN = 5;
const ALARM_SHARE_MIN = 0.05;
const byId = (id) => document.getElementById(id);
let token = sessionStorage.getItem("sluice-token") || "";
/** Answers of /status within the window, oldest first; at most WINDOW_MS / REFRESH_MS, and the one that is drawn. */
let history = [];
/** Requests per second between two refreshes. */
let trend = [];
let timer = 0;
/** Result of the reload button, shown for a while: { text, good, until }. */
let note = null;

/** el("td.num", child, ...): strings become text nodes. */
function el(spec, ...children) {
  const [tag, ...classes] = spec.split(".");
  const node = document.createElement(tag);
  if (classes.length > 0) node.className = classes.join(" ");
  node.append(...children);
  return node;
}
const num = (value, digits = 0) => Number.isFinite(value) ? value.toLocaleString("en", { maximumFractionDigits: digits, minimumFractionDigits: digits }) : "–";
const bytes = (value) => value > 1e9 ? num(value / 1e9, 2) + " GB" : num(value / 1e6, 0) + " MB";
const kilobytes = (value) => value < 1e6 ? num(value / 1e3, 0) + " KB" : bytes(value);
const storedOf = (cache, route) => {
  const own = cache.routes.find((each) => each.route === route);
  return own ? kilobytes(own.bytes) + (own.limitBytes === null ? "" : " of " + kilobytes(own.limitBytes)) : "–";
};
const rate = (value) => num(value, value > 0 && value < 100 ? 1 : 0);
function span(ms) {
  const s = Math.floor(ms / 1000);
  if (s < 60) return s + " s";
  if (s < 3600) return Math.floor(s / 60) + " min " + s % 60 + " s";
  return s < 86400 ? Math.floor(s / 3600) + " h " + Math.floor(s / 60) % 60 + " min" : Math.floor(s / 86400) + " d " + Math.floor(s / 3600) % 24 + " h";
}
const latency = (ms) => ms === null ? "–" : ms < 10 ? num(ms, 1) + " ms" : ms < 1000 ? num(ms) + " ms" : num(ms / 1000, 1) + " s";
const sum = (list) => list.reduce((a, b) => a + b, 0);

/** What was counted since the last refresh; counters that fell (another process) start over. */
function since(now, before) {
  if (!before || before.length !== now.length || now.some((n, i) => n < before[i])) return now.map(() => 0);
  return now.map((n, i) => n - before[i]);
}

/** Linear within the bucket, as Prometheus does; beyond the last bound that bound. */
function quantile(q, buckets, bounds) {
  const wanted = q * sum(buckets);
  if (wanted === 0) return null;
  let below = 0;
  for (let i = 0; i < bounds.length; i++) {
    if (below + buckets[i] >= wanted) {
      const low = i === 0 ? 0 : bounds[i - 1];
      return low + (bounds[i] - low) * (wanted - below) / buckets[i];
    }
    below += buckets[i];
  }
  return bounds[bounds.length - 1];
}

/** Rows are lists of cells; a row whose first cell is IDLE is drawn dim. */
const IDLE = Symbol("idle");
function table(heads, rows, empty) {
  if (rows.length === 0) return el("div.card", el("div.empty", empty));
  const cell = (tag, content, numeric) => el(tag + (numeric ? ".num" : ""), content);
  const head = el("tr", ...heads.map((h) => cell("th", h.replace("#", ""), h.startsWith("#"))));
  const line = (row) => row[0] === IDLE ? el("tr.idle", ...cells(row.slice(1))) : el("tr", ...cells(row));
  const cells = (row) => row.map((c, i) => cell("td", c, heads[i].startsWith("#")));
  return el("div.card", el("table", head, ...rows.map(line)));
}
function heading(text, remark) {
  return el("h2", text, remark ? el("span.remark", remark) : "");
}
/** A line of the last values, from 0 to the largest. */
function sparkline(values) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  node.setAttribute("viewBox", "0 0 " + (TREND_MAX - 1) + " 20");
  node.setAttribute("preserveAspectRatio", "none");
  const top = Math.max(...values, 1e-9);
  const points = values.map((value, i) => (TREND_MAX - values.length + i) + "," + (19 - 18 * value / top).toFixed(2));
  const path = document.createElementNS("http://www.w3.org/2000/svg", "polyline");
  path.setAttribute("points", points.join(" "));
  node.append(path);
  return node;
}
function dot(kind, text) {
  return el("span", el("span.dot." + kind), text);
}
function bar(fraction) {
  const fill = el("i");
  fill.style.width = Math.round(Math.min(1, fraction) * 100) + "%";
  return el("span", el("span.bar", fill), num(fraction * 100) + " %");
}
const alarm = (value, text) => value > 0 ? el("span.red", text) : text;

/** What changed within the window, per route, target and code; the oldest answer of the same process is what is compared with. */
function compare(now) {
  const oldest = history[0];
  if (oldest && (oldest.instance.startedAtMs !== now.instance.startedAtMs || oldest.atMs > now.atMs)) history = trend = [];
  history = history.filter((h) => h.atMs >= now.atMs - WINDOW_MS);
  const [before] = history;
  const last = history[history.length - 1];
  const seconds = before ? (now.atMs - before.atMs) / 1000 : 0;
  const requests = (answer) => sum(answer.routes.map((r) => sum(r.byClass)));
  if (last && now.atMs > last.atMs) trend = [...trend, Math.max(0, requests(now) - requests(last)) / (now.atMs - last.atMs) * 1000].slice(-TREND_MAX);
  history = [...history, now];
  const byName = new Map((before ? before.routes : []).map((r) => [r.name, r]));
  const routes = now.routes.map((r) => {
    const old = byName.get(r.name) || { byClass: before ? r.byClass.map(() => 0) : null, buckets: before ? r.buckets.map(() => 0) : null, cache: before ? r.cache.map(() => 0) : null };
    const counts = since(r.byClass, old.byClass);
    return { ...r, counts, requests: sum(counts), window: since(r.buckets, old.buckets), cached: since(r.cache, old.cache), failing: (counts[5] || 0) + (counts[0] || 0) };
  });
  const targetKey = (u, t) => u.name + " " + t.key;
  const oldTargets = new Map((before ? before.upstreams : []).flatMap((u) => u.targets.map((t) => [targetKey(u, t), t])));
  const numbers = (t) => [t.attempts, t.retries, t.serverErrors, t.firstByteCount, t.firstByteSumMs, sum(Object.values(t.failures))];
  const upstreams = now.upstreams.map((u) => ({ ...u, targets: u.targets.map((t) => {
    const old = oldTargets.get(targetKey(u, t));
    const [attempts, retries, serverErrors, firstByteCount, firstByteSumMs, failed] = since(numbers(t), old && numbers(old));
    return { ...t, window: { attempts, retries, serverErrors, firstByteCount, firstByteSumMs, failed } };
  }) }));
  const oldErrors = new Map((before ? before.errors : []).map((e) => [e.code, e.count]));
  const errors = now.errors.map((e) => ({ ...e, recent: before ? Math.max(0, e.count - (oldErrors.get(e.code) || 0)) : 0 }));
  errors.sort((a, b) => b.recent - a.recent || b.count - a.count);
  return { seconds, routes, upstreams, errors };
}

/** What an operator should look at first: [kind, text]. */
function attention(now, { routes, upstreams }) {
  const list = now.instance.concerns.map((text) => ["warn", text]);
  for (const text of now.instance.insecure) list.push(["warn", "open by configuration: " + text]);
  for (const u of upstreams) {
    const down = u.targets.filter((t) => !t.healthy);
    if (u.breaker && u.breaker.state !== "closed") list.push([u.breaker.state.includes("open") ? "bad" : "warn", "upstream " + u.name + ": breaker " + u.breaker.state]);
    for (const t of u.targets) if (t.healthy && t.breaker && t.breaker.state !== "closed") list.push(["warn", "upstream " + u.name + ": breaker of " + t.key + " " + t.breaker.state]);
    if (u.overload && u.overload.shedding) list.push(["bad", "upstream " + u.name + ": more to do than it can; " + u.overload.inFlight + " in flight of " + u.overload.limit + ", " + u.overload.waiting + " waiting, others are refused"]);
    if (u.targets.length === 0) list.push(["bad", "upstream " + u.name + ": no target resolved"]);
    else if (down.length > 0) {
      const all = down.length === u.targets.length;
      list.push([all ? "bad" : "warn", "upstream " + u.name + ": " + (all ? "every target is down" : down.length + " of " + u.targets.length + " targets down") + " (" + down.slice(0, 3).map((t) => t.key + " " + t.reason).join(", ") + (down.length > 3 ? ", ..." : "") + ")"]);
    }
  }
  for (const r of routes) {
    if (r.failing < ALARM_REQUESTS_MIN || r.failing / r.requests < ALARM_SHARE_MIN) continue;
    list.push(["bad", (r.name === "_none" ? "requests without a route" : "route " + r.name) + ": " + num(100 * r.failing / r.requests) + " % of " + num(r.requests) + " requests failed (5xx or cut)"]);
  }
  for (const w of now.workers) if (w.overloaded) list.push([w.refusedPart > 0 ? "bad" : "warn", "worker " + w.index + ": more to do than it can; event loop " + latency(w.loopDelayMs) + " late, " + (w.refusedPart > 0 ? num(100 * w.refusedPart) + " % of requests are refused" : "nothing is refused at present")]);
  for (const w of now.workers) if (w.state !== "serving" && now.instance.phase === "serving") list.push([w.state === "failed" ? "bad" : "warn", "worker " + w.index + " is " + w.state]);
  return list;
}

function draw(now) {
  const compared = compare(now);
  const { seconds, routes, upstreams, errors } = compared;
  const { instance } = now;
  const alarms = attention(now, compared);
  const serving = instance.phase === "serving";
  const worst = !serving || alarms.some(([kind]) => kind === "bad") ? "bad" : alarms.length > 0 ? "warn" : "ok";
  byId("phase").textContent = instance.phase + (alarms.length === 0 ? "" : alarms.length === 1 ? ", 1 alarm" : ", " + alarms.length + " alarms");
  byId("phase").className = "pill " + worst;
  byId("about").textContent = "version " + instance.release + " · pid " + instance.pid + " · up " + span(Date.now() - instance.startedAtMs) + " · plan " + instance.planVersion
    + " for " + span(Date.now() - instance.planSinceMs) + " · reloads " + num(instance.reloads.ok) + (instance.reloads.failed > 0 ? ", refused " + num(instance.reloads.failed) : "");
  document.title = (alarms.length > 0 ? "(" + alarms.length + ") " : "") + "Sluice · " + instance.phase;
  const perSecond = (count) => seconds > 0 ? rate(count / seconds) : "–";
  const allWindow = [...now.latencyBoundsMs, 0].map((_, i) => sum(routes.map((r) => r.window[i] || 0)));
  const quantiles = (buckets) => [0.5, 0.99].map((q) => latency(quantile(q, buckets, now.latencyBoundsMs)));
  const tile = (label, value, kind) => el("div.tile", el(kind ? "b." + kind : "b", value), el("span.dim", label));
  const total = (key) => sum(now.workers.map((w) => w[key]));
  const requests = sum(routes.map((r) => r.requests));
  const failing = sum(routes.map((r) => r.failing));
  const share = (part, whole) => whole > 0 ? num(100 * part / whole, part > 0 && part < whole / 10 ? 1 : 0) + " %" : "–";
  const [p50, p99] = quantiles(allWindow);
  const first = tile("requests/s", perSecond(requests));
  first.classList.add("wide");
  first.append(sparkline(trend));
  const recent = seconds > 0 ? "last " + span(seconds * 1000 + 500) : "first look";
  byId("main").className = "";
  byId("main").replaceChildren(
    ...alarms.length === 0 ? [] : [el("div.card.alarms", ...alarms.map(([kind, text]) => el("div", dot(kind, text))))],
    el("div.tiles",
      first, tile("5xx + cut", share(failing, requests), failing > 0 ? "red" : ""), tile("p50", p50), tile("p99", p99), tile("in flight", num(total("inFlight"))),
      tile("connections", num(total("connections"))), tile("WebSockets", num(total("webSockets"))), tile("memory", bytes(now.residentBytes))),
    heading("Upstreams", recent),
    table(["Upstream", "Health", "Target", "#In flight", "#Attempts/s", "#Retries", "#5xx", "#Failures", "#First byte", "#Ever"], upstreams.flatMap((u) => u.targets.length === 0
      ? [[u.name, el("span.red", "no target resolved"), "", "", "", "", "", "", "", ""]]
      : u.targets.map((t, i) => [
        i === 0 ? el("span", u.name, el("span.dim", "  " + u.balance)) : "", dot(t.healthy ? "ok" : "bad", t.healthy ? "healthy" : t.reason), el("span.mono", t.key),
        num(t.inFlight), perSecond(t.window.attempts), num(t.window.retries), alarm(t.window.serverErrors, num(t.window.serverErrors)), failures(t),
        t.window.firstByteCount > 0 ? latency(t.window.firstByteSumMs / t.window.firstByteCount) : "–", num(t.attempts),
      ])), "No upstreams."),
    heading("Routes", recent),
    table(["Route", "Match", "To", "#Requests/s", "#p50", "#p99", "#5xx + cut", "#Ever"], routes.map((r) => [
      ...r.requests === 0 ? [IDLE] : [],
      r.name === "_none" ? el("span.dim", "no route") : r.name === "_other" ? el("span.dim", "other routes") : r.name,
      el("span.mono", r.match), r.to ? r.to.map((t) => t.upstream).join(", ") : el("span.dim", "–"),
      perSecond(r.requests), ...quantiles(r.window), alarm(r.failing, share(r.failing, r.requests)), num(sum(r.byClass)),
    ]), "No routes yet."),
    ...routes.some((r) => sum(r.cache) > 0) ? [heading("Cache", num(instance.cache.objects) + " objects, " + kilobytes(instance.cache.bytes) + " of " + bytes(instance.cache.capacityBytes) + ", " + recent),
      table(["Route", "#Requests/s", "#Hit", "#Stale", "#Revalidated", "#Miss", "#Collapsed", "#Bypass", "#Redis", "#Stored", "#Ever"], routes.filter((r) => sum(r.cache) > 0).map((r) => [
        ...sum(r.cached) === 0 ? [IDLE] : [], r.name, perSecond(sum(r.cached)), ...r.cached.map((n) => share(n, sum(r.cached))), storedOf(instance.cache, r.name), num(sum(r.cache)),
      ]), "")] : [],
    heading("Errors", recent),
    table(["Code", "Meaning", "#Recent", "#Ever"], errors.map((e) => [...e.recent === 0 ? [IDLE] : [], el("span.mono", e.code), e.title, num(e.recent), num(e.count)]), "None so far."),
    heading("Workers", "now"),
    table(["Worker", "State", "Event loop", "#Late", "#Memory", "#In flight", "#Connections", "#Pool", "#Queued", "#Last beat", "#Restarts", "#Log dropped"], now.workers.map((w) => [
      w.cpu === null ? String(w.index) : w.index + " on CPU " + w.cpu, dot(w.state === "serving" ? "ok" : w.state === "failed" ? "bad" : "warn", w.state), bar(w.loopUtilisation), latency(w.loopDelayMs), bytes(w.memoryBytes), num(w.inFlight), num(w.connections),
      num(w.poolConnections), num(w.poolQueued), latency(w.beatAgeMs), alarm(w.restarts, num(w.restarts)), alarm(w.logDropped, num(w.logDropped)),
    ]), "No workers yet."),
    ...instance.fleet ? [heading("Fleet", "this is " + instance.fleet.name), table(["Redis", "State", "#Since", "#Instances", "#Last answer", "#Round", "#Buckets told", "#Overdrawn", "#Leases"], [fleetRow(instance.fleet)], ""),
      heading("Breakers of other instances", othersRemark(instance.fleet.breakers)),
      table(["Upstream", "Target", "State", "Instances"], instance.fleet.breakers.breakers.map((b) => [
        b.upstream, el("span.mono", b.target || ""), dot(b.states.open || b.states["forced open"] ? "bad" : "warn", Object.entries(b.states).map(([state, n]) => num(n) + " " + state).join(", ")),
        b.instances.map((i) => i.name).join(", "),
      ]), instance.fleet.breakers.knowledge === "unknown" ? "Not known." : "All closed."),
    ] : [],
    heading("Listeners"),
    table(["Address", "Engine"], instance.listeners.map((l) => [el("span.mono", l.url), l.engine]), "Not listening yet."),
  );
  if (note && Date.now() < note.until) notice(note.text, note.good);
  else notice("");
}
/** Reconciliation with the other instances. */
function fleetRow(f) {
  return [el("span.mono", f.redis), dot(f.connected ? "ok" : "bad", f.connected ? "reconciled" : "own share of 1/" + f.instances + ": " + f.trouble), span(Date.now() - f.sinceMs), num(f.instances),
    latency(f.syncAgeMs), latency(f.lastSyncMs), num(f.entries), alarm(f.drift >= 1 ? f.drift : 0, num(Math.max(0, f.drift))), num(f.leases)];
}
/** They inform: this instance's breakers do not go by them. */
function othersRemark(b) {
  if (b.knowledge === "unknown") return "unknown: Redis has not told";
  return num(b.instances) + " reporting" + (b.leftOut > 0 ? ", " + num(b.leftOut) + " more not shown" : "") + (b.knowledge === "stale" ? ", stale: as heard " + span(b.ageMs) + " ago" : "");
}
/** Failures in the window, and what most of this target's failures ever were. */
function failures(target) {
  const [worst] = Object.entries(target.failures).sort((a, b) => b[1] - a[1]);
  const node = el(target.window.failed > 0 ? "span.red" : "span", num(target.window.failed), worst && target.window.failed > 0 ? el("span.why", worst[0]) : "");
  node.title = Object.entries(target.failures).map(([code, n]) => code + ": " + n + " ever").join("\\n");
  return node;
}
function notice(text, good = false) {
  byId("notice").textContent = text;
  byId("notice").className = text ? good ? "shown good" : "shown" : "";
}
async function call(path, method = "GET") {
  return fetch(path, { method, headers: token ? { authorization: "Bearer " + token } : {} });
}
async function refresh() {
  try {
    const answer = await call("status");
    byId("login").classList.toggle("shown", answer.status === 401);
    if (answer.status === 401) notice(token ? "This token is not accepted." : "A token is needed to see more.");
    else if (answer.ok) draw(await answer.json());
    else notice((await answer.json()).title);
  } catch {
    byId("phase").textContent = "unreachable";
    byId("phase").className = "pill bad";
    byId("main").className = "stale";
    document.title = "(!) Sluice · unreachable";
    notice("The admin listener does not answer. What is shown below is old.");
  }
  clearTimeout(timer);
  if (!document.hidden) timer = setTimeout(refresh, REFRESH_MS);
}
document.addEventListener("visibilitychange", () => { if (!document.hidden) refresh(); });
byId("login").addEventListener("submit", (event) => {
  event.preventDefault();
  token = byId("token").value;
  sessionStorage.setItem("sluice-token", token);
  call("status").then(async (answer) => { byId("login").classList.toggle("shown", !answer.ok); if (answer.ok) draw(await answer.json()); else notice("This token is not accepted."); });
});
const problemText = (p) => (p.at ? p.at.file + ":" + p.at.line + ":" + p.at.column + ": " : "") + (p.path ? p.path + ": " : "") + p.message + (p.remedy ? "; " + p.remedy : "");
byId("reload").addEventListener("click", async () => {
  byId("reload").disabled = true;
  const answer = await call("reload", "POST").catch(() => null);
  byId("reload").disabled = false;
  if (answer === null) return notice("The admin listener does not answer.");
  const body = await answer.json();
  const text = answer.ok
    ? ["Plan " + body.version + " is in force.", ...(body.changes || []), ...(body.warnings || [])].join("\\n")
    : [body.title + ". " + body.remedy, ...(body.problems || []).map(problemText)].join("\\n");
  note = { text, good: answer.ok, until: Date.now() + (answer.ok ? 8000 : 60000) };
  notice(note.text, note.good);
});
// A link cannot carry the token: what it leads to is fetched with it and shown as text.
document.querySelector("nav").addEventListener("click", async (event) => {
  const link = event.target.closest("a");
  if (link === null || !token) return;
  event.preventDefault();
  const answer = await call(link.getAttribute("href")).catch(() => null);
  if (answer === null) return notice("The admin listener does not answer.");
  location.assign(URL.createObjectURL(new Blob([await answer.text()], { type: "text/plain" })));
});
refresh();
`;
