import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { createCounters } from '../../../src/metrics/counters.ts';
import { createRegistry, type Reading } from '../../../src/metrics/registry.ts';
import { milliseconds } from '../../../src/packet/time.ts';

const DEPLOY = join(import.meta.dirname, '../../../deploy');
const READING: Reading = {
  version: '1.2.3',
  packets: { accepted: 3 },
  queue: { packets: 1, batches: 1, depth: 0, kernelDropped: 0, userDropped: 0, errors: 0, overruns: 0 },
  lag: milliseconds(1),
  grants: { ssh: 1 },
  bans: 0,
  sources: 0,
  sourcesMax: 10,
  keys: { macs: 3, overloaded: 2, seen: 1, lastUsed: { ada: 1_763_700_000_000 } },
  fleet: {
    up: true,
    members: 3,
    messages: [
      { kind: 'ban', direction: 'in', count: 5 },
      { kind: 'ban', direction: 'out', count: 4 },
    ],
    parked: 0,
    outbox: 2,
    refused: { limit: 7, exempt: 1 },
    claims: { won: 3, used: 1, shut: 2 },
    offset: -0.012,
  },
  stateOk: true,
  logOk: true,
  firewallOk: true,
  stoodDown: false,
};
const { registry } = createRegistry(createCounters(), () => READING, 'in a fleet');
const deployed = (name: string): string => readFileSync(join(DEPLOY, name), 'utf8');

interface Target {
  readonly expr: string;
}
interface Dashboard {
  readonly panels: readonly { readonly id: number; readonly targets: readonly Target[] }[];
}

describe('what is deployed beside the metrics', () => {
  test.each(['grafana-dashboard.json', 'prometheus-alerts.yml', 'prometheus-alerts.test.yml'])(
    '%s names only metrics that exist',
    async (name) => {
      const exposed = new Set(
        (await registry.metrics()).split('\n').map((line) => line.replace('# TYPE ', '').split(/[ {]/)[0]),
      );
      const used = deployed(name).match(/\b(nfknock|process)_[a-z_]+\b/g) ?? [];
      expect(used.length).toBeGreaterThan(4);
      expect(used.filter((metric) => !exposed.has(metric))).toEqual([]);
    },
  );

  test('what is asked of a fleet by label is exposed so', async () => {
    const exposed = (await registry.metrics()).split('\n');
    const asked = `${deployed('prometheus-alerts.yml')}${deployed('grafana-dashboard.json')}`;
    const wanted = [...asked.matchAll(/(nfknock_fleet_\w+)\{(direction|kind|result)="(\w+)"/g)];
    expect(wanted.length).toBeGreaterThan(0);
    for (const [, name, label, value] of wanted)
      expect(exposed.filter((line) => line.startsWith(`${name}{`)).join()).toContain(`${label}="${value}"`);
  });

  test('the dashboard shows each metric of ours that can be looked at', async () => {
    const { panels } = JSON.parse(deployed('grafana-dashboard.json')) as Dashboard;
    expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length);
    for (const { targets } of panels)
      for (const { expr } of targets) expect(expr).toContain('instance="$instance"');
  });

  // Debian's package `prometheus` has it; where it is missing, docs/operations.md tells how to run it.
  if (existsSync('/usr/bin/promtool')) {
    test('promtool finds nothing wrong with alerts and metrics', async () => {
      const promtool = (args: string[], input?: string): string =>
        execFileSync('/usr/bin/promtool', args, {
          cwd: DEPLOY,
          encoding: 'utf8',
          ...(input === undefined ? {} : { input }),
        });
      expect(promtool(['check', 'rules', 'prometheus-alerts.yml'])).toContain('SUCCESS');
      expect(promtool(['test', 'rules', 'prometheus-alerts.test.yml'])).toContain('SUCCESS');
      expect(promtool(['check', 'metrics'], await registry.metrics())).toBe('');
    });
  }
});
