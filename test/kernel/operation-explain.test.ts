import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { nfknock } from '../support/bans-lab.ts';
import type { Daemon } from '../support/daemon.ts';
import { createNet, type Net } from '../support/net.ts';

/** What whoever is asked at night "why does it not open?" gets to read. */

const CONFIG = {
  doors: { ssh: { knock: ['7000/tcp', '8000/udp', '9000/tcp'], opens: ['22/tcp'], for: '1m' } },
  decoys: ['23/tcp'],
};
const LATE = 10_000;

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

async function explained(source: string): Promise<readonly string[]> {
  const { stdout } = await nfknock(net.server, daemon, 'explain', source);
  return stdout
    .trimEnd()
    .split('\n')
    .map((line) => line.replace(/^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d +/, '').replaceAll(/ {2,}/g, ' | '));
}

describe('explain', () => {
  it('tells a wrong knock from one that began nothing, and what came of them', async () => {
    const { v4 } = await net.clientA.moveToFreshSource();
    await net.clientA.exec(['knock', net.clientA.server4, '7000', '9000', '8000:udp', '23']);
    await daemon.waitFor({ event: 'ban.added', source: v4 }, LATE);
    expect((await explained(v4)).slice(1)).toEqual([
      '',
      'TIME (UTC) | PORT | OUTCOME | WHY',
      '7000/tcp | accepted | a right knock: ssh step 1 of 3',
      '9000/tcp | wrong | a wrong knock: the attempt is broken off (ssh step 1 of 3) [out of order]; strike 1',
      '8000/udp | wrong | a port of a sequence, and not the first: nothing was begun [out of order]; strike 2',
      '23/tcp | decoy | a decoy: nothing is behind this port, so touching it is scanning; strike 3',
      'ban.added | banned [strikes]; strike 3',
    ]);
  });

  it('tells who was let in by a knock, and who by hand, with or without a reason', async () => {
    const { v4, v6 } = await net.clientA.moveToFreshSource();
    await net.clientA.exec(['knock', net.clientA.server4, '7000', '8000:udp', '9000']);
    await daemon.waitFor({ event: 'door.opened', source: v4 }, LATE);
    expect((await explained(v4)).slice(3)).toEqual([
      '7000/tcp | accepted | a right knock: ssh step 1 of 3',
      '8000/udp | accepted | a right knock: ssh step 2 of 3',
      '9000/tcp | opened | the last knock: ssh is open',
    ]);
    for (const reason of [[], ['--reason', 'ticket 4711']]) {
      await nfknock(net.server, daemon, 'grant', 'ssh', v6, ...reason);
      await nfknock(net.server, daemon, 'revoke', v6);
    }
    expect((await explained(v6)).slice(3)).toEqual([
      'door.opened | let in at ssh',
      'door.closed | no longer let in at ssh [revoked]',
      'door.opened | let in at ssh [ticket 4711]',
      'door.closed | no longer let in at ssh [revoked]',
    ]);
  });

  it('and grant say of who is banned that he is not let in by a grant', async () => {
    const { v4 } = await net.clientA.moveToFreshSource();
    expect(await nfknock(net.server, daemon, 'grant', 'ssh', v4)).toMatchObject({ stderr: '' });
    expect((await explained(v4))[0]).toMatch(/is let in at ssh for another/);
    await nfknock(net.server, daemon, 'ban', v4);
    const { code, stdout, stderr } = await nfknock(net.server, daemon, 'grant', 'ssh', v4, '--json');
    expect([code, (JSON.parse(stdout) as { grantee: string }).grantee]).toEqual([0, v4]);
    expect(stderr).toMatch(
      /^nfknock: warning: .* is banned for another 1?\dm[^,]*, and a ban comes before a grant: nfknock unban /,
    );
    expect((await explained(v4)).slice(0, 2)).toEqual([
      expect.stringMatching(/is banned for another/),
      expect.stringMatching(/has a grant for ssh .*, but the ban comes first: nfknock unban /),
    ]);
    await net.server.listen(22);
    expect(await net.clientA.canConnect(net.clientA.server4, 22, 300)).toBe(false);
    await nfknock(net.server, daemon, 'unban', v4);
    expect(await net.clientA.canConnect(net.clientA.server4, 22, LATE)).toBe(true);
  });
});
