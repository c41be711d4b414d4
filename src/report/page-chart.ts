import type { BarData, MarkData } from './data.ts';
import type {
  Chosen,
  DrawChart,
  DrawingApi,
  DrawingParams,
  Page,
  PageElement,
  TextTools,
} from './page-dom.ts';

/*
 * Part of the page's own program, which runs in a browser: `html.ts` writes this function's text into the report.
 * So it may use nothing of this file but itself, and nothing that is imported but types.
 */

/** The timeline: a lane for each source, bars for what it had, marks for what it did. */
export function chartDrawer(tools: TextTools): DrawChart {
  function drawChart(page: Page, box: PageElement, found: Chosen): void {
    const { chart, data, view, window } = page;
    const dark = window.matchMedia('(prefers-color-scheme: dark)').matches;
    const narrow = box.clientWidth < 560;
    const shown = found.lanes.slice(0, view.lanes);
    const row = new Map(shown.map((lane, index) => [lane, index]));
    const names = shown.map((lane) => data.lanes[lane]?.name ?? '');
    const laneHeight = narrow ? 46 : 34;
    const height = Math.max(1, shown.length) * laneHeight + 96;
    box.style.setProperty('height', `${height}px`);
    chart.resize({ height });
    const first = data.first ?? 0;
    const last = Math.max(data.last ?? 0, first + 1);
    const margin = Math.max((last - first) * 0.02, 5);
    const colours = { text: dark ? '#c6cfdb' : '#3b4656', line: dark ? '#2b3442' : '#e3e8ef', dark };
    const bars = found.bars
      .filter((bar) => row.has(bar[2]))
      .map((bar) => [bar[0], row.get(bar[2]), Math.min(bar[1], last + margin), bar[2], bar[3], bar]);
    const marks = found.marks
      .filter((mark) => row.has(mark[1]))
      .map((mark) => [mark[0], row.get(mark[1]), mark[2], mark[1], mark[5], mark]);
    chart.setOption(
      {
        animation: false,
        useUTC: true,
        textStyle: { color: colours.text },
        grid: { left: narrow ? 10 : 150, right: narrow ? 10 : 24, top: 8, bottom: 84 },
        tooltip: {
          confine: true,
          renderMode: 'richText',
          backgroundColor: dark ? '#111722' : '#ffffff',
          borderColor: colours.line,
          textStyle: { color: colours.text, fontSize: 12 },
          formatter: (item: { data: readonly unknown[] }) => tooltipText(page, item.data),
        },
        xAxis: {
          type: 'time',
          min: first - margin,
          max: last + margin,
          axisLabel: { color: colours.text, hideOverlap: true },
          axisLine: { lineStyle: { color: colours.line } },
          splitLine: { show: true, lineStyle: { color: colours.line, opacity: 0.6 } },
        },
        yAxis: laneAxis(names, narrow, colours),
        dataZoom: [
          {
            type: 'inside',
            xAxisIndex: 0,
            filterMode: 'none',
            zoomOnMouseWheel: 'ctrl',
            moveOnMouseMove: true,
          },
          {
            type: 'slider',
            xAxisIndex: 0,
            filterMode: 'none',
            height: 26,
            bottom: 12,
            showDetail: false,
            brushSelect: false,
            borderColor: colours.line,
          },
        ],
        series: [
          { type: 'custom', clip: true, renderItem: barShape, encode: { x: [0, 2], y: 1 }, data: bars, z: 1 },
          { type: 'custom', clip: true, renderItem: markShape, encode: { x: 0, y: 1 }, data: marks, z: 2 },
        ],
      },
      { notMerge: true },
    );
  }

  function laneAxis(
    names: readonly string[],
    narrow: boolean,
    colours: { text: string; line: string },
  ): unknown {
    return {
      type: 'category',
      data: names,
      inverse: true,
      axisTick: { show: false },
      axisLine: { show: false },
      splitLine: { show: true, lineStyle: { color: colours.line } },
      axisLabel: narrow
        ? { inside: true, color: colours.text, fontSize: 11, padding: [0, 0, 26, 0], margin: 2, interval: 0 }
        : { color: colours.text, fontSize: 12, width: 140, overflow: 'truncate', interval: 0 },
      z: 3,
    };
  }

  function barShape(params: DrawingParams, api: DrawingApi): unknown {
    const from = api.coord([api.value(0), api.value(1)]);
    const to = api.coord([api.value(2), api.value(1)]);
    const kind = api.value(4) + 6;
    const area = params.coordSys;
    const left = Math.max(from[0], area.x);
    const right = Math.min(to[0], area.x + area.width);
    if (right < left) return undefined;
    const colour = tools.kindColour(kind);
    return {
      type: 'rect',
      shape: { x: left, y: from[1] - 9, width: Math.max(right - left, 2), height: 18, r: 4 },
      style: { fill: colour, opacity: kind === 6 ? 0.5 : 0.3, stroke: colour, lineWidth: 1 },
    };
  }

  /** A circle with its step for a knock; a triangle, a cross, a diamond or a square for what went wrong. */
  function markShape(_params: DrawingParams, api: DrawingApi): unknown {
    const point = api.coord([api.value(0), api.value(1)]);
    const [x, y] = point;
    const kind = api.value(2);
    const step = api.value(4);
    const style = { fill: tools.kindColour(kind), stroke: '#ffffff', lineWidth: 1 };
    if (kind === 0) {
      const text = {
        text: String(step),
        x,
        y,
        fill: '#ffffff',
        fontSize: 10,
        fontWeight: 'bold',
        align: 'center',
        verticalAlign: 'middle',
      };
      return {
        type: 'group',
        children: [
          { type: 'circle', shape: { cx: x, cy: y, r: 8 }, style },
          { type: 'text', style: text },
        ],
      };
    }
    const shapes = [
      [],
      [
        [0, -7],
        [7, 6],
        [-7, 6],
      ],
      [
        [-7, -6],
        [7, -6],
        [0, 7],
      ],
      [
        [-5, -5],
        [5, -5],
        [5, 5],
        [-5, 5],
      ],
      [
        [0, -8],
        [8, 0],
        [0, 8],
        [-8, 0],
      ],
      [
        [-3, -8],
        [3, -8],
        [3, -3],
        [8, -3],
        [8, 3],
        [3, 3],
        [3, 8],
        [-3, 8],
        [-3, 3],
        [-8, 3],
        [-8, -3],
        [-3, -3],
      ],
    ];
    const points = (shapes[kind] ?? []).map(([dx = 0, dy = 0]) => [x + dx, y + dy]);
    return { type: 'polygon', shape: { points }, style };
  }

  function tooltipText(page: Page, item: readonly unknown[]): string {
    const detail = item[5];
    if (!Array.isArray(detail)) return '';
    const lane = page.data.lanes[Number(item[3])]?.name ?? '';
    if (detail.length === 9) return `${lane}\n${tools.markText(page.data, detail as unknown as MarkData)}`;
    return `${lane}\n${tools.barText(page.data, detail as unknown as BarData)}`;
  }

  return drawChart;
}
