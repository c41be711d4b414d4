import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { get, type IncomingMessage, request } from 'node:http';
import { type AddressInfo, createConnection, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { NfknockEvent } from '../../../src/engine/event.ts';
import type { Reading } from '../../../src/metrics/registry.ts';
import { type Metrics, openMetrics } from '../../../src/metrics/server.ts';
import { ipv4 } from '../../../src/packet/address.ts';
import { parsePort } from '../../../src/packet/port.ts';
import { milliseconds } from '../../../src/packet/time.ts';

const READING: Reading = {
  version: '1.2.3',
  packets: { accepted: 3, decoy: 40, malformed: 0 },
  queue: { packets: 43, batches: 12, depth: 5, kernelDropped: 7, userDropped: 1, errors: 0, overruns: 2 },
  lag: milliseconds(1.5),
  grants: { ssh: 1, web: 0 },
  bans: 9,
  sources: 11,
  sourcesMax: 262_144,
  keys: { macs: 3, overloaded: 2, seen: 1, lastUsed: { ada: 1_763_700_000_000 } },
  fleet: null,
  stateOk: true,
  logOk: true,
  firewallOk: false,
  stoodDown: false,
};
const at = milliseconds(0);
const source = ipv4(1);
const port = parsePort('7000/tcp') ?? expect.unreachable();

let directory = '';
let path = '';
let metrics: Metrics | undefined;
let asked = 0;
const read = (): Reading => {
  asked++;
  return READING;
};
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'nfknock-metrics-'));
  path = join(directory, 'metrics.sock');
  asked = 0;
});
afterEach(async () => {
  await metrics?.close();
  metrics = undefined;
  rmSync(directory, { recursive: true, force: true });
});

interface Answer {
  readonly status: number | undefined;
  readonly body: string;
  readonly type: string | undefined;
}
async function ask(method = 'GET', url = '/metrics', body?: string): Promise<Answer> {
  const asking = request({ socketPath: path, path: url, method });
  asking.on('error', () => undefined);
  asking.end(body);
  const [response] = (await once(asking, 'response')) as [IncomingMessage];
  return { status: response.statusCode, body: await text(response), type: response.headers['content-type'] };
}
async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port: free } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return free;
}

describe('the metrics', () => {
  test('say how the daemon stands when they are asked', async () => {
    metrics = await openMetrics(path, read);
    const { status, body, type } = await ask();
    expect(status).toBe(200);
    expect(type).toBe('text/plain; version=0.0.4; charset=utf-8');
    for (const line of [
      'nfknock_info{version="1.2.3"} 1',
      'nfknock_packets_total{outcome="decoy"} 40',
      'nfknock_queue_dropped_total{where="queue"} 7',
      'nfknock_queue_dropped_total{where="socket"} 1',
      'nfknock_queue_depth 5',
      'nfknock_lag_seconds 0.0015',
      'nfknock_grants{door="ssh"} 1',
      'nfknock_bans 9',
      'nfknock_sources_max 262144',
      'nfknock_state_ok 1',
      'nfknock_spa_macs_total 3',
      'nfknock_spa_overload_packets_total 2',
      'nfknock_spa_seen 1',
      'nfknock_key_last_used_seconds{key="ada"} 1763700000',
      'nfknock_firewall_ok 0',
      'nfknock_events_total{event="door.opened"} 0',
    ]) {
      expect(body.split('\n')).toContain(line);
    }
    expect(body).toMatch(/^process_resident_memory_bytes \d+$/m);
  });

  test('count events, knocks and doors', async () => {
    metrics = await openMetrics(path, read);
    const events: NfknockEvent[] = [
      { event: 'knock.accepted', at, source, door: 'ssh', port, step: 1, of: 2 },
      { event: 'knock.accepted', at, source, door: 'ssh', port, step: 2, of: 2 },
      { event: 'knock.wrong', at, source, port, reason: 'out of order' },
      { event: 'door.opened', at, source, door: 'ssh', ports: [], grantee: 'any', until: at },
      { event: 'door.closed', at, source, door: 'ssh', ports: [], grantee: 'any', reason: 'expired' },
      { event: 'log.suppressed', at, of_event: 'decoy.hit', count: 17 },
    ];
    for (const event of events) metrics.observe(event);
    const lines = (await ask()).body.split('\n');
    for (const line of [
      'nfknock_events_total{event="knock.accepted"} 2',
      'nfknock_knocks_total{door="ssh",result="accepted"} 2',
      'nfknock_knocks_total{door="",result="wrong"} 1',
      'nfknock_doors_opened_total{door="ssh"} 1',
      'nfknock_doors_closed_total{door="ssh",reason="expired"} 1',
      'nfknock_log_lines_suppressed_total 17',
    ]) {
      expect(lines).toContain(line);
    }
  });

  test('measure how many packets a batch has, and how long a door takes to open', async () => {
    metrics = await openMetrics(path, read);
    for (const packets of [1, 1, 100]) metrics.observeBatch(packets);
    metrics.observeOpening(milliseconds(0.4));
    const lines = (await ask()).body.split('\n');
    for (const line of [
      'nfknock_batch_packets_bucket{le="1"} 2',
      'nfknock_batch_packets_bucket{le="128"} 3',
      'nfknock_batch_packets_sum 102',
      'nfknock_opening_seconds_bucket{le="0.0005"} 1',
      'nfknock_opening_seconds_count 1',
    ]) {
      expect(lines).toContain(line);
    }
  });

  test('do not grow when they are asked again, and ask the daemon once for many requests', async () => {
    metrics = await openMetrics(path, read);
    const begun = performance.now();
    const answers = await Promise.all(Array.from({ length: 10 }, () => ask()));
    // Once in 250 ms, however long a busy machine takes over ten requests.
    expect(asked).toBeLessThanOrEqual(1 + Math.floor((performance.now() - begun) / 250));
    expect(new Set(answers.map(({ body }) => body)).size).toBe(1);
    const before = asked;
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect((await ask()).body).toContain('nfknock_packets_total{outcome="decoy"} 40\n');
    expect(asked).toBe(before + 1);
  });

  test('say how it stands with the fleet, and nothing of one where the machine is alone', async () => {
    metrics = await openMetrics(path, read);
    expect((await ask()).body).not.toContain('nfknock_fleet');
    await metrics.close();
    const messages = [{ kind: 'ban', direction: 'in', count: 5 }] as const;
    const claims = { won: 3, used: 1, shut: 2 };
    const fleet = {
      up: true,
      members: 3,
      messages,
      parked: 4,
      outbox: 2,
      refused: { limit: 7 },
      claims,
      offset: -0.012,
    };
    metrics = await openMetrics(path, () => ({ ...READING, fleet }), 'in a fleet');
    metrics.observeApplied(milliseconds(4));
    const lines = (await ask()).body.split('\n');
    for (const line of [
      'nfknock_fleet_up 1',
      'nfknock_fleet_members 3',
      'nfknock_fleet_messages_total{kind="ban",direction="in"} 5',
      'nfknock_fleet_outbox 2',
      'nfknock_fleet_parked 4',
      'nfknock_fleet_refused_total{reason="limit"} 7',
      'nfknock_fleet_claims_total{result="shut"} 2',
      'nfknock_fleet_offset_seconds -0.012',
      'nfknock_fleet_apply_seconds_bucket{le="0.005"} 1',
      'nfknock_fleet_apply_seconds_bucket{le="0.002"} 0',
    ]) {
      expect(lines).toContain(line);
    }
  });

  test('say NaN for the lag while it is unknown', async () => {
    metrics = await openMetrics(path, () => ({ ...READING, lag: null }));
    expect((await ask()).body).toMatch(/^nfknock_lag_seconds nan$/im);
  });
});

