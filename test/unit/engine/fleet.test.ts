import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Command, CommandAnswer, FleetBan, FleetGrant } from '../../../src/engine/command.ts';
import { formatCidr, hostCidr } from '../../../src/packet/cidr.ts';
import { milliseconds } from '../../../src/packet/time.ts';
import { address, cidr, door, packetOf, ports, settings, type World, world } from './world.ts';

const ME = '198.51.100.7';
const NETWORK = '2001:db8:0:1::/64';

type Hearing = Extract<Command, { command: 'fleet' }>;

function hear(w: World, said: Partial<Omit<Hearing, 'command'>>): CommandAnswer {
  const command: Hearing = { command: 'fleet', origin: 'edge2', lifts: [], grants: [], bans: [], ...said };
  return w.engine.execute(command, milliseconds(w.now), (event) => void w.events.push(event));
}

function banOf(w: World, target: string, more: Partial<FleetBan> = {}): FleetBan {
  const [since, until] = [milliseconds(w.now - 5), milliseconds(w.now + 60_000)];
  return { target: cidr(target), since, until, count: 1, origin: 'strikes', ...more };
}

function grantOf(w: World, to: string, more: Partial<FleetGrant> = {}): FleetGrant {
  const source = address(to);
  const [opened, until] = [milliseconds(w.now - 5), milliseconds(w.now + 20_000)];
  return { door: 'ssh', grantee: hostCidr(source), source, opened, until, usesLeft: null, ...more };
}

const bansOf = (w: World): readonly string[] => w.engine.bans().map(({ target }) => formatCidr(target));

describe("another member's ban", () => {
  it('is in force here, and says whose word it is', () => {
    const w = world();
    expect(hear(w, { bans: [banOf(w, ME)] })).toEqual({ ok: true, changed: 1 });
    expect(w.events).toMatchObject([{ event: 'ban.added', reason: 'fleet', origin: 'edge2', count: 1 }]);
    expect(w.engine.ban(address(ME))).toMatchObject({ from: 'edge2', origin: 'strikes' });
    expect(w.send('7000')).toBe('banned');
    w.pass(60_000);
    expect(w.send('7000')).toBe('accepted');
  });

  it('never holds whom this machine exempts, nor a network that has one of them in it', () => {
    const never = [cidr('198.51.100.0/24'), cidr('2001:db8:0:1::7')];
    const w = world(settings({ bans: { never } }));
    const bans = [banOf(w, ME), banOf(w, NETWORK), banOf(w, '2001:db8:0:1::7', { origin: 'order' })];
    expect(hear(w, { bans })).toEqual({ ok: true, changed: 0, leftOut: new Map([['exempt', 3]]) });
    expect(w.events).toEqual([]);
  });

  it('ends where its target becomes exempt', () => {
    const w = world();
    hear(w, { bans: [banOf(w, ME)] });
    const networks = [cidr(ME)];
    w.engine.execute({ command: 'exempt', networks }, milliseconds(w.now), (event) => w.events.push(event));
    expect(w.events.at(-1)).toMatchObject({ event: 'ban.lifted', reason: 'exempt' });
  });

  it('does not hold who was let in, in whichever order the two come, unless somebody wants it', () => {
    for (const first of ['ban', 'grant'] as const) {
      const w = world();
      const ban = { bans: [banOf(w, ME)] };
      const grant = { grants: [grantOf(w, ME)] };
      hear(w, first === 'ban' ? ban : grant);
      hear(w, first === 'ban' ? grant : ban);
      expect([bansOf(w), w.engine.grants().length]).toEqual([[], 1]);
      hear(w, { bans: [banOf(w, ME, { origin: 'order' })] });
      expect(bansOf(w)).toEqual([ME]);
    }
  });

  it('does not hold the /64 of a host that was let in', () => {
    const w = world();
    hear(w, { grants: [grantOf(w, '2001:db8:0:1::7')] });
    expect(hear(w, { bans: [banOf(w, NETWORK)] })).toMatchObject({
      leftOut: new Map([['holds a grant', 1]]),
    });
  });

  it('that began with one of this machine is the same for escalation, however often it is said', () => {
    const w = world(settings({ bans: { strikes: 1, for: milliseconds(60_000) } }));
    w.send('23');
    for (let time = 0; time < 5; time += 1) hear(w, { bans: [banOf(w, ME, { count: 1 })] });
    expect(w.engine.ban(address(ME))).toMatchObject({ count: 1 });
    w.pass(70_000);
    w.send('2300');
    expect(w.engine.ban(address(ME))).toMatchObject({ count: 2 });
  });

  it('that is over already is counted, and holds nobody', () => {
    const w = world(settings({ bans: { strikes: 1, for: milliseconds(60_000) } }));
    hear(w, { bans: [banOf(w, ME, { count: 3, until: milliseconds(w.now) })] });
    expect(w.events).toEqual([]);
    w.send('23');
    expect(w.engine.ban(address(ME))).toMatchObject({ count: 4 });
  });

  it('is only said in shadow', () => {
    const w = world();
    hear(w, { bans: [banOf(w, ME)], shadow: true });
    expect(w.events).toMatchObject([{ event: 'ban.added', origin: 'edge2', shadow: true }]);
    expect(w.send('7000')).toBe('accepted');
  });

  it('is lifted where another member lifts it, and a ban by hand only by a lift of such', () => {
    const w = world();
    hear(w, { bans: [banOf(w, ME, { origin: 'order' })] });
    hear(w, { lifts: [{ lift: 'ban', target: cidr(ME), only: 'strikes' }] });
    expect(bansOf(w)).toEqual([ME]);
    hear(w, { origin: 'edge3', lifts: [{ lift: 'ban', target: cidr(ME), only: 'order' }] });
    expect(w.events.at(-1)).toMatchObject({ event: 'ban.lifted', reason: 'fleet', origin: 'edge3' });
  });

  it('of this machine lasts as long as the longest, and is a hand order once anybody wants it', () => {
    const w = world(settings({ bans: { strikes: 1, for: milliseconds(30_000) } }));
    w.send('23');
    hear(w, { bans: [banOf(w, ME)] });
    hear(w, { bans: [banOf(w, ME, { until: milliseconds(w.now + 10_000), origin: 'order' })] });
    expect(w.engine.bans()).toMatchObject([{ until: w.now + 60_000, origin: 'order', from: 'edge2' }]);
  });
});

