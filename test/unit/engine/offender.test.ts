import { describe, expect, it } from 'vitest';
import type { Command, CommandAnswer } from '../../../src/engine/command.ts';
import { formatCidr } from '../../../src/packet/cidr.ts';
import { milliseconds } from '../../../src/packet/time.ts';
import { HOSTS_OF_A_NETWORK_MAX } from '../../../src/policy/limits.ts';
import { cidr, door, ports, settings, type World, world } from './world.ts';

const DAY = 86_400_000;
const NEIGHBOUR = '2001:db8:0:1::bad';
const OWN = '2001:db8:0:1::1';

const tell = (w: World, command: Command): CommandAnswer =>
  w.engine.execute(command, milliseconds(w.now), (event) => w.events.push(event));

let touched = 0;

/** Touches decoys, each another one and so a strike of its own. */
function touch(w: World, from: string, times = 3): void {
  for (let index = 0; index < times; index += 1) {
    w.send(`${2300 + (touched % 100)}`, { from });
    touched += 1;
    w.now += 50;
  }
}

function knockAs(w: World, from: string): void {
  for (const port of ['7000', '8000/udp', '9000']) {
    w.now += 100;
    w.send(port, { from });
  }
}

const wrong = (w: World, from: string): void => {
  // The third is the rest of the second's mistake.
  for (const port of ['9000', '8000/udp', '9000', '8000/udp']) {
    w.now += 100;
    w.send(port, { from });
  }
};

const banned = (w: World): string[] => w.engine.bans().map(({ target }) => formatCidr(target));

describe('a /64 with an exempt address in it', () => {
  const world64 = (): World => world(settings({ bans: { never: [cidr(OWN)] } }));

  it('is struck and banned host by host', () => {
    const w = world64();
    touch(w, NEIGHBOUR);
    expect(banned(w)).toEqual([NEIGHBOUR]);
    expect(w.send('7000', { from: NEIGHBOUR })).toBe('banned');
    expect(w.send('7000', { from: '2001:db8:0:1::2' })).toBe('accepted');
    wrong(w, '2001:db8:0:1::3');
    expect(banned(w)).toContain('2001:db8:0:1::3');
    touch(w, OWN, 9);
    wrong(w, OWN);
    expect(banned(w)).not.toContain(OWN);
    // Other networks are what they were.
    touch(w, '2001:db8:0:2::7');
    expect(banned(w)).toContain('2001:db8:0:2::/64');
  });

  it('escalates host by host', () => {
    const w = world64();
    touch(w, NEIGHBOUR);
    w.pass(600_000);
    touch(w, NEIGHBOUR);
    touch(w, '2001:db8:0:1::4');
    expect(w.engine.bans().map(({ target, count }) => `${formatCidr(target)} ${count}`)).toEqual([
      `${NEIGHBOUR} 2`,
      '2001:db8:0:1::4 1',
    ]);
  });

  // Against: an IPv6 neighbour in one's own /64, never banned since the /64 is exempt
  // by: host by host there, at most 64
  it('never has more hosts than the most: the oldest of that /64 goes, and nobody else', () => {
    const w = world64();
    touch(w, '198.51.100.7');
    touch(w, '2001:db8:0:2::7');
    for (let host = 1; host <= HOSTS_OF_A_NETWORK_MAX + 2; host += 1)
      touch(w, `2001:db8:0:1::1:${host.toString(16)}`);
    const bans = banned(w);
    expect(bans).toHaveLength(HOSTS_OF_A_NETWORK_MAX + 2);
    expect(bans).toEqual(expect.arrayContaining(['198.51.100.7', '2001:db8:0:2::/64', '2001:db8:0:1::1:3']));
    expect(bans).not.toContain('2001:db8:0:1::1:1');
    expect(bans).not.toContain('2001:db8:0:1::1:2');
    expect(w.events.flatMap((event) => (event.event === 'ban.lifted' ? [event.reason] : []))).toEqual([
      'limit',
      'limit',
    ]);
    expect(w.engine.sizes().offenders).toBeLessThanOrEqual(HOSTS_OF_A_NETWORK_MAX + 2);
  });

  it('that is banned when the exempt address appears is banned no more; the host that earned it is', () => {
    const w = world();
    touch(w, NEIGHBOUR);
    expect(banned(w)).toEqual(['2001:db8:0:1::/64']);
    const { until } = w.engine.bans()[0] ?? { until: 0 };
    w.said();
    expect(tell(w, { command: 'exempt', networks: [cidr(OWN)] })).toEqual({ ok: true, changed: 1 });
    expect(w.said()).toEqual([
      'ban.lifted 2001:db8:0:1::/64 (exempt)',
      `ban.added ${NEIGHBOUR} (strikes) #0`,
    ]);
    expect(w.engine.bans()).toMatchObject([{ until, count: 1 }]);
    expect(w.send('7000', { from: OWN })).toBe('accepted');
    expect(tell(w, { command: 'unban', address: cidr(NEIGHBOUR).address })).toEqual({ ok: true, changed: 1 });
  });

  it('keeps such bans over a restart and a reload with other tables', () => {
    const w = world64();
    const target = cidr(NEIGHBOUR);
    const [since, until] = [milliseconds(1), milliseconds(w.now + 1_000)];
    const bans = [{ target, since, until, count: 2, origin: 'strikes' }] as const;
    tell(w, { command: 'restore', grants: [], histories: [], bans });
    expect(w.send('7000', { from: NEIGHBOUR })).toBe('banned');
    const other = settings({ sources: 64, bans: { never: [cidr(OWN)], limit: 7 } });
    tell(w, { command: 'reload', settings: other });
    expect(banned(w)).toEqual([NEIGHBOUR]);
    expect(w.send('7000', { from: NEIGHBOUR })).toBe('banned');
    expect(w.send('7000', { from: '2001:db8:0:1::2' })).toBe('accepted');
    w.pass(1_000);
    touch(w, NEIGHBOUR);
    expect(w.engine.bans()).toMatchObject([{ count: 3 }]);
  });
});

