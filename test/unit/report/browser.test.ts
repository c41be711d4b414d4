import { describe, expect, test } from 'vitest';
import { reportHtml } from '../../../src/report/html.ts';
import { chartLibrary } from '../../support/charting.ts';
import { CHROMIUM, hasBrowser, look } from './browser.ts';
import { banned, closed, decoy, knock, manyth, opened, reportOf } from './sample.ts';

const TIMEOUT = 60_000;
const FRIEND = '198.51.100.7';
const SCANNER = '203.0.113.9';
const EVENTS = [
  knock(0, FRIEND, 1),
  decoy(500, SCANNER, 1),
  knock(1000, FRIEND, 2),
  knock(2000, FRIEND, 3),
  opened(2000, FRIEND),
  decoy(3000, SCANNER, 2),
  decoy(4000, SCANNER, 3),
  banned(4000, SCANNER),
  closed(9000, FRIEND),
];
const HTML = reportHtml(reportOf(EVENTS, '<img src=x onerror=alert(1)>'), chartLibrary());

if (!hasBrowser()) console.warn(`NOT TESTED: the report in a browser, since ${CHROMIUM} is not there`);

describe.skipIf(!hasBrowser())('a report in a browser', () => {
  test('complains of nothing, asks nothing of anybody, and shows what happened', {
    timeout: TIMEOUT,
  }, async () => {
    const script = `({
      title: document.querySelector('h1').textContent,
      canvases: document.querySelectorAll('#chart canvas').length,
      drawn: document.querySelector('#chart canvas').toDataURL().length,
      sources: [...document.querySelectorAll('#sources tr')].map((row) => row.textContent),
      doors: document.querySelector('#doors').textContent,
      events: document.querySelectorAll('#events li').length,
      scrolls: document.documentElement.scrollWidth > document.documentElement.clientWidth,
    })`;
    const { complaints, requests, value } = await look(HTML, { width: 1280, height: 900, script });
    expect(complaints).toEqual([]);
    expect(requests).toEqual([]);
    expect(value).toMatchObject({
      title: '<img src=x onerror=alert(1)>',
      canvases: 1,
      sources: [`${SCANNER}003031000`, `${FRIEND}300000100`],
      events: 8,
      scrolls: false,
    });
    const { drawn, doors } = value as { readonly drawn: number; readonly doors: string };
    expect(drawn).toBeGreaterThan(5000);
    expect(doors).toContain(`${FRIEND} opened 06:40:02.000, closed 06:40:09.000 (knock)`);
  });

  test('filters by source, by door and by kind of event, also on a phone in the dark', {
    timeout: TIMEOUT,
  }, async () => {
    const script = `(() => {
      const rows = () => [...document.querySelectorAll('#events li')].map((row) => row.textContent);
      const set = (id, value, type) => {
        const element = document.getElementById(id);
        element.value = value;
        element.dispatchEvent(new Event(type));
      };
      const all = rows().length;
      set('source', '198.51', 'input');
      const friend = rows();
      set('source', '', 'input');
      set('door', '0', 'change');
      const ssh = rows();
      set('door', '-1', 'change');
      for (const chip of document.querySelectorAll('.chip')) if (!chip.textContent.startsWith('ban')) chip.click();
      const bans = rows();
      document.querySelector('#sources .link').click();
      const scrolls = document.documentElement.scrollWidth > document.documentElement.clientWidth;
      return { all, friend: friend.length, ssh: ssh.length, bans, chosen: document.getElementById('source').value, scrolls };
    })()`;
    const { complaints, value } = await look(HTML, { width: 390, height: 844, dark: true, script });
    expect(complaints).toEqual([]);
    expect(value).toEqual({
      all: 8,
      friend: 4,
      ssh: 4,
      bans: [`06:40:04.000${SCANNER}${SCANNER} banned until 06:50:04.000`],
      chosen: SCANNER,
      scrolls: false,
    });
  });

  test('of a flood opens as well, and says what it leaves out', { timeout: TIMEOUT }, async () => {
    function* flood(): Generator<ReturnType<typeof decoy>> {
      for (let number = 0; number < 100_000; number++) yield decoy(number, manyth(number % 7000));
    }
    const script = `({ notes: document.getElementById('notes').textContent, more: document.getElementById('more-lanes').textContent })`;
    const { complaints, value } = await look(reportHtml(reportOf(flood()), chartLibrary()), {
      width: 1280,
      height: 900,
      script,
    });
    expect(complaints).toEqual([]);
    expect(value).toMatchObject({
      notes: expect.stringMatching(/events are not drawn one by one.*sources are left out/),
      more: expect.stringMatching(/^Draw more sources/),
    });
  });
});
