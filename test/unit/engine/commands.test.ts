import { describe, expect, it } from 'vitest';
import type { Command, CommandAnswer } from '../../../src/engine/command.ts';
import type { EngineEvent } from '../../../src/engine/event.ts';
import { formatCidr } from '../../../src/packet/cidr.ts';
import { milliseconds } from '../../../src/packet/time.ts';
import { GRANTS_MAX } from '../../../src/policy/limits.ts';
import { address, cidr, door, ports, ranges, settings, type World, world } from './world.ts';

const ME = '198.51.100.7';
const OTHER = '203.0.113.9';
const DAY = 86_400_000;

function tell(w: World, command: Command): CommandAnswer {
  return w.engine.execute(command, milliseconds(w.now), (event: EngineEvent) => void w.events.push(event));
}
const mail = door({ name: 'mail', knock: ports('6100', '6200'), opens: ranges('25') });
const grant = (w: World, to: string, name = 'ssh', rest: object = {}): CommandAnswer =>
  tell(w, { command: 'grant', door: name, address: address(to), ...rest });
const ban = (w: World, to: string, rest: object = {}): CommandAnswer =>
  tell(w, { command: 'ban', address: address(to), ...rest });
const REFUSED = (reason: string): CommandAnswer => ({ ok: false, reason }) as CommandAnswer;
const CHANGED = (changed: number): CommandAnswer => ({ ok: true, changed });

describe('a grant by hand', () => {
  it('is for the time that was asked for, or the door’s own, and says why', () => {
    const w = world();
    expect(grant(w, ME, 'ssh', { for: milliseconds(5_000), reason: 'ticket 7' })).toEqual(CHANGED(1));
    expect(w.events.at(-1)).toMatchObject({ event: 'door.opened', until: w.now + 5_000, reason: 'ticket 7' });
    expect(grant(w, OTHER)).toEqual(CHANGED(1));
    expect(w.events.at(-1)).toMatchObject({ until: w.now + 30_000 });
    expect(w.events.at(-1)).not.toHaveProperty('reason');
  });

  it('of a door that is not there is refused', () => {
    expect(grant(world(), ME, 'ftp')).toEqual(REFUSED('unknown door'));
  });

  it(`is refused where ${GRANTS_MAX} are in force, and so is one that was knocked for; one less makes room`, () => {
    const w = world();
    for (let host = 0; host < GRANTS_MAX; host += 1) {
      expect(grant(w, `10.0.${host >> 8}.${host & 255}`).ok).toBe(true);
    }
    expect(grant(w, ME)).toEqual(REFUSED('full'));
    expect(w.engine.sizes().grants).toBe(GRANTS_MAX);
    expect(tell(w, { command: 'revoke', address: address('10.0.0.0') })).toEqual(CHANGED(1));
    expect(grant(w, ME)).toEqual(CHANGED(1));
  });
});

describe('what has ended', () => {
  it('is over for the next packet and the next command, though nobody looked at the clock before', () => {
    const w = world(settings({ bans: { strikes: 1, for: milliseconds(60_000) } }));
    w.send('23');
    expect(w.send('7000')).toBe('banned');
    w.now += 60_000;
    expect(w.send('7000')).toBe('accepted');
    expect(w.names()).toContain('ban.expired');

    grant(w, OTHER, 'ssh', { for: milliseconds(60_000) });
    w.now += 60_000;
    expect(tell(w, { command: 'revoke', address: address(OTHER) })).toEqual(REFUSED('not found'));
    expect(w.events.at(-1)).toMatchObject({ event: 'door.closed', reason: 'expired' });
  });
});

describe('who was banned before', () => {
  it('by hand, too, is remembered longer than who has strikes, however many of those there are', () => {
    const w = world(settings({ sources: 4, bans: { strikes: 2 } }));
    ban(w, OTHER, { for: milliseconds(1_000) });
    w.now += 1_000;
    for (let host = 1; host <= 20; host += 1) w.send('23', { from: `192.0.2.${host}` });
    for (const port of ['23', '161/udp']) w.send(port, { from: OTHER });
    expect(w.engine.bans()).toMatchObject([{ count: 2 }]);
  });
});

