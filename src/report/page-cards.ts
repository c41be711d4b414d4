import type { BarData } from './data.ts';
import type { Cards, Page, PageElement, TextTools } from './page-dom.ts';

/*
 * Part of the page's own program, which runs in a browser: `html.ts` writes this function's text into the report.
 * So it may use nothing of this file but itself, and nothing that is imported but types.
 */

/** Elements of the page, and of them what happened at a door. */
export function cardDrawer(tools: TextTools): Cards {
  const OPENINGS_SHOWN = 20;

  function make(
    page: Page,
    name: string,
    className: string,
    ...children: (PageElement | string)[]
  ): PageElement {
    const made = page.document.createElement(name);
    made.className = className;
    made.append(...children);
    return made;
  }

  function door(page: Page, index: number): PageElement {
    const { data } = page;
    const described = data.doors[index];
    const openings = data.bars.filter((bar) => bar[3] === 0 && bar[4] === index);
    const title = make(
      page,
      'h3',
      '',
      described?.name ?? '',
      make(page, 'small', '', ` opens ${(described?.opens ?? []).join(', ')}`),
    );
    const card = make(page, 'div', 'card', title);
    if (openings.length === 0) card.append(make(page, 'p', 'dim', 'It stayed shut.'));
    const rows = openings.slice(0, OPENINGS_SHOWN).map((bar) => opening(page, bar));
    if (rows.length > 0) card.append(make(page, 'ul', '', ...rows));
    const more = openings.length - OPENINGS_SHOWN;
    if (more > 0) card.append(make(page, 'p', 'dim', `and ${tools.numberText(more)} more openings`));
    return card;
  }

  function opening(page: Page, bar: BarData): PageElement {
    const [from, to, lane, , , ended, grantee, key] = bar;
    const source = page.data.lanes[lane]?.name ?? '';
    const whom = grantee === source ? source : `${source}, for ${grantee}`;
    const how =
      ended === '' ? `open until ${timeOf(to)}, past the capture's end` : `closed ${timeOf(to)} (${ended})`;
    return make(
      page,
      'li',
      '',
      make(page, 'b', '', whom),
      make(page, 'span', 'dim', ` opened ${timeOf(from)}${key === '' ? '' : ` by ${key}`}, ${how}`),
    );
  }

  function timeOf(at: number): string {
    return tools.clockText(at).slice(11);
  }

  return { make, door };
}