describe('a /64 in which a host holds a grant', () => {
  const HOLDER = '2001:db8:0:1::7';

  // Against: an IPv6 neighbour's decoys, or forged ones, shut a holder of a grant out with the whole /64
  // by: host by host where a holder or an exempt address is in the /64
  it('is not shut out by what a neighbour, or who forges one, does to decoys or by rate', () => {
    const w = world(settings({ bans: { rate: { packets: 5, per: milliseconds(1_000) } } }));
    knockAs(w, HOLDER);
    for (let host = 16; host < 200; host += 1) touch(w, `2001:db8:0:1::${host.toString(16)}`, 2);
    for (let index = 0; index < 40; index += 1) w.send('7000', { from: NEIGHBOUR });
    expect(banned(w)).toEqual([NEIGHBOUR]);
    w.pass(2_000);
    knockAs(w, HOLDER);
    expect(w.names().at(-1)).toBe('door.renewed');
    touch(w, HOLDER, 9);
    expect(banned(w)).toEqual([NEIGHBOUR]);
  });

  it('answers as a whole for wrong knocks, and for decoys again once the grant is over', () => {
    const w = world();
    knockAs(w, HOLDER);
    for (const [host, port] of ['9000', '8000/udp', '9000'].entries())
      w.send(port, { from: `2001:db8:0:1::1${host}` });
    expect(banned(w)).toEqual(['2001:db8:0:1::/64']);
    w.pass(DAY);
    for (const host of [1, 2, 3]) touch(w, `2001:db8:0:1::1${host}`, 1);
    expect(banned(w)).toEqual(['2001:db8:0:1::/64']);
  });
});

describe('opening a door', () => {
  it('forgives strikes and the count of bans, and says whose count it was', () => {
    for (const from of ['198.51.100.7', '2001:db8:0:1::7']) {
      const w = world();
      for (let times = 0; times < 3; times += 1) {
        touch(w, from);
        w.pass(DAY / 2);
      }
      touch(w, from, 2);
      knockAs(w, from);
      const forgiven = from.includes(':') ? '2001:db8:0:1::/64' : from;
      const opened = w.events.at(-1);
      expect(opened).toMatchObject({ event: 'door.opened', forgiven: [cidr(forgiven)] });
      w.pass(31_000);
      touch(w, from, 3);
      expect(w.engine.bans()).toMatchObject([{ count: 1 }]);
    }
  });
});

describe('the count of bans', () => {
  it('is kept for ten times the last ban, and at least a day', () => {
    for (const [length, kept] of [
      [600_000, DAY],
      [DAY / 4, (DAY / 4) * 10],
    ] as const) {
      for (const [late, count] of [
        [0, 2],
        [1, 1],
      ] as const) {
        const w = world(
          settings({ bans: { for: milliseconds(length), within: milliseconds(1), strikes: 1 } }),
        );
        touch(w, '198.51.100.7', 1);
        const { until } = w.engine.bans()[0] ?? { until: 0 };
        w.pass(until - w.now + kept + late);
        touch(w, '198.51.100.7', 1);
        expect(w.engine.bans()).toMatchObject([{ count }]);
      }
    }
  });
});

