import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { escapeHtml, scriptJson } from '../text/html.ts';
import type { ReportData } from './data.ts';
import { startReport } from './page.ts';
import { cardDrawer } from './page-cards.ts';
import { chartDrawer } from './page-chart.ts';
import { listDrawer } from './page-lists.ts';
import { shapeDrawer } from './page-shapes.ts';
import { textTools } from './page-text.ts';
import { STYLE } from './style.ts';

/**
 * The report as one file that fetches nothing: library, program, style and data are inside, and its own policy
 * lets a browser run these two scripts and no other. Text from the network stands only in the data, as JSON.
 */
export function reportHtml(data: ReportData, library: string): string {
  const program = `(${startReport})(document, window, echarts, {\ntext: ${textTools},\nchart: (tools) => (${chartDrawer})(tools, (${shapeDrawer})(tools)),\nlists: (tools) => (${listDrawer})(tools, (${cardDrawer})(tools)),\n});`;
  const policy = [
    "default-src 'none'",
    `script-src ${sourceOf(library)} ${sourceOf(program)}`,
    `style-src ${sourceOf(STYLE)}`,
    'img-src data:',
    "base-uri 'none'",
    "form-action 'none'",
  ].join('; ');
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<title>${escapeHtml(data.title)} – nfknock replay</title>
<link rel="icon" href="data:,">
<style>${STYLE}</style>
</head>
<body>
<h1>${escapeHtml(data.title)}</h1>
<div id="span"></div>
<div id="notes" hidden></div>
<div id="totals"></div>
<h2>What happened</h2>
<div id="filters">
<input id="source" type="search" placeholder="source, or a part of it" aria-label="source" autocomplete="off" spellcheck="false">
<button id="clear" type="button" hidden>show all</button>
<select id="door" aria-label="door"></select>
<div id="chips"></div>
</div>
<div id="timeline">
<div id="nothing" class="dim" hidden>Nothing that the filters let through.</div>
<div id="chart" role="img" aria-label="timeline with a lane for each source; the events below say the same"></div>
</div>
<button id="more-lanes" class="more" type="button" hidden></button>
<h2>Worst sources</h2>
<div class="wide"><table>
<thead><tr><th>source</th><th>knocks</th><th>wrong</th><th>decoys</th><th>scans</th><th>strikes</th><th>bans</th><th>let in</th><th>key accepted</th><th>key refused</th></tr></thead>
<tbody id="sources"></tbody>
</table></div>
<p id="sources-more" class="dim"></p>
<h2>Doors</h2>
<div id="doors"></div>
<h2>Events</h2>
<ul id="events"></ul>
<button id="more-events" class="more" type="button" hidden></button>
<footer>Made by <b>nfknock replay</b>. Times are UTC. This file is complete in itself and asks nothing of the network.</footer>
<script type="application/json" id="data">${scriptJson(data)}</script>
<script>${library}</script>
<script>${program}</script>
</body>
</html>
`;
}

/** The content-security policy's name for exactly this text. */
function sourceOf(text: string): string {
  return `'sha256-${createHash('sha256').update(text).digest('base64')}'`;
}

/** The charting library as the build has made it, beside the rooms. */
export function readChartLibrary(): string {
  const file = new URL('../report/charting.min.js', import.meta.url);
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    throw new Error('the charting library is not there: run npm run build', { cause: error });
  }
}
