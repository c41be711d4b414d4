import type { BarData, MarkData } from './data.ts';
import type { Chosen, DrawChart, Page, PageElement, Shapes, TextTools } from './page-dom.ts';

/*
 * Part of the page's own program, which runs in a browser: `html.ts` writes this function's text into the report.
 * So it may use nothing of this file but itself, and nothing that is imported but types.
 */

/** The timeline: a lane for each source, bars for what it had, marks for what it did. */
export function chartDrawer(tools: TextTools, shapes: Shapes): DrawChart {
  /** Below this many pixels names stand inside the lanes. */
  const NARROW = 560;

  interface Colours {
    readonly text: string;
    readonly line: string;
    readonly back: string;
    readonly slider: string;
  }

  function drawChart(page: Page, box: PageElement, found: Chosen): void {
    const { chart, data, view } = page;
    const dark = page.window.matchMedia('(prefers-color-scheme: dark)').matches;
    const colours: Colours = dark
      ? { text: '#c6cfdb', line: '#2b3442', back: '#111722', slider: '#1d2634' }
      : { text: '#3b4656', line: '#e3e8ef', back: '#ffffff', slider: '#f1f4f9' };
    const narrow = box.clientWidth < NARROW;
    // Where there is no room beside the chart, a name stands in its lane, above what is drawn.
    const down = narrow ? 9 : 0;
    const shown = found.lanes.slice(0, view.lanes);
    const row = new Map(shown.map((lane, index) => [lane, index]));
    const names = shown.map((lane) => data.lanes[lane]?.name ?? '');
    const height = Math.max(1, shown.length) * (narrow ? 50 : 34) + 96;
    box.style.setProperty('height', `${height}px`);
    chart.resize({ height });
    const first = data.first ?? 0;
    const last = Math.max(data.last ?? 0, first + 1);
    const margin = Math.max((last - first) * 0.02, 5);
    const bars = found.bars
      .filter((bar) => row.has(bar[2]))
      .map((bar) => [bar[0], row.get(bar[2]), Math.min(bar[1], last + margin), bar[2], bar[3], bar]);
    const marks = found.marks
      .filter((mark) => row.has(mark[1]))
      .map((mark) => [mark[0], row.get(mark[1]), mark[2], mark[1], mark[5], mark]);
    const custom = { type: 'custom', clip: true };
    const labels = {
      ...custom,
      silent: true,
      renderItem: shapes.name(names, colours.text),
      encode: { x: 0, y: 1 },
      z: 3,
    };
    const series = [
      { ...custom, renderItem: shapes.bar(down), encode: { x: [0, 2], y: 1 }, data: bars, z: 1 },
      { ...custom, renderItem: shapes.mark(down), encode: { x: 0, y: 1 }, data: marks, z: 2 },
      ...(narrow ? [{ ...labels, data: names.map((_, index) => [first, index]) }] : []),
    ];
    const axes = axesOf(names, [first - margin, last + margin], narrow ? 'inside' : 'beside', colours);
    chart.setOption(
      {
        animation: false,
        useUTC: true,
        textStyle: { color: colours.text },
        grid: { left: narrow ? 10 : 150, right: narrow ? 10 : 24, top: 8, bottom: 84 },
        tooltip: {
          confine: true,
          renderMode: 'richText',
          backgroundColor: colours.back,
          borderColor: colours.line,
          textStyle: { color: colours.text, fontSize: 12 },
          formatter: (item: { data: readonly unknown[] }) => tooltipText(page, item.data),
        },
        ...axes,
        dataZoom: zoomsOf(colours),
        series,
      },
      { notMerge: true },
    );
  }

  function axesOf(
    names: readonly string[],
    range: readonly [number, number],
    labels: 'beside' | 'inside',
    colours: Colours,
  ): object {
    const beside = { color: colours.text, fontSize: 12, width: 140, overflow: 'truncate', interval: 0 };
    return {
      xAxis: {
        type: 'time',
        min: range[0],
        max: range[1],
        axisLabel: { color: colours.text, hideOverlap: true },
        axisLine: { lineStyle: { color: colours.line } },
        splitLine: { show: true, lineStyle: { color: colours.line, opacity: 0.6 } },
      },
      yAxis: {
        type: 'category',
        data: names,
        inverse: true,
        axisTick: { show: false },
        axisLine: { show: false },
        splitLine: { show: true, lineStyle: { color: colours.line } },
        axisLabel: labels === 'inside' ? { show: false } : beside,
      },
    };
  }

  /** Pinch, or the wheel with Ctrl, so that the page itself can still be scrolled; and a slider below. */
  function zoomsOf(colours: Colours): readonly object[] {
    const both = { xAxisIndex: 0, filterMode: 'none' };
    const quiet = { lineStyle: { opacity: 0 }, areaStyle: { opacity: 0 } };
    return [
      { ...both, type: 'inside', zoomOnMouseWheel: 'ctrl', moveOnMouseMove: true },
      {
        ...both,
        type: 'slider',
        height: 26,
        bottom: 12,
        showDetail: false,
        brushSelect: false,
        backgroundColor: colours.slider,
        borderColor: colours.line,
        dataBackground: quiet,
        selectedDataBackground: quiet,
      },
    ];
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
