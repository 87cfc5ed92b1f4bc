// Owns the status page: one self-contained document that fetches /status and draws it. Must load nothing from elsewhere and
// must build the page with textContent only: names and addresses are data, never markup.
import { createHash } from "node:crypto";
import { STATUS_SCRIPT } from "./status-script.ts";

const STYLE = `
:root { color-scheme: light dark; --bg: #f6f7f9; --card: #fff; --ink: #16202c; --dim: #66717f; --line: #e3e7ec; --ok: #1a8f4c; --warn: #b7791f; --bad: #c93434; --accent: #2368c4; --fill: #dbe8f8; }
@media (prefers-color-scheme: dark) { :root { --bg: #10151b; --card: #18202a; --ink: #e5ebf2; --dim: #8b98a8; --line: #2a3542; --ok: #3fbf76; --warn: #dba63f; --bad: #ef6a6a; --accent: #6aa8f5; --fill: #22364e; } }
* { box-sizing: border-box; margin: 0; }
body { background: var(--bg); color: var(--ink); font: 14px/1.45 system-ui, sans-serif; padding: 24px clamp(12px, 4vw, 48px) 48px; }
header { display: flex; flex-wrap: wrap; align-items: baseline; gap: 4px 14px; margin-bottom: 18px; }
h1 { font-size: 22px; letter-spacing: -.01em; }
h2 { font-size: 12px; text-transform: uppercase; letter-spacing: .07em; color: var(--dim); margin: 26px 0 8px; }
.dim { color: var(--dim); }
.pill { display: inline-block; padding: 1px 9px; border-radius: 99px; font-size: 12px; font-weight: 600; color: var(--card); background: var(--dim); }
.ok { background: var(--ok); } .warn { background: var(--warn); } .bad { background: var(--bad); }
.tiles { display: grid; grid-template-columns: repeat(auto-fill, minmax(108px, 1fr)); gap: 10px; }
.tile, .card { background: var(--card); border: 1px solid var(--line); border-radius: 10px; }
.tile { padding: 11px 14px; } .tile b { display: block; font-size: 21px; white-space: nowrap; font-weight: 600; font-variant-numeric: tabular-nums; }
.card { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; }
th, td { padding: 7px 12px; text-align: left; white-space: nowrap; border-top: 1px solid var(--line); }
tr:first-child > th { border-top: 0; font-size: 12px; font-weight: 500; color: var(--dim); }
.num { text-align: right; font-variant-numeric: tabular-nums; }
.mono { font: 12.5px/1.4 ui-monospace, monospace; }
.dot { display: inline-block; width: 9px; height: 9px; border-radius: 50%; margin-right: 7px; }
.bar { display: inline-block; vertical-align: middle; width: 70px; height: 7px; border-radius: 4px; background: var(--fill); margin-right: 8px; overflow: hidden; }
.bar i { display: block; height: 100%; background: var(--accent); }
tr.idle > td { color: var(--dim); } .remark { margin-left: 8px; text-transform: none; letter-spacing: 0; font-weight: 400; }
.why { margin-left: 6px; font-size: 12px; }
.alarms { padding: 8px 14px; margin-bottom: 10px; border-color: var(--warn); } .alarms div { padding: 3px 0; overflow-wrap: anywhere; }
.wide { grid-column: span 2; position: relative; } .tile svg { position: absolute; right: 14px; bottom: 12px; width: 55%; height: 36px; } .tile polyline { fill: none; stroke: var(--accent); stroke-width: 1.5; vector-effect: non-scaling-stroke; }
.stale { opacity: .45; }
.red { color: var(--bad); } .empty { padding: 14px; color: var(--dim); }
#notice { display: none; white-space: pre-line; margin-bottom: 14px; padding: 10px 14px; border-radius: 10px; border: 1px solid var(--bad); color: var(--bad); background: var(--card); }
#notice.shown { display: block; } #notice.good { color: var(--ok); border-color: var(--ok); }
form { display: none; gap: 8px; } form.shown { display: flex; }
input, button { font: inherit; padding: 5px 12px; border-radius: 7px; border: 1px solid var(--line); background: var(--card); color: var(--ink); }
button { cursor: pointer; } button:hover { border-color: var(--accent); }
nav { margin-left: auto; display: flex; flex-wrap: wrap; gap: 12px; align-items: baseline; } a { color: var(--accent); text-decoration: none; }
`;

export const STATUS_PAGE = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Sluice</title>
<style>${STYLE}</style>
</head>
<body>
<header>
  <h1>Sluice</h1><span id="phase" class="pill">…</span><span id="about" class="dim"></span>
  <nav><a href="metrics">metrics</a><a href="config">config</a><a href="routes">routes</a><button id="reload" type="button">Reload configuration</button></nav>
</header>
<div id="notice" role="status"></div>
<form id="login"><input id="token" type="password" placeholder="admin token" aria-label="admin token" autocomplete="current-password"><button>Show</button></form>
<main id="main"></main>
<noscript>This page needs JavaScript; /status, /metrics and /routes do not.</noscript>
<script>${STATUS_SCRIPT}</script>
</body>
</html>
`;

const hash = (text: string): string => `'sha256-${createHash("sha256").update(text).digest("base64")}'`;

let policy = "";

/**
 * Only this style and this script, and fetches to this listener; no framing, so that the reload button cannot be clickjacked. Made when first
 * asked for: node:crypto takes ms to load.
 */
export const statusPagePolicy = (): string =>
  (policy ||= `default-src 'none'; style-src ${hash(STYLE)}; script-src ${hash(STATUS_SCRIPT)}; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`);
