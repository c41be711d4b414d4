import { expect, it } from 'vitest';
import type { Claim, CodeUse, PacketUse, UsedOnce } from '../../../src/spa/used-once.ts';

const SKEW = 60_000;
const WALL = 1_795_891_572_000;

/** What whoever says what was used must hold to. */
export function usedOnceContract(open: () => UsedOnce): void {
  const packet = (id: string, more: Partial<PacketUse> = {}): PacketUse => ({
    use: 'packet',
    key: 'ada',
    id,
    stamp: WALL,
    source: '198.51.100.7',
    ...more,
  });
  const code = (stamp: number): CodeUse => ({
    use: 'code',
    key: 'ben',
    id: 'of ben',
    stamp,
    source: '198.51.100.7',
  });
  const outcome = async (once: UsedOnce, use: PacketUse | CodeUse, wall = WALL): Promise<Claim['outcome']> =>
    (await once.claim(use, { wall, skew: SKEW })).outcome;

  it('lets each packet be used once, and says by whom it was', async () => {
    const once = open();
    expect(await outcome(once, packet('a'))).toBe('won');
    const again = await once.claim(packet('a', { source: '203.0.113.9' }), { wall: WALL, skew: SKEW });
    expect(again).toEqual({ outcome: 'used', by: '198.51.100.7' });
    expect(await outcome(once, packet('b'))).toBe('won');
    // Its key may be renamed.
    expect(await outcome(once, packet('a', { key: 'ben' }))).toBe('used');
    expect(await outcome(once, packet('c', { key: 'ben' }))).toBe('won');
  });

  it('lets one of many claims of one packet win, made at once', async () => {
    const once = open();
    const all = await Promise.all(Array.from({ length: 20 }, () => outcome(once, packet('a'))));
    expect(all.filter((one) => one === 'won').length).toBe(1);
    expect(all.filter((one) => one === 'used').length).toBe(19);
  });

  it('believes no packet again whose clock stood where one of the key has been let go', async () => {
    const once = open();
    expect(await outcome(once, packet('a'))).toBe('won');
    expect(await outcome(once, packet('b', { stamp: WALL + 100_000 }), WALL + 100_000)).toBe('won');
    expect(['used', 'old']).toContain(await outcome(once, packet('a')));
    expect(['old']).toContain(await outcome(once, packet('c', { stamp: WALL - 1 })));
  });

  it('lets each code be used once, and none before it', async () => {
    const once = open();
    expect(await outcome(once, code(60_000))).toBe('won');
    expect(await outcome(once, code(60_000))).toBe('used');
    expect(await outcome(once, code(30_000))).toBe('used');
    expect(await outcome(once, { ...code(60_000), key: 'bens-phone' })).toBe('used');
    expect(await outcome(once, code(90_000))).toBe('won');
  });

  it('says what must be written for it to be remembered', async () => {
    const claim = await open().claim(packet('a'), { wall: WALL, skew: SKEW });
    expect(claim).toMatchObject({
      outcome: 'won',
      changes: [{ change: 'seen', key: 'ada', id: 'a', stamp: WALL }],
    });
    const floor = await open().claim(code(60_000), { wall: WALL, skew: SKEW });
    expect(floor).toMatchObject({
      outcome: 'won',
      changes: expect.arrayContaining([{ change: 'floor', key: 'ben', stamp: 60_000 }]),
    });
  });

  it('opens nothing where it can not be remembered', async () => {
    const once = open();
    const all: Claim['outcome'][] = [];
    for (let index = 0; index < 1_100; index += 1) all.push(await outcome(once, packet(`${index}`)));
    expect(all.slice(0, 1_024).every((one) => one === 'won')).toBe(true);
    expect(all.slice(1_024).every((one) => one === 'full')).toBe(true);
  });
}
