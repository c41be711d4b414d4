import type { BarData, MarkData, ReportData } from './data.ts';

/** As much of the browser as the page uses: the compiler's own DOM types would be in force in every file. */
export interface PageElement {
  textContent: string | null;
  className: string;
  value: string;
  hidden: boolean;
  title: string;
  readonly clientWidth: number;
  readonly style: { setProperty(name: string, value: string): void };
  append(...children: (PageElement | string)[]): void;
  replaceChildren(...children: (PageElement | string)[]): void;
  setAttribute(name: string, value: string): void;
  addEventListener(type: string, listener: () => void): void;
}

export interface PageDocument {
  getElementById(id: string): PageElement | null;
  createElement(name: string): PageElement;
}

export interface PageWindow {
  matchMedia(query: string): {
    readonly matches: boolean;
    addEventListener(type: string, listener: () => void): void;
  };
  addEventListener(type: string, listener: () => void): void;
}

/** As much of the charting library as the page uses. */
export interface Chart {
  setOption(option: unknown, how: { readonly notMerge: boolean }): void;
  resize(size: { readonly height: number }): void;
  on(event: string, listener: (event: ChartEvent) => void): void;
}

export interface ChartEvent {
  readonly data?: unknown;
}

export interface ChartLibrary {
  init(
    element: PageElement,
    theme: null,
    options: { readonly renderer: 'canvas'; readonly height: number },
  ): Chart;
}

/** What a custom series is given to draw one item with. */
export interface DrawingApi {
  value(dimension: number): number;
  coord(point: readonly [number, number]): readonly [number, number];
}

export interface DrawingParams {
  readonly dataIndex: number;
  readonly coordSys: {
    readonly x: number;
    readonly y: number;
    readonly width: number;
    readonly height: number;
  };
}

/** What the page's functions share. */
export interface Page {
  readonly document: PageDocument;
  readonly window: PageWindow;
  readonly data: ReportData;
  readonly chart: Chart;
  /** What is shown: filters, and how much of the long lists. */
  readonly view: View;
}

export interface View {
  source: string;
  /** An index of `doors`, or -1 for all. */
  door: number;
  /** One for each kind of mark, then one for each kind of bar. */
  readonly kinds: boolean[];
  lanes: number;
  events: number;
}

/** What the filters let through: `lanes` are the numbers of those that are shown, in order. */
export interface Chosen {
  readonly marks: readonly MarkData[];
  readonly bars: readonly BarData[];
  readonly lanes: readonly number[];
}

export interface TextTools {
  /** Marks first, then bars. */
  kindNames(): readonly string[];
  kindColour(kind: number): string;
  clockText(at: number): string;
  numberText(value: number): string;
  markText(data: ReportData, mark: MarkData): string;
  barText(data: ReportData, bar: BarData): string;
}

/** How one thing of a lane is drawn. */
export type Render = (params: DrawingParams, api: DrawingApi) => unknown;

export interface Shapes {
  name(names: readonly string[], colour: string): Render;
  bar(down: number): Render;
  mark(down: number): Render;
}

export interface Cards {
  make(page: Page, name: string, className: string, ...children: (PageElement | string)[]): PageElement;
  door(page: Page, index: number): PageElement;
}

export type DrawChart = (page: Page, box: PageElement, found: Chosen) => void;

export type ElementOf = (id: string) => PageElement;

export interface Lists {
  /** What the filters don't change: the totals and the doors. */
  once(page: Page, element: ElementOf): void;
  /** The sources and the events that the filters let through; `choose` shows one source alone. */
  drawn(page: Page, element: ElementOf, found: Chosen, choose: (source: string) => void): void;
}

/** The functions that make up the page's program besides its start. */
export interface Parts {
  readonly text: () => TextTools;
  readonly chart: (tools: TextTools) => DrawChart;
  readonly lists: (tools: TextTools) => Lists;
}
