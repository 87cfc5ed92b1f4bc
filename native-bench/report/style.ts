// Owns the look of the HTML report: one style sheet, light and dark by the reader's system, nothing from elsewhere.

export const STYLE = `
:root { color-scheme: light dark;
  --page: light-dark(#f6f6f3, #141413); --card: light-dark(#ffffff, #1d1d1b); --ink: light-dark(#141413, #f3f2ee); --quiet: light-dark(#5c5b57, #a9a8a0);
  --rule: light-dark(#e3e2dd, #33322f); --grid: light-dark(#dddcd6, #3a3936); --ours: light-dark(#2a78d6, #4c9af0); --peer: light-dark(#a5a49c, #75746d);
  --good: light-dark(#0b6b0b, #4fc24f); --bad: light-dark(#b3261e, #ff8078); --code: light-dark(#f1f0ec, #262523); }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 2.5rem 1.25rem 4rem; max-width: 66rem; background: var(--page); color: var(--ink); font: 15px/1.55 system-ui, sans-serif; }
h1 { margin: 0; font-size: 2rem; letter-spacing: -0.02em; } h2 { margin: 0 0 .6rem; font-size: 1.2rem; letter-spacing: -0.01em; }
h3 { margin: 1.1rem 0 .4rem; font-size: .8rem; font-weight: 600; color: var(--quiet); } h4 { margin: 1rem 0 .3rem; }
a { color: inherit; text-decoration-color: var(--peer); text-underline-offset: 3px; }
p { margin: 0 0 .7rem; max-width: 75ch; } .lead { font-size: 1.1rem; color: var(--quiet); } .quiet { color: var(--quiet); font-size: .9rem; }
section { margin-top: 1.25rem; padding: 1.25rem 1.4rem; background: var(--card); border: 1px solid var(--rule); border-radius: 10px; }
.facts { display: grid; grid-template-columns: repeat(auto-fit, minmax(12rem, auto)); gap: .7rem 2rem; margin: 1rem 0 0; }
.facts dt { color: var(--quiet); font-size: .8rem; } .facts dd { margin: 0; font-variant-numeric: tabular-nums; }
.legend { display: flex; flex-wrap: wrap; gap: .3rem 1.4rem; color: var(--quiet); font-size: .85rem; margin-bottom: .9rem; max-width: none; }
.legend .key { display: inline-block; width: .75rem; height: .75rem; border-radius: 50%; margin-right: .45rem; vertical-align: -1px; background: var(--peer); }
.legend .ours .key { background: var(--ours); } .legend .floor .key { background: transparent; border: 2px solid var(--peer); }
.bar { display: grid; grid-template-columns: 11rem 1fr 9.5rem; gap: 0 1rem; align-items: center; min-height: 28px; }
.bar.overview { grid-template-columns: 17rem 1fr 3.5rem; }
.bar .name { overflow-wrap: anywhere; line-height: 1.25; } .bar.ours .name { font-weight: 650; }
.bar .value { font-variant-numeric: tabular-nums; white-space: nowrap; color: var(--quiet); } .bar .value b { color: var(--ink); font-weight: 650; }
.bar .value i { font-style: normal; float: right; }
.bar svg { display: block; overflow: visible; } .bar svg text { fill: var(--quiet); font-size: 12px; }
.fill { fill: var(--peer); } .ours .fill { fill: var(--ours); } .floor .fill { fill: transparent; stroke: var(--peer); stroke-width: 1.5; stroke-dasharray: 4 3; }
.whisker { stroke: var(--ink); stroke-width: 1.5; opacity: .7; } .grid { stroke: var(--grid); } .one { stroke: var(--quiet); stroke-width: 1.5; }
.dot { fill: var(--peer); stroke: var(--card); stroke-width: 2; } .dot.ours { fill: var(--ours); } .dot.floor { fill: var(--card); stroke: var(--peer); }
.scroll { overflow-x: auto; margin-top: .9rem; }
table { border-collapse: collapse; width: 100%; font-size: .88rem; font-variant-numeric: tabular-nums; }
th, td { padding: .4rem .6rem; border-top: 1px solid var(--rule); text-align: right; white-space: nowrap; font-weight: 400; vertical-align: top; }
thead th { border-top: 0; color: var(--quiet); font-size: .8rem; } th:first-child, td:first-child { text-align: left; padding-left: 0; }
tr.ours th { font-weight: 650; } tr.floor th { color: var(--quiet); } .words { text-align: left; white-space: normal; }
.aims td, .aims th { text-align: left; white-space: normal; } .aims td:nth-child(3) { min-width: 11rem; }
.verdict { white-space: nowrap !important; font-weight: 650; } .verdict.met { color: var(--good); } .verdict.missed { color: var(--bad); } .verdict.open { color: var(--quiet); }
td.bad { color: var(--bad); font-weight: 650; }
details { margin-top: 1rem; } summary { cursor: pointer; color: var(--quiet); font-size: .9rem; }
pre, code { font: 12.5px/1.5 ui-monospace, monospace; background: var(--code); border-radius: 6px; } pre { padding: .8rem 1rem; overflow-x: auto; margin: 0; } code { padding: .1rem .35rem; }
footer { margin-top: 2rem; color: var(--quiet); font-size: .9rem; }
@media (max-width: 44rem) { .bar { grid-template-columns: 1fr 9rem; } .bar.overview { grid-template-columns: 1fr 3.5rem; } .bar .name { grid-column: 1 / -1; padding-top: .35rem; } section { padding: 1rem; } }
`;