describe('what everybody may come from', () => {
  const GATEWAY = '198.51.100.1';
  const behind = (): World => {
    const w = world(
      settings({ doors: [door(), door({ name: 'web', knock: ports('1', '2'), grant: 'any' })] }),
    );
    tell(w, {
      command: 'exempt',
      networks: [cidr('192.0.2.1')],
      everybody: [cidr(GATEWAY), cidr('2001:db8::53')],
    });
    return w;
  };

  // Against: everybody coming from the gateway's address (source NAT in front): one knock would open for all
  // by: such a grant is refused and said
  it('is given no grant for a knock, and it is said why; by hand and to everybody it is', () => {
    for (const from of [GATEWAY, '2001:db8::53']) {
      const w = behind();
      knockAs(w, from);
      expect(w.said().at(-1)).toBe(`door.refused ${from} ssh (gateway or name server)`);
      expect(w.engine.grants()).toEqual([]);
      for (const port of ['1', '2']) w.send(port, { from });
      expect(w.engine.grants().map(({ door: name }) => name)).toEqual(['web']);
      const command = { command: 'grant', door: 'ssh', address: cidr(from).address } as const;
      expect(tell(w, command)).toEqual({ ok: true, changed: 1 });
      const { until } = w.engine.grant('ssh', cidr(from)) ?? { until: 0 };
      w.pass(10_000);
      knockAs(w, from);
      expect(w.engine.grant('ssh', cidr(from))?.until).toBe(until);
    }
  });

  it('is not this machine, nor whoever is never banned by the configuration', () => {
    const w = world(settings({ bans: { never: [cidr('203.0.113.9')] } }));
    tell(w, { command: 'exempt', networks: [cidr('192.0.2.1')], everybody: [cidr(GATEWAY)] });
    for (const from of ['203.0.113.9', '192.0.2.1']) {
      knockAs(w, from);
      expect(w.said().at(-1)).toBe(`door.opened ${from} ssh`);
    }
  });
});

describe('an offence of whom nobody may ban', () => {
  it('says why, once it would have been a ban', () => {
    const never = [cidr('203.0.113.9')];
    for (const [from, exempt] of [
      ['203.0.113.9', 'bans.never'],
      ['192.0.2.1', 'own address'],
      ['198.51.100.1', 'gateway or name server'],
    ] as const) {
      const w = world(settings({ bans: { never } }));
      tell(w, { command: 'exempt', networks: [cidr('192.0.2.1')], everybody: [cidr('198.51.100.1')] });
      touch(w, from, 4);
      const said = w.events.map((event) => ('exempt' in event ? event.exempt : undefined));
      expect(said).toEqual([undefined, undefined, exempt, exempt]);
    }
    const w = world();
    knockAs(w, '198.51.100.7');
    touch(w, '198.51.100.7', 1);
    expect(w.events.at(-1)).toMatchObject({ event: 'decoy.hit', exempt: 'holds a grant' });
  });

  it('says why for wrong and too-fast knocks too', () => {
    const from = '203.0.113.9';
    const never = [cidr(from)];
    const gap = { min: milliseconds(50), max: milliseconds(8000) };
    for (const [event, one, knocks] of [
      ['knock.wrong', door(), ['9000', '8000/udp', '9000', '8000/udp']],
      ['knock.too_fast', door({ gap }), ['7000', '8000/udp', '7000', '8000/udp', '7000', '8000/udp']],
    ] as const) {
      const w = world(settings({ doors: [one], bans: { never } }));
      for (const port of knocks) w.send(port, { from });
      const struck = w.events.filter((each) => each.event === event && 'strikes' in each);
      expect(struck.map((each) => ('exempt' in each ? each.exempt : undefined))).toEqual([
        undefined,
        undefined,
        'bans.never',
      ]);
    }
  });
});

describe('a reload', () => {
  it.each([
    ['more', 2, 9, [2, 3]],
    ['fewer', 9, 2, [2]],
  ])('that asks for %s strikes counts as many from its first packet on', (_, before, after, counted) => {
    const w = world(settings({ bans: { strikes: before } }));
    w.send('23');
    const changed = settings({ bans: { strikes: after } });
    w.engine.execute({ command: 'reload', settings: changed, most: 1 }, milliseconds(w.now), () => undefined);
    const said = w.events.length;
    for (const port of ['161/udp', '2323']) w.send(port);
    const struck = w.events
      .slice(said)
      .flatMap((event) => (event.event === 'decoy.hit' ? event.strikes : []));
    expect(struck).toEqual(counted);
  });
});