describe('a revocation', () => {
  it('ends every grant of the address, or that of one door, and says how many', () => {
    const w = world(settings({ doors: [door(), mail] }));
    const revoke = (name?: string): CommandAnswer =>
      tell(w, { command: 'revoke', address: address(ME), ...(name === undefined ? {} : { door: name }) });
    grant(w, ME);
    grant(w, ME, 'mail');
    expect(revoke('ftp')).toEqual(REFUSED('unknown door'));
    expect(revoke('mail')).toEqual(CHANGED(1));
    expect(revoke('mail')).toEqual(REFUSED('not found'));
    grant(w, ME, 'mail');
    expect(revoke()).toEqual(CHANGED(2));
    expect(revoke()).toEqual(REFUSED('not found'));
    expect(w.engine.grants()).toEqual([]);
  });
});

describe('a ban by hand', () => {
  it('lasts as its count would have it, and one that is there is given another end without counting again', () => {
    const w = world();
    expect(ban(w, ME)).toEqual(CHANGED(1));
    expect(w.events.at(-1)).toMatchObject({
      event: 'ban.added',
      until: w.now + 600_000,
      count: 1,
      reason: 'order',
    });
    w.now += 1_000;
    expect(ban(w, ME, { for: milliseconds(50) })).toEqual(CHANGED(1));
    expect(w.events.at(-1)).toMatchObject({ event: 'ban.extended', until: w.now + 50, count: 1 });
    expect(w.engine.bans()).toMatchObject([{ since: w.now - 1_000, until: w.now + 50, count: 1 }]);
    w.pass(50);
    expect(w.engine.bans()).toEqual([]);
    ban(w, ME);
    expect(w.events.at(-1)).toMatchObject({ until: w.now + 1_200_000, count: 2 });
    ban(w, ME);
    expect(w.events.at(-1)).toMatchObject({ event: 'ban.extended', until: w.now + 1_200_000, count: 2 });
  });

  it('is refused for who is never banned', () => {
    const w = world(settings({ bans: { never: [cidr('198.51.100.0/24')] } }));
    expect(ban(w, ME)).toEqual(REFUSED('never banned'));
    expect(ban(w, OTHER)).toEqual(CHANGED(1));
  });

  it('is lifted one by one or all together, and says how many', () => {
    const w = world();
    const unban = (): CommandAnswer => tell(w, { command: 'unban', address: address(ME) });
    expect(unban()).toEqual(REFUSED('not found'));
    ban(w, ME);
    expect(unban()).toEqual(CHANGED(1));
    ban(w, ME);
    ban(w, OTHER);
    ban(w, '2001:db8::7');
    expect(tell(w, { command: 'unban_all' })).toEqual(CHANGED(3));
    expect(w.events.slice(-3).map((event) => 'reason' in event && event.reason)).toEqual([
      'unban',
      'unban',
      'unban',
    ]);
    expect(tell(w, { command: 'unban_all' })).toEqual(CHANGED(0));
  });

  it('ends where its network is found to be one that is never banned', () => {
    const w = world();
    ban(w, ME);
    ban(w, OTHER);
    expect(tell(w, { command: 'exempt', networks: [cidr('198.51.100.0/24')] })).toEqual(CHANGED(1));
    expect(w.said().at(-1)).toBe(`ban.lifted ${ME} (exempt)`);
    expect(w.engine.bans()).toHaveLength(1);
  });
});

