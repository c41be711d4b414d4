import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Daemon } from '../support/daemon.ts';
import { createNet, type Net } from '../support/net.ts';
import { startProcess } from '../support/process.ts';
import { ROOT } from '../support/root.ts';
import { temporaryFolder } from '../support/scratch.ts';

/** Dashboard and alerts, held against what a daemon that has had something to do really exposes. */

const METRICS = '127.0.0.1:9477';
const PROMETHEUS = '127.0.0.1:9090';
const CONFIG = {
  doors: { ssh: { knock: ['7000/tcp', '8000/udp', '9000/tcp'], opens: ['22/tcp'], for: '2s' } },
  decoys: ['23/tcp', '2323/tcp'],
  metrics: METRICS,
};
const deployed = (name: string): string => readFileSync(join(ROOT, 'deploy', name), 'utf8');
const hasPrometheus = spawnSync('prometheus', ['--version']).status === 0;

let net: Net;
let daemon: Daemon;

beforeAll(async () => {
  net = await createNet();
  daemon = await net.server.startDaemon(CONFIG);
});
afterAll(async () => {
  await daemon?.stop();
  net?.close();
});

/** What stands at each address; '' where nobody answers. One process for all. */
async function get(urls: readonly string[]): Promise<readonly string[]> {
  const script =
    'const texts = process.argv.slice(1).map((url) => fetch(url).then((answer) => answer.text(), () => ""));' +
    'process.stdout.write(JSON.stringify(await Promise.all(texts)))';
  const node = [process.execPath, '--input-type=module', '-e', script];
  return JSON.parse((await net.server.exec([...node, ...urls])).stdout) as string[];
}

/** Every expression for who is alone, with the dashboard's variables filled in; a fleet's: test/unit/metrics/deploy.test.ts. */
function expressions(): readonly string[] {
  const shown = (JSON.parse(deployed('grafana-dashboard.json')) as Dashboard).panels.flatMap(({ targets }) =>
    targets.map(({ expr }) => expr),
  );
  const alerts = [...deployed('prometheus-alerts.yml').matchAll(/^ +expr: (.+)$/gm)].map(([, expr = '']) =>
    // What alerts says nothing while all is well; what it looks at is there.
    expr.replace(/ (==|>) [\d.]+$/, ''),
  );
  const variables: Readonly<Record<string, string>> = {
    job: 'nfknock',
    instance: METRICS,
    __rate_interval: '10s',
  };
  return [...shown, ...alerts]
    .filter((expr) => !expr.includes('nfknock_fleet_'))
    .map((expr) => expr.replaceAll(/\$(\w+)/g, (_, name) => variables[name] ?? ''));
}

interface Dashboard {
  readonly panels: readonly { readonly targets: readonly { readonly expr: string }[] }[];
}

async function haveSomethingDone(): Promise<void> {
  const { clientA, clientB } = net;
  await clientA.exec(['knock', clientA.server4, '7000', '8000:udp', '9000']);
  await clientA.exec(['knock', clientA.server4, '7000', '8000:udp', '9000']);
  await clientB.exec(['knock', clientB.server4, '23', '2323', '9000']);
  await daemon.waitFor({ event: 'ban.added' }, 10_000);
  await daemon.waitFor({ event: 'door.closed', reason: 'expired' }, 20_000);
}

describe('the metrics', () => {
  it('hold what dashboard and alerts ask for from the start, so that a first time is seen as one', async () => {
    const exposed = (await get([`http://${METRICS}/metrics`])).join('').split('\n');
    const asked = expressions().flatMap((expr) => [
      ...expr.matchAll(/\b((?:nfknock|process)_\w+)(?:\{([^}]*)\})?/g),
    ]);
    expect(asked.length).toBeGreaterThan(30);
    expect(exposed.filter((line) => line.includes('nfknock_fleet'))).toEqual([]);
    for (const [, name = '', labels = ''] of asked) {
      if (!exposed.some((line) => line.startsWith(name))) throw new Error(`nothing shows ${name}`);
      for (const [, label, values = ''] of labels.matchAll(/(event|outcome|result|where)=~?"([^"]*)"/g)) {
        for (const value of values.split('|')) {
          const of = exposed.filter((line) => line.startsWith(`${name}{`));
          expect(of.join('\n')).toContain(`${label}="${value}"`);
        }
      }
    }
  });
});

// It is no small package, and would serve from the next boot on; where it is there it is asked.
if (hasPrometheus) {
  describe('a real Prometheus', () => {
    it('has an answer to each expression of dashboard and alerts, and alerts', async () => {
      const ask = await startPrometheus();
      await haveSomethingDone();
      // Rates want two scrapes.
      await sleep(2_500);
      const asked = expressions();
      const answers = await ask(...asked);
      expect(asked.filter((_, index) => answers[index]?.length === 0)).toEqual([]);

      writeFileSync(daemon.config, 'doors: 5\n');
      daemon.signal('SIGHUP');
      await daemon.waitFor({ event: 'config.rejected' }, 10_000);
      const firing = async (): Promise<string> => JSON.stringify(await ask('ALERTS{alertstate="firing"}'));
      await expect.poll(firing, { timeout: 20_000, interval: 500 }).toContain('"NfknockConfigRejected"');
    });
  });
}

type Ask = (...queries: readonly string[]) => Promise<readonly (readonly unknown[])[]>;

/** Scrapes the daemon each second; answers with how to ask it. */
async function startPrometheus(): Promise<Ask> {
  const folder = temporaryFolder();
  const config = {
    global: { scrape_interval: '1s', evaluation_interval: '1s' },
    scrape_configs: [{ job_name: 'nfknock', static_configs: [{ targets: [METRICS] }] }],
    rule_files: [join(ROOT, 'deploy/prometheus-alerts.yml')],
  };
  // JSON is YAML too.
  writeFileSync(join(folder, 'prometheus.yml'), JSON.stringify(config));
  startProcess(net.server.namespace, [
    'prometheus',
    `--config.file=${folder}/prometheus.yml`,
    `--storage.tsdb.path=${folder}/data`,
    `--web.listen-address=${PROMETHEUS}`,
  ]);
  const ask: Ask = async (...queries) => {
    const url = (query: string): string =>
      `http://${PROMETHEUS}/api/v1/query?${new URLSearchParams({ query }).toString()}`;
    return (await get(queries.map(url))).map((text, index) => {
      const answer = JSON.parse(text || '{}') as { data?: { result: unknown[] } };
      if (answer.data === undefined) throw new Error(`${queries[index]}: ${text}`);
      return answer.data.result;
    });
  };
  // Counters must have been seen before they are counted up.
  const scraped = (): Promise<number | undefined> =>
    ask('nfknock_bans').then(
      ([found]) => found?.length,
      () => 0,
    );
  await expect.poll(scraped, { timeout: 30_000, interval: 500 }).toBe(1);
  await sleep(1_500);
  return ask;
}
