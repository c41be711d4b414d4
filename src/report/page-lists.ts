import type { MarkData } from './data.ts';
import type { Cards, Chosen, ElementOf, Lists, Page, PageElement, TextTools } from './page-dom.ts';

/*
 * Part of the page's own program, which runs in a browser: `html.ts` writes this function's text into the report.
 * So it may use nothing of this file but itself, and nothing that is imported but types.
 */

/** The totals, the worst sources, the doors with their openings, and the events as text. */
export function listDrawer(tools: TextTools, cards: Cards): Lists {
  const SOURCES_SHOWN = 15;
  const { make } = cards;

  function once(page: Page, element: ElementOf): void {
    const { data } = page;
    const tile = (label: string, count: number): PageElement =>
      make(page, 'div', 'tile', make(page, 'b', '', tools.numberText(count)), make(page, 'span', '', label));
    element('totals').append(...data.counts.map(([label, count]) => tile(label, count)));
    if (data.first !== null && data.last !== null) {
      element('span').textContent =
        `${tools.clockText(data.first)} – ${tools.clockText(data.last)} UTC, packets to ${data.local.join(', ')}`;
    }
    const notes = notesOf(page);
    element('notes').hidden = notes.length === 0;
    element('notes').append(...notes.map((note) => make(page, 'p', '', note)));
    element('doors').append(...data.doors.map((_, door) => cards.door(page, door)));
  }

  function notesOf(page: Page): string[] {
    const { fault, thinned } = page.data;
    const notes: string[] = [];
    if (fault !== null) notes.push(`The capture could not be read to its end: ${fault}`);
    if (thinned.marks > 0) {
      notes.push(
        `${tools.numberText(thinned.marks)} events are not drawn one by one: where a source did the same thing many times in a short while, one mark stands for all. The numbers in the lists count every event.`,
      );
    }
    if (thinned.sources > 0) {
      notes.push(
        `${tools.numberText(thinned.sources)} sources are left out, those that did least. The totals count them.`,
      );
    }
    if (thinned.bars > 0) notes.push(`${tools.numberText(thinned.bars)} bans and openings are left out.`);
    return notes;
  }

  function drawn(page: Page, element: ElementOf, found: Chosen, choose: (source: string) => void): void {
    drawSources(page, element, found, choose);
    drawEvents(page, element, found);
  }

  function drawSources(
    page: Page,
    element: ElementOf,
    found: Chosen,
    choose: (source: string) => void,
  ): void {
    const { lanes } = page.data;
    const worst = found.lanes
      .flatMap((lane) => lanes[lane] ?? [])
      .map((lane) => ({
        lane,
        bad: lane.tally.bans * 1e6 + lane.tally.wrong + lane.tally.decoys + lane.tally.scans,
      }))
      .sort((x, y) => y.bad - x.bad)
      .slice(0, SOURCES_SHOWN);
    const rows = worst.map(({ lane }) => {
      const { tally } = lane;
      const link = make(page, 'button', 'link', lane.name);
      link.setAttribute('type', 'button');
      link.addEventListener('click', () => choose(lane.name));
      const cells = [
        tally.knocks,
        tally.wrong,
        tally.decoys,
        tally.scans,
        tally.strikes,
        tally.bans,
        tally.opened,
        tally.accepted,
        tally.refused,
      ];
      return make(
        page,
        'tr',
        '',
        make(page, 'th', '', link),
        ...cells.map((count) => make(page, 'td', count === 0 ? 'zero' : '', tools.numberText(count))),
      );
    });
    element('sources').replaceChildren(...rows);
    const more = found.lanes.length - SOURCES_SHOWN;
    element('sources-more').textContent = more > 0 ? `and ${tools.numberText(more)} more` : '';
  }

  /** One line an event, oldest first: what the chart says, for those who can't see or point at it. */
  function drawEvents(page: Page, element: ElementOf, found: Chosen): void {
    const { data, view } = page;
    type Entry = { readonly at: number; readonly kind: number; readonly lane: number; readonly text: string };
    const marks = found.marks.map(
      (mark: MarkData): Entry => ({ at: mark[0], kind: mark[2], lane: mark[1], text: sentence(page, mark) }),
    );
    const bars = found.bars.map((bar): Entry => {
      const [from, to, lane, kind, door, , grantee, key] = bar;
      const what =
        kind === 0
          ? `door ${data.doors[door]?.name ?? ''} opened for ${grantee}${key === '' ? '' : ` by ${key}`}`
          : `${grantee} banned`;
      return { at: from, kind: kind + 8, lane, text: `${what} until ${timeOf(to)}` };
    });
    const all = [...marks, ...bars].sort((x, y) => x.at - y.at || x.kind - y.kind);
    const rows = all
      .slice(0, view.events)
      .map(({ at, kind, lane, text }) =>
        make(
          page,
          'li',
          `kind${kind}`,
          make(page, 'time', '', timeOf(at)),
          make(page, 'b', '', data.lanes[lane]?.name ?? ''),
          make(page, 'span', '', text),
        ),
      );
    element('events').replaceChildren(...rows);
    const more = all.length - view.events;
    element('more-events').hidden = more <= 0;
    element('more-events').textContent = `Show more events (${tools.numberText(more)} are left)`;
  }

  function sentence(page: Page, mark: MarkData): string {
    const [, , kind, door, port, step, of, reason, n] = mark;
    const name = page.data.doors[door]?.name;
    const where = name === undefined ? '' : `, door ${name}${step > 0 ? `, step ${step} of ${of}` : ''}`;
    return `${tools.kindNames()[kind]} on ${port}${where}${reason === '' ? '' : `: ${reason}`}${n > 1 ? ` (${tools.numberText(n)} like it)` : ''}`;
  }

  /** The time of day; the page's head has the date. */
  function timeOf(at: number): string {
    return tools.clockText(at).slice(11);
  }

  return { once, drawn };
}
