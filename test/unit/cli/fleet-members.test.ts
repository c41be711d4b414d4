import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { command } from '../../../src/cli/commands/fleet.ts';
import { statusLines } from '../../../src/cli/commands/status.ts';
import { EXIT } from '../../../src/cli/exit.ts';
import { memberLines } from '../../../src/cli/fleet/members.ts';
import { DEFINITIONS } from '../../../src/cli/program.ts';
import type { FleetRow, Status } from '../../../src/control/status.ts';
import { STATUS } from '../control/example.ts';
import { cannedDaemon, folder } from './canned.ts';

const FLEET: FleetRow = {
  name: 'edge1',
  engine: 'rediss://192.0.2.25:6379',
  up: true,
  since: '2026-11-21T06:00:00.000Z',
  offset: 3,
  outbox: 2,
  parked: 0,
  members: [
    {
      ...{ name: 'edge2', version: '0.1.0', seen: '2026-11-21T06:40:00.000Z', lag: 420, offset: -12 },
      ...{ bans: 17, grants: 1, differs: ['ssh', 'web'] },
    },
    {
      ...{ name: 'edge3', version: null, seen: null, lag: null, offset: null },
      ...{ bans: 0, grants: 0, differs: [] },
    },
  ],
  claims: { won: 3, used: 1, shut: 0 },
  refused: 5,
  shed: 0,
};
const VIEW = { width: null, now: 0 };

let out = '';
let said = '';

beforeEach(() => {
  [out, said] = ['', ''];
  vi.spyOn(process.stdout, 'write').mockImplementation((text) => {
    out += String(text);
    return true;
  });
  vi.spyOn(process.stderr, 'write').mockImplementation((text) => {
    said += String(text);
    return true;
  });
});
afterEach(() => {
  vi.restoreAllMocks();
  vi.unstubAllEnvs();
});

async function asked(status: Partial<Status>, json?: true): Promise<number> {
  const { path } = await cannedDaemon(() => ({ ok: true, data: { ...STATUS, ...status } }));
  vi.stubEnv('NFKNOCK_CONTROL', path);
  return command([], { config: join(folder(), 'none.yaml'), ...(json === undefined ? {} : { json }) });
}

describe('nfknock fleet', () => {
  it('lists the members for people', async () => {
    expect([await asked({ fleet: FLEET }), said]).toEqual([EXIT.done, '']);
    expect(out).toBe(
      [
        "edge1 at rediss://192.0.2.25:6379: up since 2026-11-21 06:00:00 UTC, clock 3 ms ahead of the engine's",
        '2 to be told, 5 not believed, 0 not told; claims: 3 won, 1 used, 0 shut',
        '2 other members',
        '',
        'MEMBER  VERSION  SEEN (UTC)              LAG  OFFSET  BANS  GRANTS  DIFFERS',
        'edge2   0.1.0    2026-11-21 06:40:00  420 ms  -12 ms    17       1  ssh, web',
        'edge3            never                                   0       0',
        '',
      ].join('\n'),
    );
  });

  it("has the daemon's own data with --json", async () => {
    expect(await asked({ fleet: FLEET }, true)).toBe(EXIT.done);
    expect(JSON.parse(out)).toEqual(FLEET);
  });

  it('ends with 1 where this machine is apart, and says what to do', async () => {
    const problems = [
      { what: 'bans are only logged', fix: 'set bans.enforce' },
      { what: "the fleet's engine does not answer since 12:03: refused", fix: 'start it' },
    ];
    expect(await asked({ fleet: { ...FLEET, up: false }, problems })).toBe(EXIT.failed);
    expect(said).toBe("nfknock: the fleet's engine does not answer since 12:03: refused; start it\n");
    expect(out).toContain('edge1 at rediss://192.0.2.25:6379: apart since ');
  });

  it('ends with 1 and says so where the daemon is in no fleet', async () => {
    expect([await asked({ fleet: null }), out]).toEqual([EXIT.failed, '']);
    expect(said).toMatch(/^nfknock: the daemon is in no fleet: .*docs\/fleet\.md/);
  });

  it('ends with 5 where no daemon answers', async () => {
    vi.stubEnv('NFKNOCK_CONTROL', join(folder(), 'nobody.sock'));
    expect(await command([], { config: join(folder(), 'none.yaml') })).toBe(EXIT.noDaemon);
  });

  it('takes none of the options of its actions', async () => {
    expect(await command([], { config: 'none', group: 'main' })).toBe(EXIT.usage);
    expect(said).toContain('--group is not for "fleet": leave it out');
  });

  it('has something to say where nobody else is known, or a version holds what a terminal acts on', () => {
    expect(memberLines({ ...FLEET, members: [] }, VIEW).at(-1)).toBe('No other member is known.');
    const [member] = FLEET.members;
    const hostile = { ...(member ?? expect.unreachable()), version: '\u001b[2J' };
    expect(memberLines({ ...FLEET, members: [hostile] }, VIEW).join('\n')).not.toContain('\u001b');
  });
});

it('status has a line of the fleet, and none where the machine is alone', () => {
  const lines = (fleet: FleetRow | null): string => statusLines({ ...STATUS, fleet }, VIEW).join('\n');
  expect(lines(FLEET)).toContain('\nfleet     edge1: up, 2 other members, 2 to be told (nfknock fleet)\n');
  expect(lines(null)).not.toContain('fleet');
});

it.each(['ban', 'unban', 'grant', 'revoke'])('%s takes --here', (name) => {
  const { options = [] } = DEFINITIONS.find((each) => each.name === name) ?? expect.unreachable();
  expect(options.map(({ long }) => long)).toContain('--here');
});
