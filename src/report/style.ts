/** The report's style. It follows the reader's light or dark setting, and nothing in it is fetched. */
export const STYLE: string = `
:root {
  color-scheme: light dark;
  --back: #f6f8fb; --card: #ffffff; --text: #1c2430; --dim: #647184; --line: #e0e6ee; --link: #1d5fd1;
}
@media (prefers-color-scheme: dark) {
  :root { --back: #0d1219; --card: #151c27; --text: #e4e9f1; --dim: #8e9bad; --line: #263142; --link: #7db0ff; }
}
* { box-sizing: border-box; }
body {
  margin: 0 auto; padding: 20px 16px 48px; max-width: 1180px; background: var(--back); color: var(--text);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; overflow-wrap: anywhere;
}
h1 { margin: 0; font-size: 22px; } h2 { margin: 28px 0 10px; font-size: 17px; } h3 { margin: 0 0 6px; font-size: 15px; }
h3 small { color: var(--dim); font-weight: normal; }
p { margin: 4px 0; } ul { margin: 0; padding: 0; list-style: none; }
.dim, #span, footer { color: var(--dim); } footer { margin-top: 36px; font-size: 13px; }
@media (max-width: 560px) { table { font-size: 13px; } th, td { padding: 7px 5px !important; } thead th { font-size: 11px !important; }
  tr > :nth-child(6) { display: none; } #filters input { flex: 1 1 150px; } }
#notes { margin: 14px 0; padding: 10px 14px; border-left: 4px solid #f59e0b; background: var(--card); border-radius: 6px; }
#totals { display: grid; grid-template-columns: repeat(auto-fit, minmax(112px, 1fr)); gap: 10px; margin: 16px 0; }
.tile, .card, #timeline, #events, .wide { background: var(--card); border: 1px solid var(--line); border-radius: 10px; }
.tile { padding: 10px 12px; } .tile b { display: block; font-size: 21px; line-height: 1.25; font-variant-numeric: tabular-nums; }
.tile span { color: var(--dim); font-size: 13px; }
#filters { display: flex; flex-wrap: wrap; gap: 8px; align-items: center; margin: 0 0 10px; }
#filters input, #filters select {
  font: inherit; padding: 6px 10px; border: 1px solid var(--line); border-radius: 8px; background: var(--card);
  color: var(--text); min-width: 0;
}
#filters input { flex: 0 1 230px; }
#chips { display: flex; flex-wrap: wrap; gap: 6px; }
button { font: inherit; color: inherit; cursor: pointer; }
.chip { padding: 4px 10px; border: 1px solid var(--line); border-radius: 99px; background: var(--card); font-size: 13px; }
.chip::before { content: ""; display: inline-block; width: 10px; height: 10px; margin-right: 6px; border-radius: 3px; background: var(--kind); }
.chip[aria-pressed="false"] { opacity: .45; text-decoration: line-through; }
.more, #clear { padding: 6px 12px; border: 1px solid var(--line); border-radius: 8px; background: var(--card); }
.more { margin: 10px 0 0; }
.link { padding: 0; border: 0; background: none; color: var(--link); text-align: left; }
#timeline { padding: 8px 4px 0; } #chart { width: 100%; touch-action: pan-y; }
#nothing { padding: 12px 16px; }
.wide { overflow-x: auto; }
table { width: 100%; border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: 7px 12px; border-bottom: 1px solid var(--line); text-align: right; font-weight: normal; white-space: nowrap; overflow-wrap: normal; }
th:first-child { text-align: left; } thead th { color: var(--dim); font-size: 13px; } tbody tr:last-child > * { border-bottom: 0; }
.zero { color: var(--dim); opacity: .5; }
#doors { display: grid; grid-template-columns: repeat(auto-fill, minmax(290px, 1fr)); gap: 10px; }
.card { padding: 12px 14px; } .card li { padding: 3px 0; }
#events { padding: 6px 0; font-size: 14px; }
#events li { display: flex; gap: 4px 12px; flex-wrap: wrap; padding: 4px 14px; border-left: 4px solid var(--kind); margin: 2px 0 2px 8px; }
#events time { color: var(--dim); font-variant-numeric: tabular-nums; } #events b { font-weight: 600; min-width: 8.5em; }
.kind0 { --kind: #3b82f6; } .kind1 { --kind: #f59e0b; } .kind2 { --kind: #c026d3; } .kind3 { --kind: #8b95a5; }
.kind4 { --kind: #ef4444; } .kind5 { --kind: #b4540a; } .kind6 { --kind: #0d9488; } .kind7 { --kind: #7c3aed; }
.kind8 { --kind: #16a34a; } .kind9 { --kind: #dc2626; } .kind10 { --kind: #94a3b8; }
[hidden] { display: none !important; }
`;