describe('bans that are looked through in pieces', () => {
  /** The same bans in both: hosts, and networks of IPv6 of which a host may have been the one to offend. */
  function banned(): World {
    const w = world(settings({ bans: { strikes: 1 } }));
    for (let each = 0; each < 40; each += 1) ban(w, `203.0.113.${each}`);
    for (let each = 0; each < 20; each += 1) w.send('23', { from: `2001:db8:0:${each}::7` });
    w.said();
    return w;
  }
  const found = (most: object): Command => ({
    command: 'exempt',
    networks: [
      cidr('203.0.113.8/29'),
      cidr('203.0.113.30'),
      cidr('2001:db8:0:3::1'),
      cidr('2001:db8:0:4::7'),
    ],
    ...most,
  });
  const targets = (w: World): string[] =>
    w.engine
      .bans()
      .map(({ target }) => formatCidr(target))
      .sort();

  it('are in the end those that they would be in one, whatever comes in between', () => {
    const whole = banned();
    expect(tell(whole, found({}))).toEqual(CHANGED(11));
    const most = 1 + Math.floor(Math.random() * 70);
    const w = banned();
    let answer = tell(w, found({ most }));
    let changed = 0;
    let pieces = 1;
    for (;;) {
      changed += answer.ok ? answer.changed : 0;
      // Who is exempt is so at once.
      w.send('23', { from: '203.0.113.30' });
      const rest = answer.ok ? answer.rest : undefined;
      if (rest === undefined) break;
      answer = tell(w, { command: 'lift_exempt', from: rest, most });
      pieces += 1;
    }
    expect([most, changed, targets(w)]).toEqual([most, 11, targets(whole)]);
    expect(pieces).toBe(Math.ceil(60 / most));
    const lifted = (of: World): string[] =>
      of
        .said()
        .filter((text) => text.startsWith('ban.'))
        .sort();
    expect(lifted(w)).toEqual(lifted(whole));
  });

  it('are not looked through where the same are exempt as before', () => {
    const w = banned();
    tell(w, found({}));
    expect(tell(w, found({ most: 1 }))).toEqual(CHANGED(0));
    expect(tell(w, { command: 'reload', settings: settings({ bans: { strikes: 1 } }), most: 1 })).toEqual(
      CHANGED(0),
    );
    const never = settings({ bans: { strikes: 1, never: [cidr('203.0.113.0/24')] } });
    expect(tell(w, { command: 'reload', settings: never, most: 1000 })).toEqual(CHANGED(31));
  });

  it('are lifted the first made first, no more than asked for', () => {
    const w = banned();
    const before = targets(w);
    expect(tell(w, { command: 'unban_all', most: 39 })).toEqual(CHANGED(39));
    expect(targets(w)).toEqual(before.filter((text) => text === '203.0.113.39' || text.includes(':')));
    expect(tell(w, { command: 'unban_all', most: 39 })).toEqual(CHANGED(21));
  });
});

describe('a connection', () => {
  const connect = (w: World, from: string, name = 'ssh'): CommandAnswer =>
    tell(w, { command: 'connected', door: name, source: address(from) });

  it('takes one use of each grant that covers it, and the last use ends the grant', () => {
    const w = world(settings({ doors: [door({ uses: 2 })] }));
    grant(w, ME);
    expect(connect(w, OTHER)).toEqual(REFUSED('not found'));
    expect(connect(w, ME)).toEqual(CHANGED(1));
    expect(w.engine.grants()).toMatchObject([{ usesLeft: 1 }]);
    expect(connect(w, ME)).toEqual({ ...CHANGED(1), ended: [cidr(ME)] });
    expect(w.engine.grants()).toEqual([]);
    expect(connect(w, ME, 'ftp')).toEqual(REFUSED('not found'));
  });

  it('of anyone takes a use of a grant to everyone, and none of a grant without uses', () => {
    const w = world(settings({ doors: [door({ uses: 2, grant: 'any' }), mail] }));
    w.knock('7000', '8000/udp', '9000');
    grant(w, ME, 'mail');
    expect(connect(w, OTHER)).toEqual(CHANGED(1));
    expect(connect(w, ME, 'mail')).toEqual(REFUSED('not found'));
  });
});