describe("another member's grant", () => {
  it("lets in by this machine's door, no longer than that says, and forgives", () => {
    const w = world(settings({ doors: [door({ for: milliseconds(10_000), uses: 3 })] }));
    w.send('8000/udp');
    hear(w, { grants: [grantOf(w, ME, { usesLeft: 2 })] });
    expect(w.events.at(-1)).toMatchObject({ event: 'door.opened', origin: 'edge2', until: w.now + 10_000 });
    expect(w.engine.grants()).toMatchObject([{ from: 'edge2', usesLeft: 2, holder: null }]);
    expect(w.engine.source(address(ME), milliseconds(w.now)).strikes).toBe(0);
  });

  it('makes late repeats of its knocks no offence', () => {
    const w = world();
    hear(w, { grants: [grantOf(w, ME)] });
    expect(['9000', '8000/udp', '9000'].map((port) => w.send(port))).toEqual(['repeat', 'repeat', 'repeat']);
  });

  it('of a door that is not here is left out, and so is one wider than the door, or to a gateway', () => {
    const w = world();
    const gateway = address('192.0.2.1');
    const at = milliseconds(w.now);
    w.engine.execute({ command: 'exempt', networks: [], everybody: [hostCidr(gateway)] }, at, () => {});
    const grants = [
      grantOf(w, ME, { door: 'nowhere' }),
      grantOf(w, ME, { grantee: 'any' }),
      grantOf(w, ME, { grantee: cidr('198.51.100.0/24') }),
      grantOf(w, '192.0.2.1'),
      grantOf(w, ME, { until: at }),
    ];
    const leftOut = new Map([
      ['unknown door', 1],
      ['grantee', 3],
      ['over', 1],
    ]);
    expect(hear(w, { grants })).toEqual({ ok: true, changed: 0, leftOut });
    expect(w.events).toEqual([]);
  });

  it('is closed where another member closes it', () => {
    const w = world(settings({ doors: [door({ close: ports('1', '2') })] }));
    hear(w, { grants: [grantOf(w, ME)] });
    hear(w, { origin: 'edge3', lifts: [{ lift: 'grant', door: 'ssh', grantee: cidr(ME) }] });
    expect(w.events.at(-1)).toMatchObject({ event: 'door.closed', reason: 'fleet', origin: 'edge3' });
  });
});

it('said twice, in any order and in any pieces leads to one state', () => {
  const state = (w: World): unknown => [
    w.engine.bans().map(({ target, until, count, origin }) => [formatCidr(target), until, count, origin]),
    w.engine.grants().map(({ door: name, source, until, opened }) => [name, source, until, opened]),
  ];
  const all = (w: World): Partial<Hearing>[] => [
    { bans: [banOf(w, ME)] },
    { bans: [banOf(w, ME, { count: 4, until: milliseconds(w.now + 50_000) })] },
    { bans: [banOf(w, ME, { origin: 'order', until: milliseconds(w.now + 40_000) })] },
    { bans: [banOf(w, '203.0.113.9')], grants: [grantOf(w, '203.0.113.9')] },
    { grants: [grantOf(w, '203.0.113.9', { opened: milliseconds(w.now - 2) })] },
  ];
  const first = world();
  for (const said of all(first)) hear(first, said);
  const twice = [...all(first).keys(), ...all(first).keys()];
  const orders = fc.shuffledSubarray(twice, { minLength: twice.length });
  fc.assert(
    fc.property(orders, (order) => {
      const w = world();
      for (const index of order) hear(w, all(w)[index] ?? {});
      expect(state(w)).toEqual(state(first));
    }),
  );
});

describe('what nobody had a use for', () => {
  it.each([
    ['its own', '6000'],
    ['a later one of another door', '9000'],
  ])(
    'is told that it begins nothing yet where the door was closed meanwhile and the knock is %s',
    (_, last) => {
      const close = ports('8000');
      const mail = door({ name: 'mail', knock: ports('7000/udp', '8000', last), close, oneTime: true });
      const w = world(settings({ doors: [door({ knock: ports('40000'), close, oneTime: true }), mail] }));
      const tell = (command: Command) =>
        w.engine.execute(command, milliseconds(w.now), (event) => void w.events.push(event));
      tell({ command: 'sequence', door: 'ssh', knock: ports('9000', '8000', '7000') });
      tell({ command: 'grant', door: 'ssh', address: address(ME) });
      w.pass(5_001);
      w.knock('8000');
      expect(w.names()).toContain('door.closed');
      const late = { came: milliseconds(w.now), origin: null, slack: 2, quiet: true };
      const packet = packetOf('9000', { sourcePort: 9, sequence: 9 });
      w.engine.conclude(packet, late, milliseconds(w.now + 40), (event) => w.events.push(event));
      expect(w.events.at(-1)).toMatchObject({ event: 'knock.ignored', reason: 'guard', door: 'ssh' });
    },
  );
});
