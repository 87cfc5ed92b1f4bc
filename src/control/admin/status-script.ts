// Owns the browser's side of the status page, as text: it is not part of the program and may use only what /status sends.
// Inline style attributes are forbidden by the page's policy: set element.style in script instead.

export const STATUS_SCRIPT = `
"use strict";
const REFRESH_MS = 2000;
const byId = (id) => document.getElementById(id);
let token = sessionStorage.getItem("sluice-token") || "";
let previous = null;
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

function table(heads, rows, empty) {
  if (rows.length === 0) return el("div.card", el("div.empty", empty));
  const cell = (tag, content, numeric) => el(tag + (numeric ? ".num" : ""), content);
  const head = el("tr", ...heads.map((h) => cell("th", h.replace("#", ""), h.startsWith("#"))));
  return el("div.card", el("table", head, ...rows.map((row) => el("tr", ...row.map((c, i) => cell("td", c, heads[i].startsWith("#")))))));
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

function draw(now) {
  const seconds = previous ? (now.atMs - previous.atMs) / 1000 : 0;
  const before = new Map((previous ? previous.routes : []).map((r) => [r.name, r]));
  const { instance } = now;
  const routes = now.routes.map((r) => {
    const old = before.get(r.name);
    const counts = since(r.byClass, old && old.byClass);
    return { ...r, counts, window: since(r.buckets, old && old.buckets), perSecond: seconds > 0 ? sum(counts) / seconds : 0, failing: (counts[5] || 0) + (counts[0] || 0) };
  });
  const serving = instance.phase === "serving";
  byId("phase").textContent = instance.phase;
  byId("phase").className = "pill " + (!serving ? "bad" : instance.concerns.length > 0 ? "warn" : "ok");
  byId("about").textContent = "version " + instance.release + " · pid " + instance.pid + " · up " + span(Date.now() - instance.startedAtMs) + " · plan " + instance.planVersion;
  document.title = "Sluice · " + instance.phase;
  const allWindow = now.latencyBoundsMs.map((_, i) => sum(routes.map((r) => r.window[i] || 0))).concat(sum(routes.map((r) => r.window[now.latencyBoundsMs.length] || 0)));
  const tile = (label, value) => el("div.tile", el("b", value), el("span.dim", label));
  const total = (key) => sum(now.workers.map((w) => w[key]));
  const perSecond = sum(routes.map((r) => r.perSecond));
  byId("main").replaceChildren(
    el("div.tiles",
      tile("requests/s", rate(perSecond)), tile("in flight", num(total("inFlight"))),
      tile("median", latency(quantile(0.5, allWindow, now.latencyBoundsMs))), tile("99th percentile", latency(quantile(0.99, allWindow, now.latencyBoundsMs))),
      tile("connections", num(total("connections"))), tile("WebSockets", num(total("webSockets"))), tile("memory", bytes(now.residentBytes)),
      tile("reloads ok/failed", num(instance.reloads.ok) + " / " + num(instance.reloads.failed))),
    el("h2", "Routes"),
    table(["Route", "Match", "To", "#Requests/s", "#p50", "#p99", "#5xx + cut", "#Total"], routes.map((r) => [
      r.name === "_none" ? el("span.dim", "no route") : r.name === "_other" ? el("span.dim", "other routes") : r.name,
      el("span.mono", r.match), r.to ? r.to.map((t) => t.upstream).join(", ") : el("span.dim", "–"),
      rate(r.perSecond), latency(quantile(0.5, r.window, now.latencyBoundsMs)), latency(quantile(0.99, r.window, now.latencyBoundsMs)),
      alarm(r.failing, seconds > 0 && sum(r.counts) > 0 ? num(100 * r.failing / sum(r.counts), 1) + " %" : "–"), num(sum(r.byClass)),
    ]), "No routes yet."),
    el("h2", "Upstreams"),
    table(["Upstream", "Target", "Health", "#In flight", "#Attempts", "#Retries", "#5xx", "#Failures", "#First byte"], now.upstreams.flatMap((u) => u.targets.length === 0
      ? [[u.name, el("span.red", "no target resolved"), "", "", "", "", "", "", ""]]
      : u.targets.map((t, i) => [
        i === 0 ? el("span", u.name, el("span.dim", "  " + u.balance)) : "", el("span.mono", t.key), dot(t.healthy ? "ok" : "bad", t.healthy ? "healthy" : t.reason),
        num(t.inFlight), num(t.attempts), num(t.retries), alarm(t.serverErrors, num(t.serverErrors)), failures(t.failures),
        t.firstByteCount > 0 ? latency(t.firstByteSumMs / t.firstByteCount) : "–",
      ])), "No upstreams."),
    el("h2", "Workers"),
    table(["Worker", "State", "Event loop", "#In flight", "#Connections", "#Pool", "#Queued", "#Last beat", "#Restarts", "#Log dropped"], now.workers.map((w) => [
      String(w.index), dot(w.state === "serving" ? "ok" : w.state === "failed" ? "bad" : "warn", w.state), bar(w.loopUtilisation), num(w.inFlight), num(w.connections),
      num(w.poolConnections), num(w.poolQueued), latency(w.beatAgeMs), alarm(w.restarts, num(w.restarts)), alarm(w.logDropped, num(w.logDropped)),
    ]), "No workers yet."),
    el("h2", "Errors"),
    table(["Code", "#Count"], now.errors.sort((a, b) => b.count - a.count).map((e) => [el("span.mono", e.code), num(e.count)]), "None so far."),
    el("h2", "Listeners"),
    table(["Address", "Engine"], instance.listeners.map((l) => [el("span.mono", l.url), l.engine]), "Not listening yet."),
  );
  if (note && Date.now() < note.until) notice(note.text, note.good);
  else notice(instance.concerns.join("; "));
  previous = now;
}
function failures(byCode) {
  const count = sum(Object.values(byCode));
  const node = el(count > 0 ? "span.red" : "span", num(count));
  node.title = Object.entries(byCode).map(([code, n]) => code + ": " + n).join("\\n");
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
    notice("The admin listener does not answer.");
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
byId("reload").addEventListener("click", async () => {
  const answer = await call("reload", "POST").catch(() => null);
  if (answer === null) return notice("The admin listener does not answer.");
  const body = await answer.json();
  const text = answer.ok
    ? ["Plan " + body.version + " is in force.", ...(body.changes || []), ...(body.warnings || [])].join("\\n")
    : [body.title + ". " + body.remedy, ...(body.problems || []).map((p) => [p.at ? p.at.file + ":" + p.at.line + ":" + p.at.column + ": " : "", p.message].join(""))].join("\\n");
  note = { text, good: answer.ok, until: Date.now() + (answer.ok ? 8000 : 60000) };
  notice(note.text, note.good);
});
refresh();
`;