describe('what was kept over a restart', () => {
  const until = milliseconds(2_000_000);
  const kept = (host: string): Extract<Command, { command: 'restore' }>['bans'][number] => ({
    target: cidr(host),
    since: milliseconds(1),
    until,
    count: 3,
    origin: 'strikes',
  });
  const keptGrant = (
    host: string,
    name = 'ssh',
  ): Extract<Command, { command: 'restore' }>['grants'][number] => ({
    door: name,
    grantee: cidr(host),
    source: address(host),
    since: milliseconds(1),
    until,
    usesLeft: 4,
    reason: 'kept',
    holder: null,
  });
  const restore = (w: World, rest: Partial<Extract<Command, { command: 'restore' }>>): CommandAnswer =>
    tell(w, { command: 'restore', grants: [], bans: [], histories: [], ...rest });

  it('comes back as it was, without a word', () => {
    const w = world();
    expect(restore(w, { grants: [keptGrant(ME)], bans: [kept(OTHER)] })).toEqual(CHANGED(2));
    expect(w.engine.grants()).toMatchObject([
      { door: 'ssh', since: 1, opened: 1, until, usesLeft: 4, reason: 'kept' },
    ]);
    expect(w.engine.bans()).toMatchObject([{ since: 1, until, count: 3 }]);
    expect(w.events).toEqual([]);
    expect(w.send('7000', { from: OTHER })).toBe('banned');
  });

  it('is left out where its door is gone, the grant is there, or its host is never banned', () => {
    const w = world(settings({ bans: { never: [cidr('203.0.113.0/24')] } }));
    const grants = [keptGrant(ME, 'ftp'), keptGrant(ME), keptGrant(ME)];
    expect(restore(w, { grants, bans: [kept(OTHER), kept('192.0.2.7')] })).toEqual(CHANGED(2));
    expect(w.engine.grants()).toHaveLength(1);
    expect(w.engine.bans()).toHaveLength(1);
  });

  it('is no more than the table of bans holds', () => {
    const w = world(settings({ bans: { limit: 2 } }));
    const hosts = ['192.0.2.1', '192.0.2.2', '192.0.2.1', '192.0.2.3'];
    const bans = hosts.map((host, index) => ({ ...kept(host), count: index + 1 }));
    expect(restore(w, { bans })).toEqual(CHANGED(3));
    // The third says something else of the first; the fourth has no place.
    const held = w.engine.bans().map(({ target, count }) => `${formatCidr(target)} ${count}`);
    expect(held.sort()).toEqual(['192.0.2.1 3', '192.0.2.2 2']);
  });

  it('is remembered for the length of the next ban, also where the ban is over', () => {
    const w = world();
    restore(w, {
      histories: [{ target: cidr(ME), count: 4, since: milliseconds(0), until: milliseconds(1) }],
      bans: [kept(OTHER)],
    });
    ban(w, ME);
    expect(w.events.at(-1)).toMatchObject({ count: 5, until: w.now + 16 * 600_000 });
    tell(w, { command: 'unban', address: address(OTHER) });
    ban(w, OTHER);
    expect(w.events.at(-1)).toMatchObject({ count: 4 });
  });

  it('is forgotten when ten times the last ban has passed since its end, and at least a day', () => {
    for (const [length, kept] of [
      [600_000, DAY],
      [DAY / 10 + 1, DAY + 10],
      [DAY, 10 * DAY],
    ] as const) {
      for (const [late, count] of [
        [0, 3],
        [1, 1],
      ] as const) {
        const w = world();
        const [since, end] = [milliseconds(w.now - length), milliseconds(w.now)];
        restore(w, { histories: [{ target: cidr(ME), count: 2, since, until: end }] });
        w.now += kept + late;
        ban(w, ME);
        expect(w.events.at(-1)).toMatchObject({ count });
      }
    }
  });
});

describe('the next line of a one-time file', () => {
  it('is taken once, for a door that is there', () => {
    const w = world(settings({ doors: [door({ oneTime: true })] }));
    const next = (name: string, ...knock: string[]): CommandAnswer =>
      tell(w, { command: 'sequence', door: name, knock: ports(...knock) });
    expect(next('ftp', '1', '2')).toEqual(REFUSED('unknown door'));
    expect(next('ssh', '1', '2')).toEqual(CHANGED(1));
    expect(next('ssh', '1', '2')).toEqual(CHANGED(0));
    expect(next('ssh', '1', '2/udp')).toEqual(CHANGED(1));
    expect(next('ssh', '1', '2/udp', '3')).toEqual(CHANGED(1));
    expect(next('ssh', '1', '2/udp')).toEqual(CHANGED(1));
  });

  it('that is the same as the one before keeps the progress in it; another does not', () => {
    const w = world(settings({ doors: [door({ oneTime: true })] }));
    const next = (...knock: string[]): CommandAnswer =>
      tell(w, { command: 'sequence', door: 'ssh', knock: ports(...knock) });
    w.knock('7000', '8000/udp');
    next('7000', '8000/udp', '9000');
    w.knock('9000');
    expect(w.names().at(-1)).toBe('door.opened');
    next('7000', '8000', '9000');
    w.pass(71_000);
    w.knock('7000', '8000');
    next('7000', '8000', '9001');
    w.knock('9001');
    expect(w.engine.grants()).toEqual([]);
  });
});

describe('a grant that the kernel did not take', () => {
  it('is ended with the reason', () => {
    const w = world();
    const refuse = (): CommandAnswer =>
      tell(w, { command: 'refuse', door: 'ssh', grantee: cidr(ME), reason: 'refused' });
    expect(refuse()).toEqual(REFUSED('not found'));
    grant(w, ME);
    expect(refuse()).toEqual(CHANGED(1));
    expect(w.said().at(-1)).toBe(`door.closed ${ME} ssh (refused)`);
  });
});
