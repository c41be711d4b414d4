import type { ReportData } from './data.ts';
import type {
  ChartLibrary,
  Chosen,
  ElementOf,
  Page,
  PageDocument,
  PageWindow,
  Parts,
  TextTools,
} from './page-dom.ts';

/*
 * The start of the page's own program, which runs in a browser: `html.ts` writes this function's text into the
 * report. So it may use nothing of this file but itself, and nothing that is imported but types. Text from the
 * capture enters the page through textContent alone, never as markup.
 */

/** Draws the report, and again whenever a filter or the window changes. */
export function startReport(
  document: PageDocument,
  window: PageWindow,
  library: ChartLibrary,
  parts: Parts,
): void {
  const LANES_FIRST = 25;
  const LANES_MORE = 50;
  const EVENTS_FIRST = 50;
  const EVENTS_MORE = 200;

  const element: ElementOf = (id) => {
    const found = document.getElementById(id);
    if (found === null) throw new Error(`the page has no #${id}`);
    return found;
  };
  const tools: TextTools = parts.text();
  const drawChart = parts.chart(tools);
  const lists = parts.lists(tools);
  const names = tools.kindNames();
  const data = JSON.parse(element('data').textContent ?? '') as ReportData;
  const page: Page = {
    document,
    window,
    data,
    chart: library.init(element('chart'), null, { renderer: 'canvas', height: 200 }),
    view: { source: '', door: -1, kinds: names.map(() => true), lanes: LANES_FIRST, events: EVENTS_FIRST },
  };
  const { view } = page;
  const BARS_FROM = names.length - 3;

  function chosen(): Chosen {
    const wanted = view.source.toLowerCase();
    const named = data.lanes.map((lane) => lane.name.includes(wanted));
    const atDoor = (door: number): boolean => view.door < 0 || door === view.door;
    const marks = data.marks.filter((mark) => named[mark[1]] && view.kinds[mark[2]] && atDoor(mark[3]));
    const bars = data.bars.filter((bar) => named[bar[2]] && view.kinds[bar[3] + BARS_FROM]);
    const present = new Set(marks.map((mark) => mark[1]));
    // A ban is of no door: with one chosen, it is shown of sources that did something at that door.
    for (const bar of bars) if (atDoor(bar[4])) present.add(bar[2]);
    return {
      marks,
      bars: bars.filter((bar) => present.has(bar[2]) && (bar[3] > 0 || atDoor(bar[4]))),
      lanes: [...present].sort((x, y) => x - y),
    };
  }

  function draw(): void {
    const found = chosen();
    const hidden = found.lanes.length - view.lanes;
    element('more-lanes').hidden = hidden <= 0;
    element('more-lanes').textContent = `Draw more sources (${tools.numberText(hidden)} are left)`;
    element('nothing').hidden = found.lanes.length > 0;
    element('clear').hidden = view.source === '';
    drawChart(page, element('chart'), found);
    lists.drawn(page, element, found, choose);
  }

  function choose(source: string): void {
    view.source = source;
    element('source').value = source;
    draw();
  }

  function offerDoors(): void {
    for (const [index, name] of ['all doors', ...data.doors.map((door) => door.name)].entries()) {
      const option = document.createElement('option');
      option.value = String(index - 1);
      option.textContent = name;
      element('door').append(option);
    }
    element('door').addEventListener('change', () => {
      view.door = Number(element('door').value);
      draw();
    });
  }

  function offerKinds(): void {
    const counts = names.map(() => 0);
    for (const mark of data.marks) counts[mark[2]] = (counts[mark[2]] ?? 0) + mark[8];
    for (const bar of data.bars) counts[bar[3] + BARS_FROM] = (counts[bar[3] + BARS_FROM] ?? 0) + 1;
    for (const [kind, name] of names.entries()) {
      if (counts[kind] === 0) continue;
      const chip = document.createElement('button');
      chip.setAttribute('type', 'button');
      chip.setAttribute('aria-pressed', 'true');
      chip.className = `chip kind${kind}`;
      const count = document.createElement('b');
      count.textContent = tools.numberText(counts[kind] ?? 0);
      chip.append(name, ' ', count);
      chip.addEventListener('click', () => {
        view.kinds[kind] = !view.kinds[kind];
        chip.setAttribute('aria-pressed', String(view.kinds[kind]));
        draw();
      });
      element('chips').append(chip);
    }
  }

  element('source').addEventListener('input', () => {
    view.source = element('source').value.trim();
    draw();
  });
  element('clear').addEventListener('click', () => choose(''));
  element('more-lanes').addEventListener('click', () => {
    view.lanes += LANES_MORE;
    draw();
  });
  element('more-events').addEventListener('click', () => {
    view.events += EVENTS_MORE;
    draw();
  });
  page.chart.on('click', (event) => {
    const lane = Array.isArray(event.data) ? data.lanes[Number(event.data[3])] : undefined;
    if (lane !== undefined) choose(lane.name);
  });
  window.addEventListener('resize', draw);
  window.matchMedia('(prefers-color-scheme: dark)').addEventListener('change', draw);
  offerDoors();
  offerKinds();
  lists.once(page, element);
  draw();
}
