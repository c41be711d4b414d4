import { describe, expect, it } from 'vitest';
import type { Command, CommandAnswer } from '../../../src/engine/command.ts';
import type { SpaReason } from '../../../src/engine/event.ts';
import { milliseconds } from '../../../src/packet/time.ts';
import { address, cidr, door, ports, ranges, settings, type World, world } from './world.ts';

const ME = '198.51.100.7';
const OTHER = '203.0.113.9';
const HOLDER = { key: 'ada-laptop', person: 'ada' } as const;
const [PORT] = ports('62201/udp') as [ReturnType<typeof ports>[number]];

const tell = (w: World, command: Command): CommandAnswer =>
  w.engine.execute(command, milliseconds(w.now), (event) => void w.events.push(event));
const authorize = (w: World, to = ME, name = 'ssh', length = 30_000): CommandAnswer =>
  tell(w, {
    ...{ command: 'authorize', door: name, address: address(to) },
    ...{ for: milliseconds(length), holder: HOLDER },
  });
const reject = (w: World, offence: boolean, reason: SpaReason = 'replayed'): CommandAnswer =>
  tell(w, { command: 'reject', source: address(ME), port: PORT, holder: HOLDER, reason, offence });
const strict = (): World => world(settings({ bans: { strikes: 1, for: milliseconds(60_000) } }));

describe('an authenticated packet', () => {
  it('opens its door for as long as it says, and every event of the grant names key and person', () => {
    const w = world();
    expect(authorize(w, ME, 'ssh', 5_000)).toEqual({ ok: true, changed: 1 });
    expect(w.events.at(-1)).toMatchObject({ event: 'door.opened', until: w.now + 5_000, ...HOLDER });
    authorize(w, ME, 'ssh', 6_000);
    expect(w.events.at(-1)).toMatchObject({ event: 'door.renewed', until: w.now + 6_000, ...HOLDER });
    expect(w.engine.grants()).toMatchObject([{ door: 'ssh', holder: HOLDER }]);
    w.now += 6_000;
    w.engine.expire(milliseconds(w.now), (event) => void w.events.push(event));
    expect(w.events.at(-1)).toMatchObject({ event: 'door.closed', reason: 'expired', ...HOLDER });
  });

  it('lifts the ban of strikes that its address is under, and forgives', () => {
    const w = strict();
    w.send('23');
    expect(w.send('7000')).toBe('banned');
    expect(authorize(w).ok).toBe(true);
    expect(w.events.at(-2)).toMatchObject({ event: 'ban.lifted', reason: 'key' });
    expect(w.events.at(-1)).toMatchObject({ event: 'door.opened', forgiven: [cidr(ME)] });
    expect(w.engine.bans()).toEqual([]);
  });

  it.each(['made by hand', 'made longer by hand', 'of its network, by hand'])(
    'opens nothing and lifts nothing where there is a ban %s',
    (how) => {
      const w = strict();
      const host = how.startsWith('of') ? '2001:db8::7' : ME;
      if (how === 'made longer by hand') w.send('23', { from: host });
      tell(w, { command: 'ban', address: address(how.startsWith('of') ? '2001:db8::8' : host) });
      const before = w.events.length;
      expect(authorize(w, host)).toEqual({ ok: false, reason: 'banned' });
      expect(w.events).toHaveLength(before);
      expect(w.engine.bans()).toHaveLength(1);
    },
  );

  it('keeps a ban by hand one over a reload with other tables', () => {
    const w = strict();
    tell(w, { command: 'ban', address: address(ME) });
    tell(w, { command: 'reload', settings: settings({ bans: { strikes: 1, limit: 5 } }) });
    expect(authorize(w)).toEqual({ ok: false, reason: 'banned' });
    tell(w, { command: 'unban', address: address(ME) });
    w.send('23');
    expect(authorize(w).ok).toBe(true);
  });

  it('of a grant that lasts longer by something else leaves that what it was', () => {
    const w = world();
    authorize(w, ME, 'ssh', 60_000);
    w.send('7000');
    w.send('8000');
    w.send('9000');
    expect(w.engine.grants()).toMatchObject([{ holder: HOLDER }]);
    tell(w, { command: 'grant', door: 'ssh', address: address(ME), for: milliseconds(90_000) });
    expect(w.engine.grants()).toMatchObject([{ holder: null }]);
  });

  it('opens for whom the door says', () => {
    const w = world(settings({ doors: [door({ name: 'web', opens: ranges('80'), grant: 'any' })] }));
    authorize(w, ME, 'web');
    expect(w.engine.grants()).toMatchObject([{ grantee: 'any', source: address(ME) }]);
  });

  it('opens for no address that everybody may come from', () => {
    const w = world();
    tell(w, { command: 'exempt', networks: [], everybody: [cidr(ME)] });
    expect(authorize(w)).toEqual({ ok: false, reason: 'everybody' });
    expect(w.events.at(-1)).toMatchObject({ event: 'door.refused', ...HOLDER });
    expect(authorize(w, OTHER).ok).toBe(true);
  });

  it('that opens nothing is no offence, but for a used one of another; and none of a holder', () => {
    const w = strict();
    reject(w, false, 'stale');
    expect(w.events.at(-1)).toMatchObject({ event: 'spa.rejected', reason: 'stale', port: PORT, ...HOLDER });
    expect(w.events.at(-1)).not.toHaveProperty('strikes');
    authorize(w);
    reject(w, true);
    expect(w.engine.bans()).toEqual([]);
    tell(w, { command: 'revoke', address: address(ME) });
    reject(w, true);
    expect(w.events.at(-2)).toMatchObject({ event: 'spa.rejected', reason: 'replayed', strikes: 1 });
    expect(w.events.at(-1)).toMatchObject({ event: 'ban.added', reason: 'strikes' });
    const before = w.events.length;
    reject(w, true);
    expect(w.events.slice(before)).toMatchObject([{ event: 'spa.rejected' }]);
  });
});
