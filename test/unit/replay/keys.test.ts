import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { parseKeyFile } from '../../../src/config/key-file.ts';
import type { NfknockEvent } from '../../../src/engine/event.ts';
import { formatLine } from '../../../src/log/line.ts';
import type { ReplayKeyFile } from '../../../src/replay/keys.ts';
import { type ReplayEnd, runReplay } from '../../../src/replay/run.ts';
import { summaryJson, summaryTable } from '../../../src/replay/summary.ts';
import { createCollector } from '../../../src/report/collect.ts';
import type { ReportData } from '../../../src/report/data.ts';
import { reportHtml } from '../../../src/report/html.ts';
import { openCapture } from '../../../src/source/pcap-input.ts';
import { CAPTURES } from '../../golden/replay/captures.ts';
import { configOf } from '../../golden/replay/replayed.ts';
import { chartLibrary } from '../../support/charting.ts';

const KEYS = readFileSync(`${CAPTURES}key-file.yaml`, 'utf8');

function keyFile(): ReplayKeyFile {
  const parsed = parseKeyFile(KEYS, 'key-file.yaml');
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.faults));
  return parsed;
}

async function run(keys: ReplayKeyFile): Promise<{ said: NfknockEvent[]; end: ReplayEnd; data: ReportData }> {
  const said: NfknockEvent[] = [];
  const collector = createCollector();
  const end = await runReplay({
    input: await openCapture(`${CAPTURES}keys.pcap`, process.stdin),
    config: configOf(`${CAPTURES}keys.yaml`),
    addresses: [],
    keys,
    pace: 'look ahead',
    emit(event) {
      said.push(event);
      collector.add(event);
    },
    between: async () => true,
  });
  const { first, last } = end.counts;
  const data = collector.data({
    ...{ title: 'keys.pcap', fault: null, first, last, local: ['198.51.100.1'], counts: [] },
    doors: [{ name: 'ssh', opens: ['22/tcp'] }],
  });
  return { said, end, data };
}

describe('packets of keys in a capture', () => {
  it('have columns of their own in the summary, with key and person, and why the last one was refused', async () => {
    const { data } = await run(keyFile());
    const lines = summaryTable(data)
      .split('\n')
      .map((line) => line.replace(/ +/g, ' '));
    expect(lines[2]).toBe('SOURCE KNOCKS WRONG DECOYS SCANS STRIKES BANS GRANTS ACCEPTED REFUSED RESULT');
    expect(lines.find((line) => line.startsWith('192.0.2.11 '))).toBe(
      '192.0.2.11 0 0 0 0 0 0 2 2 5 door ssh open by key ada-phone (ada) until 2026-11-28T18:51:20.500Z (and 1 before)',
    );
    expect(lines.find((line) => line.startsWith('203.0.113.66 '))).toBe(
      '203.0.113.66 0 0 1 0 2 0 0 0 1 refused: key ada-phone (ada): it was used already',
    );
    const { sources } = JSON.parse(summaryJson(data)) as { sources: Record<string, unknown>[] };
    expect(sources.find(({ source }) => source === '192.0.2.77')).toMatchObject({
      accepted: 1,
      refused: 3,
      got: [{ door: 'ssh', key: 'key ben (ben)' }, { door: 'ssh' }],
      refusals: [
        { why: "refused: key ben (ben): its clock is 4 h 5 min behind this machine's" },
        { why: 'refused: key ben (ben): its key may not open the door that it names' },
        { why: 'refused: key ben (ben): its key may open 2 times in all, and 30 times in 1 min' },
      ],
    });
  });

  it('are in the report, and none of their secrets in any of it', async () => {
    const { said, data } = await run(keyFile());
    const html = reportHtml(data, chartLibrary());
    expect(html).toContain("key ben (ben): its clock is 4 h 5 min behind this machine's");
    expect(html).toContain('key ada-phone (ada)');
    const all = [
      html,
      summaryTable(data),
      summaryJson(data),
      ...said.map((event) => formatLine(event, (at) => at)),
    ];
    const secrets = [...KEYS.matchAll(/base64:(\S+?)[, }\n]/g)].map(([, secret = '']) => secret);
    expect(secrets).toHaveLength(4);
    for (const secret of secrets) {
      const bytes = Buffer.from(secret, 'base64');
      for (const text of all)
        for (const form of [secret, bytes.toString('latin1'), bytes.toString('hex')])
          expect(text).not.toContain(form);
    }
  });

  it('that can’t be looked into are counted in one line, and are what they would be without keys', async () => {
    const { said, end } = await run({ file: null, reason: 'keys.yaml can’t be read: run this as root' });
    expect(end.warnings).toEqual([
      '15 packets to ports of keys were not looked into: keys.yaml can’t be read: run this as root',
    ]);
    expect(said.some(({ event }) => event === 'decoy.hit')).toBe(true);
    expect(said.some(({ event }) => event === 'door.opened' || event.startsWith('spa.rejected'))).toBe(false);
  });
});
