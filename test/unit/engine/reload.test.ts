import { describe, expect, it } from 'vitest';
import type { EngineSettings } from '../../../src/engine/settings.ts';
import { formatCidr } from '../../../src/packet/cidr.ts';
import { milliseconds } from '../../../src/packet/time.ts';
import { address, cidr, door, flags, ports, ranges, settings, type World, world } from './world.ts';

const ms = milliseconds;

function reload(w: World, given: EngineSettings): void {
  w.engine.execute({ command: 'reload', settings: given }, ms(w.now), (event) => void w.events.push(event));
}
const mail = door({ name: 'mail', knock: ports('6100', '6200'), opens: ranges('25'), tolerate: 9 });
const two = settings({ doors: [door({ close: ports('1', '2'), tolerate: 9 }), mail] });
const steps = (w: World): readonly string[] =>
  w.engine
    .source(address('198.51.100.7'), ms(w.now))
    .attempts.map(({ door: name, step }) => `${name} ${step}`);

/** Three decoys: one touched again is no further strike. */
const DECOYS = ['23', '161/udp', '2323'];

describe('a reload', () => {
  it('moves doors about and keeps what is under way at each, in its own sequence', () => {
    const w = world(two);
    w.knock('7000', '8000/udp', '9000');
    w.now += 5_001;
    w.knock('1', '6100', '7000');
    expect(steps(w)).toEqual(['ssh 1', 'ssh 1', 'mail 1']);
    reload(
      w,
      settings({ doors: [mail, door({ name: 'new', knock: ports('5') }), ...two.doors.slice(0, 1)] }),
    );
    expect(steps(w)).toEqual(['mail 1', 'ssh 1', 'ssh 1']);
    w.said();
    w.knock('6200', '2');
    expect(w.said().filter((line) => !line.includes('tolerated'))).toEqual([
      'knock.accepted 198.51.100.7 mail 6200/tcp 2/2',
      'door.opened 198.51.100.7 mail',
      'knock.accepted 198.51.100.7 ssh 2/tcp 2/2',
      'door.closed 198.51.100.7 ssh (knock)',
    ]);
  });

  it('moves a piece of the attempts at a time, and those of whoever knocks at once', () => {
    const w = world(two);
    const hosts = Array.from({ length: 9 }, (_, index) => `203.0.113.${index + 1}`);
    for (const from of hosts) w.send('7000', { from });
    const moved = settings({ doors: [mail, ...two.doors.slice(0, 1)] });
    const execute = (command: Parameters<World['engine']['execute']>[0]) =>
      w.engine.execute(command, ms(w.now), () => undefined);
    execute({ command: 'reload', settings: moved, most: 2 });
    expect(w.engine.sizes().attempts).toBe(9);
    w.send('8000/udp', { from: '203.0.113.9' });
    w.send('9000', { from: '203.0.113.9' });
    expect(w.events.at(-1)).toMatchObject({ event: 'door.opened', door: 'ssh' });
    expect(execute({ command: 'move_attempts', most: 2 })).toEqual({ ok: true, changed: 0, rest: 0 });
    // Another reload first ends what the one before has begun.
    if (Math.random() < 0.5) execute({ command: 'reload', settings: two, most: 2 });
    while ('rest' in execute({ command: 'move_attempts', most: 2 }));
    expect(w.engine.sizes().attempts).toBe(9);
    for (const from of hosts.slice(0, 8)) {
      w.send('8000/udp', { from });
      w.send('9000', { from });
    }
    expect(w.engine.grants()).toHaveLength(9);
  });

  it.each([
    ['memory.sources', { sources: 2048 }],
    ['bans.strikes', { bans: { strikes: 4 } }],
  ])(
    'that changes %s moves a piece of the offenders at a time, and those that offend at once',
    (_, changed) => {
      const w = world(settings({ bans: { strikes: 3 } }));
      const hosts = Array.from({ length: 9 }, (_each, index) => `203.0.113.${index + 1}`);
      const execute = (command: Parameters<World['engine']['execute']>[0]) =>
        w.engine.execute(command, ms(w.now), () => undefined);
      const strikes = (from: string): number => w.engine.source(address(from), ms(w.now)).strikes;
      for (const from of hosts) w.send('23', { from });
      execute({ command: 'reload', settings: settings({ bans: { strikes: 3 }, ...changed }), most: 2 });
      expect(w.engine.sizes().offenders).toBe(9);
      w.send('161/udp', { from: '203.0.113.9' });
      expect(strikes('203.0.113.9')).toBe(2);
      let pieces = 0;
      for (; 'rest' in execute({ command: 'move_attempts', most: 2 }); pieces += 1)
        expect(w.engine.sizes().offenders).toBe(9);
      expect(pieces).toBeGreaterThan(3);
      expect(w.engine.sizes().offenders).toBe(9);
      expect(hosts.map(strikes)).toEqual([1, 1, 1, 1, 1, 1, 1, 1, 2]);
    },
  );

  it('keeps strikes where they are, under other limits', () => {
    const w = world(two);
    w.knock(DECOYS[0] ?? '');
    const strikes = (): number => w.engine.source(address('198.51.100.7'), ms(w.now)).strikes;
    reload(w, { ...two, bans: { ...two.bans, within: ms(5) } });
    w.now += 5;
    expect(strikes()).toBe(1);
    w.now += 1;
    expect(strikes()).toBe(0);
  });

  it.each<[string, Partial<EngineSettings['doors'][number]>]>([
    ['sequence', { knock: ports('7000', '8000/udp', '9001') }],
    ['name', { name: 'other' }],
    ['within', { within: ms(9_999) }],
    ['least gap', { gap: { min: ms(1), max: ms(5_000) } }],
    ['greatest gap', { gap: { min: ms(0), max: ms(5_001) } }],
    ['flags that are wanted', { flags: { ...flags('syn'), set: 10 } }],
    ['flags that are not', { flags: { ...flags('syn'), clear: 1 } }],
    ['tolerance', { tolerate: 1 }],
  ])('that changes the %s of a door ends what is under way there', (_, changed) => {
    const w = world();
    w.knock('7000', '8000/udp');
    reload(w, settings({ doors: [door(changed)] }));
    expect(steps(w)).toEqual([]);
  });

  it.each<[string, Partial<EngineSettings['doors'][number]>]>([
    ['what it opens', { opens: ranges('2222') }],
    ['how long it opens', { for: ms(1) }],
    ['its close sequence', { close: ports('1', '2') }],
  ])('that changes %s leaves what is under way', (_, changed) => {
    const w = world();
    w.knock('7000', '8000/udp');
    reload(w, settings({ doors: [door(changed)] }));
    expect(steps(w)).toEqual(['ssh 2']);
  });

  it('ends the grants of a door that is gone, and of no other', () => {
    const w = world(two);
    w.knock('7000', '8000/udp', '9000', '6100', '6200');
    w.said();
    reload(w, settings({ doors: [mail] }));
    expect(w.said()).toEqual(['door.closed 198.51.100.7 ssh (reload)']);
    expect(w.engine.grants().map((grant) => grant.door)).toEqual(['mail']);
    w.pass(29_899);
    expect(w.said()).toEqual([]);
    w.pass(101);
    expect(w.said()).toEqual(['door.closed 198.51.100.7 mail (expired)']);
  });

  it('keeps knocks that have just opened known as repeats, and what was tolerated counted', () => {
    const tolerant = settings({ doors: [door({ tolerate: 1 })] });
    const w = world(tolerant);
    w.knock('7000', '8000/udp', '9000');
    reload(w, tolerant);
    expect(w.send('8000/udp')).toBe('repeat');
    w.now += 71_000;
    w.knock('7000', '9000');
    reload(w, tolerant);
    expect(w.send('9000')).toBe('wrong');
  });

  it('keeps strikes, rates, the length of the next ban and bans; of these the last to end where fewer fit', () => {
    const given = (limit: number, sources = 1024): EngineSettings => settings({ sources, bans: { limit } });
    const w = world(given(3));
    for (const from of ['192.0.2.1', '192.0.2.2', '2001:db8:7::1']) {
      w.now += 1;
      for (const port of DECOYS) w.send(port, { from });
    }
    w.send('23');
    w.said();
    reload(w, given(3, 512));
    expect(w.said()).toEqual([]);
    reload(w, given(2));
    expect(w.said()).toEqual(['ban.lifted 192.0.2.1 (limit)']);
    expect(w.engine.bans().map(({ target }) => formatCidr(target))).toEqual(['192.0.2.2', '2001:db8:7::/64']);
    expect(w.send('7000', { from: '2001:db8:7::2' })).toBe('banned');
    expect(w.engine.sizes().bansMax).toBe(2);
    w.send('2323');
    expect(w.said()).toEqual(['decoy.hit 198.51.100.7 2323/tcp #2']);
    w.pass(600_000);
    w.said();
    for (const port of ['2301', '2302', '2303']) w.send(port, { from: '192.0.2.2' });
    expect(w.events.at(-1)).toMatchObject({ event: 'ban.added', count: 2 });
  });

  // Against: a table full of bans when `bans.limit` is changed
  // by: bans are lifted and moved some at a time
  it.each([
    ['more', 100],
    ['fewer', 33],
  ])('that makes room for %s bans moves a piece of them at a time, whatever comes in between', (_, limit) => {
    const hosts = Array.from({ length: 60 }, (_each, index) =>
      index % 3 === 0 ? `2001:db8:${index}::1` : `192.0.2.${index + 1}`,
    );
    const given = (bans: number): EngineSettings => settings({ bans: { strikes: 1, limit: bans } });
    const most = 1 + Math.floor(Math.random() * 10);
    const worlds = [Number.POSITIVE_INFINITY, most].map((piece) => {
      const w = world(given(61));
      for (const from of hosts) {
        w.now += 1;
        w.send('23', { from });
      }
      return { w, piece };
    });
    const told = worlds.map(({ w, piece }) => {
      const execute = (command: Parameters<World['engine']['execute']>[0]) =>
        w.engine.execute(command, ms(w.now), (event) => void w.events.push(event));
      execute({ command: 'reload', settings: given(limit), most: piece });
      let pieces = 0;
      for (; 'rest' in execute({ command: 'move_attempts', most: piece }); pieces += 1) {
        // What was not lifted yet is still in force.
        expect(w.send('23', { from: hosts.at(-1) ?? '' })).toBe('banned');
        expect(w.engine.bans().length).toBe(w.engine.sizes().bans);
      }
      expect(pieces).toBeGreaterThanOrEqual(Math.floor(Math.min(limit, 60) / piece) - 1);
      return w.engine.bans();
    });
    expect(told[1]).toEqual(told[0]);
    expect(told[0]).toHaveLength(Math.min(limit, 60));
  });

  it.each([100, 33])('lets bans come and go while it moves them into a table of %d', (limit) => {
    const given = (bans: number): EngineSettings => settings({ bans: { strikes: 1, limit: bans } });
    const w = world(given(61));
    const execute = (command: Parameters<World['engine']['execute']>[0]) =>
      w.engine.execute(command, ms(w.now), (event) => void w.events.push(event));
    const banned = new Map<string, boolean>();
    const drawn = (): string => `192.0.2.${1 + Math.floor(Math.random() * 250)}`;
    const follow = (): void => {
      for (const event of w.events.splice(0)) {
        if (event.event === 'ban.added') banned.set(formatCidr(event.target), event.reason === 'order');
        if (event.event === 'ban.lifted') banned.delete(formatCidr(event.target));
        if (event.event === 'ban.extended') banned.set(formatCidr(event.target), true);
      }
    };
    for (let index = 0; index < 60; index += 1) w.send('23', { from: `192.0.2.${index + 1}` });
    execute({ command: 'reload', settings: given(limit), most: 3 });
    for (;;) {
      for (let step = Math.floor(Math.random() * 6); step > 0; step -= 1) {
        w.now += 1;
        const draw = Math.random();
        if (draw < 0.4) w.send('23', { from: drawn() });
        else if (draw < 0.7) execute({ command: 'unban', address: address(drawn()) });
        else execute({ command: 'ban', address: address(drawn()) });
      }
      follow();
      const inForce = w.engine.bans().map(({ target, origin }) => [formatCidr(target), origin === 'order']);
      expect(new Map(inForce as [string, boolean][])).toEqual(banned);
      if (!('rest' in execute({ command: 'move_attempts', most: 3 }))) break;
    }
    follow();
    expect(w.engine.sizes().bans).toBe(banned.size);
    expect(banned.size).toBeLessThanOrEqual(limit);
    // All of them, and nothing else: also by their ends.
    for (const target of banned.keys()) execute({ command: 'unban', address: address(target) });
    expect(w.engine.sizes().bans).toBe(0);
  });

  it('counts the packets of a second that began before it', () => {
    const w = world();
    for (let packet = 0; packet < 20; packet += 1) w.send('443');
    reload(w, settings());
    expect(w.send('443')).toBe('rate');
  });

  it('lifts the bans of who is never banned from then on', () => {
    const w = world();
    for (const port of DECOYS) w.send(port);
    w.said();
    reload(w, settings({ bans: { never: [cidr('198.51.100.0/24')] } }));
    expect(w.said()).toEqual(['ban.lifted 198.51.100.7 (exempt)']);
  });

  it('forgets the packets seen only where the tables change their size', () => {
    const w = world();
    const send = (): string => w.send('443', { sourcePort: 5, sequence: 5 });
    send();
    reload(w, settings());
    expect(send()).toBe('retransmission');
    reload(w, settings({ sources: 2048 }));
    expect(send()).toBe('ignored');
  });

  it('that gives a door the place of a one-time door whose sequence was used leaves what is under way there', () => {
    const once = door({ name: 'once', knock: ports('1', '2'), oneTime: true });
    const w = world(settings({ doors: [once, door()] }));
    w.send('7000');
    for (const port of ['1', '2']) w.send(port, { from: '203.0.113.9' });
    const used = { command: 'sequence', door: 'once', knock: ports('3', '4') } as const;
    w.engine.execute(used, ms(w.now), (event) => void w.events.push(event));
    expect(steps(w)).toEqual(['ssh 1']);
    reload(w, settings({ doors: [door(), { ...once, knock: ports('3', '4') }] }));
    w.knock('8000/udp', '9000');
    expect(w.said()).toContain('door.opened 198.51.100.7 ssh');
  });

  it('takes a one-time door back to the line that its file gives, and forgets progress in a line that was used', () => {
    const once = settings({ doors: [door({ oneTime: true })] });
    const w = world(once);
    for (const from of ['203.0.113.9', '198.51.100.7']) w.send('7000', { from });
    w.knock('8000/udp', '9000');
    expect(w.engine.grants()).toHaveLength(1);
    reload(w, once);
    w.send('8000/udp', { from: '203.0.113.9' });
    w.send('9000', { from: '203.0.113.9' });
    expect(w.engine.grants()).toHaveLength(1);
  });
});
