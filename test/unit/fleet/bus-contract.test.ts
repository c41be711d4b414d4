import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import type { BusAnswer, Piece, RegisterRow } from '../../../src/fleet/bus.ts';
import {
  type BusWorld,
  isConnected,
  type Member,
  memoryWorld,
  redisWorld,
  until,
} from '../../support/buses.ts';

// A server of a busy machine takes its time to start.
vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

const bytes = (...values: number[]): Uint8Array => Uint8Array.from(values);
const hex = (value: Uint8Array): string => Buffer.from(value).toString('hex');
const USED = { of: 'used', name: 'ssh' } as const;

function got<T>(answer: BusAnswer<T>): T {
  if (!answer.ok) throw new Error(`${answer.reason} (unsure: ${answer.unsure})`);
  return answer.value;
}

describe.each([
  ['the bus in memory', memoryWorld],
  ['Redis', redisWorld],
] as const)('%s', (name, begin) => {
  let world: BusWorld;
  let one: Member;
  let two: Member;

  beforeAll(async () => {
    world = await begin();
    one = await world.open('edge1');
    two = await world.open('edge2');
  });
  afterAll(() => world.close());

  const tell = async (member: Member, rows: readonly RegisterRow[], message: Uint8Array): Promise<string> =>
    got(await member.ask<string>((bus, done) => bus.tell({ rows, message }, done)));
  const scan = async (member: Member, of: string, table: 'bans' | 'grants'): Promise<string[]> => {
    const found = new Map<string, string>();
    let cursor: string | null = null;
    do {
      const at: string | null = cursor;
      const piece: Piece<RegisterRow> = got(
        await member.ask<Piece<RegisterRow>>((bus, done) => bus.scan(of, table, at, done)),
      );
      for (const { field, value } of piece.entries) found.set(hex(field), hex(value ?? bytes()));
      cursor = piece.next;
    } while (cursor !== null);
    return [...found].map((pair) => pair.join('=')).sort();
  };
  const heard = (member: Member): string[] => member.events.filter((each) => each.startsWith('heard'));

  it('keeps what a member tells, and all hear it, the teller too', async () => {
    const field = bytes(0, 255, 13, 10);
    await tell(one, [{ table: 'bans', field, value: bytes(1, 0, 2) }], bytes(9, 0, 13, 10, 255));
    await until(() => heard(one).length === 1 && heard(two).length === 1, 'heard');
    expect([...heard(one), ...heard(two)]).toEqual(['heard edge1 09000d0aff', 'heard edge1 09000d0aff']);
    expect(await scan(two, 'edge1', 'bans')).toEqual(['00ff0d0a=010002']);
    expect(await scan(two, 'edge1', 'grants')).toEqual([]);
    await tell(one, [{ table: 'bans', field, value: null }], bytes(8));
    expect(await scan(two, 'edge1', 'bans')).toEqual([]);
  });

  it('carries what is not kept, and keeps none of it', async () => {
    const id = got(await two.ask<string>((bus, done) => bus.newest('edge1', done)));
    one.bus.ring(bytes(7, 7));
    await until(() => heard(two).includes('heard edge1 0707'), 'the doorbell');
    expect(got(await two.ask<string>((bus, done) => bus.newest('edge1', done)))).toBe(id);
  });

  it('tells a joiner everything in pieces, and what came after an entry, in its order', async () => {
    const count = 2_300;
    const rows = Array.from({ length: count }, (_, index): RegisterRow => {
      return { table: 'grants', field: bytes(index >> 8, index & 255), value: bytes(3) };
    });
    const first = await tell(one, rows, bytes(0));
    expect(await scan(two, 'edge1', 'grants')).toHaveLength(count);
    const ids: string[] = [];
    for (let index = 1; index <= 150; index += 1) ids.push(await tell(one, [], bytes(index)));
    const after: string[] = [];
    let from: string | null = first;
    while (from !== null) {
      const id: string = from;
      const piece = got(
        await two.ask<Piece<{ id: string; message: Uint8Array }> | null>((bus, done) =>
          bus.after('edge1', id, done),
        ),
      );
      after.push(...(piece?.entries ?? []).map((each) => `${each.id} ${hex(each.message)}`));
      from = piece?.next ?? null;
    }
    expect(after).toEqual(ids.map((id, index) => `${id} ${hex(bytes(index + 1))}`));
    expect(got(await two.ask<string>((bus, done) => bus.newest('edge1', done)))).toBe(ids.at(-1));
  });

  it('says so where it does not know what came after an entry', async () => {
    for (const id of ['0-0', '1-1'])
      expect(got(await two.ask((bus, done) => bus.after('edge1', id, done)))).toBeNull();
    expect(got(await two.ask<string>((bus, done) => bus.newest('edge3', done)))).toBe('0-0');
  });

  it('gives a mark to one of those who claim it at once, and says to the others whose it is', async () => {
    for (let index = 0; index < 50; index += 1) {
      const field = bytes(1, index);
      const answers = await Promise.all(
        [one, two].map(async (member, at) =>
          got(
            await member.ask<{ value: string; durable: boolean }>((bus, done) =>
              bus.claim({ mark: USED, field, value: `edge${at + 1} n${index}`, copies: 0 }, done),
            ),
          ),
        ),
      );
      expect(new Set(answers.map(({ value }) => value)).size).toBe(1);
      expect(answers[0]?.value).toMatch(/^edge[12] n/);
      expect(answers.map(({ durable }) => durable)).toEqual([true, true]);
    }
  });

  it('gives a mark again to its owner, and says how durable it is', async () => {
    await one.ask((bus, done) => bus.present('{"a":1}', done));
    const claim = (copies: number | null): Promise<BusAnswer<unknown>> =>
      one.ask((bus, done) => bus.claim({ mark: USED, field: bytes(2), value: 'edge1 again', copies }, done));
    expect(await claim(0)).toEqual({ ok: true, value: { value: 'edge1 again', durable: true } });
    expect(await claim(0)).toEqual({ ok: true, value: { value: 'edge1 again', durable: true } });
    // Where nobody waits for it, it is not known.
    expect(await claim(null)).toEqual({ ok: true, value: { value: 'edge1 again', durable: false } });
    // There is no replica here.
    expect(await claim(1)).toEqual({ ok: true, value: { value: 'edge1 again', durable: false } });
  });

  it('lists the marks of a door, and not those of another', async () => {
    const mark = { of: 'used', name: 'web' } as const;
    await one.ask((bus, done) => bus.claim({ mark, field: bytes(5), value: 'edge1 x', copies: 0 }, done));
    const marks = got(
      await two.ask<Piece<{ field: Uint8Array; value: string }>>((bus, done) => bus.marks('web', null, done)),
    );
    expect(marks.entries.map(({ field, value }) => `${hex(field)} ${value}`)).toEqual(['05 edge1 x']);
  });

  it("knows what each member said of itself last, and the bus's own clock", async () => {
    await one.ask((bus, done) => bus.present('{"one":1}', done));
    const all = got(
      await two.ask<readonly { member: string; text: string | null }[]>((bus, done) =>
        bus.present('{"two":2}', done),
      ),
    );
    const said = all.filter(({ text }) => text !== null).map(({ member, text }) => `${member} ${text}`);
    expect(said.sort()).toEqual(['edge1 {"one":1}']);
    // Of its own what was there before, by whomever.
    const again = got(
      await two.ask<readonly { member: string; text: string | null }[]>((bus, done) =>
        bus.present('{"two":3}', done),
      ),
    );
    expect(again.find(({ member }) => member === 'edge2')?.text).toBe('{"two":2}');
    const time = got(await one.ask<number>((bus, done) => bus.time(done)));
    expect(Math.abs(time - Date.now())).toBeLessThan(5_000);
  });

  it('answers once and at once while it is away, comes back by itself, is another, and has what it acknowledged', async () => {
    const run = one.events.findLast((each) => each.startsWith('connected'));
    await tell(one, [{ table: 'bans', field: bytes(42), value: bytes(42) }], bytes(42));
    await world.kill();
    await until(() => !isConnected(one) && !isConnected(two), 'that it is noticed');
    const away = await one.ask((bus, done) => bus.tell({ rows: [], message: bytes(1) }, done));
    expect(away).toMatchObject({ ok: false, unsure: false });
    one.bus.ring(bytes(99, 99));
    await world.start();
    await until(() => isConnected(one) && isConnected(two), 'connected again');
    expect(one.events.findLast((each) => each.startsWith('connected'))).not.toBe(run);
    expect(await scan(two, 'edge1', 'bans')).toContain('2a=2a');
    await tell(one, [], bytes(77));
    await until(() => heard(two).includes('heard edge1 4d'), 'the doorbells come back');
    expect(heard(two), name).not.toContain('heard edge1 6363');
  });

  it('says no word after it is closed', async () => {
    const three = await world.open('edge3');
    three.bus.close();
    const count = three.events.length;
    await tell(one, [], bytes(5));
    await until(() => heard(two).includes('heard edge1 05'), 'heard by others');
    expect(three.events).toHaveLength(count);
  });
});