describe('the place of the metrics', () => {
  test('is a loopback port', async () => {
    const free = await freePort();
    metrics = await openMetrics(`127.0.0.1:${free}`, read);
    const [response] = (await once(get(`http://127.0.0.1:${free}/metrics`), 'response')) as [IncomingMessage];
    expect(await text(response)).toContain('nfknock_bans 9\n');
  });

  test('is a Unix socket that only owner and group reach; one left from a killed process is replaced', async () => {
    const child = createServer().listen(path);
    await once(child, 'listening');
    // A listener that ends in order removes its file: the stale one is made by moving it aside meanwhile.
    renameSync(path, `${path}.kept`);
    child.close();
    await once(child, 'close');
    renameSync(`${path}.kept`, path);
    metrics = await openMetrics(path, read);
    expect(statSync(path).mode & 0o777).toBe(0o660);
    expect((await ask()).status).toBe(200);
    await metrics.close();
    expect(existsSync(path)).toBe(false);
  });

  test('that another program has is refused in words that say how to fix it', async () => {
    metrics = await openMetrics(path, read);
    await expect(openMetrics(path, read)).rejects.toThrow(
      /can not be listened on \(EADDRINUSE\): another program has it; name another/,
    );
    expect((await ask()).status).toBe(200);
  });

  test('that is a file is left alone', async () => {
    writeFileSync(path, 'precious');
    await expect(openMetrics(path, read)).rejects.toMatchObject({ name: 'MetricsError', code: 'EADDRINUSE' });
    expect(readFileSync(path, 'utf8')).toBe('precious');
  });
});

describe('a client of the metrics', () => {
  test.each([
    ['GET', '/', 404],
    ['GET', '/metrics/../etc/passwd', 404],
    ['GET', '/metrics?debug=1', 200],
    ['POST', '/metrics', 405],
    ['DELETE', '/metrics', 405],
  ])('that says %s %s gets %i', async (method, url, status) => {
    metrics = await openMetrics(path, read);
    expect((await ask(method, url, method === 'POST' ? 'body' : undefined)).status).toBe(status);
  });

  test('that sends garbage, endless headers or nothing stalls nobody', async () => {
    metrics = await openMetrics(path, read);
    const clients: Socket[] = [];
    for (const bytes of [
      '\u0000\u0001\u0002garbage\r\n\r\n',
      `GET /metrics HTTP/1.1\r\n${'X: y\r\n'.repeat(5000)}`,
      '',
    ]) {
      const client = createConnection(path);
      client.on('error', () => undefined);
      client.write(bytes);
      clients.push(client);
    }
    expect((await ask()).status).toBe(200);
    for (const client of clients) client.destroy();
  });

  test('that opens hundreds of connections gets a few, and the daemon ends in order all the same', async () => {
    metrics = await openMetrics(path, read);
    const clients = Array.from({ length: 200 }, () => createConnection(path).on('error', () => undefined));
    const closed = clients.map(
      (client) => new Promise<void>((resolve) => client.on('close', () => resolve())),
    );
    let open = 200;
    for (const each of closed) void each.then(() => open--);
    for (const client of clients) client.resume();
    await expect.poll(() => open).toBeLessThanOrEqual(16);
    await metrics.close();
    await Promise.all(closed);
  });
});
