import { expect, it } from 'vitest';
import type { Bus } from '../../../src/fleet/bus.ts';
import { createMemoryEngine } from '../../../src/fleet/memory-bus.ts';
import { createReader } from '../../../src/fleet/reader.ts';

it('a member whose numbers went back with the clock of the engine is read where a doorbell is lost', () => {
  const queue: (() => void)[] = [];
  const run = (): void => {
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) next();
  };
  const engine = createMemoryEngine({
    wire: { carry: (_, way, arrive) => void (way === 'doorbell' || queue.push(arrive)) },
    now: () => 1_000,
    fsync: 'always',
  });
  const [here, there] = ['edge1', 'edge2'].map((name) => {
    const bus = engine.bus(name);
    bus.listen({ connected: () => undefined, disconnected: () => undefined, heard: () => undefined });
    return bus;
  });
  run();
  if (here === undefined || there === undefined) throw new Error('no bus');
  const read: number[] = [];
  const reader = createReader({
    bus: here,
    message: (_, [number = 0]) => void read.push(number),
    rows: () => undefined,
    finished: () => undefined,
    surroundings: { now: () => 0, after: () => expect.unreachable() },
  });
  const tell = (number: number): void =>
    there.tell({ rows: [], message: Uint8Array.of(number) }, () => undefined);
  tell(1);
  run();
  reader.said('edge2', 90, 1);
  run();
  reader.heard('edge2', 91);
  // Another life, whose clock is behind that of the one before.
  reader.said('edge2', 10, 2);
  run();
  tell(11);
  run();
  reader.said('edge2', 11, 2);
  run();
  expect(read).toEqual([11]);
});

interface Asked {
  readonly what: 'newest' | 'scan' | 'after';
  answer(given: unknown): void;
}

/** A reader of one member, whose questions wait for their answers. */
function reading(): {
  reader: ReturnType<typeof createReader>;
  asked: Asked[];
  at: { now: number };
  took: number[];
  turns: (() => void)[];
} {
  const asked: Asked[] = [];
  const took: number[] = [];
  const turns: (() => void)[] = [];
  const at = { now: 0 };
  const ask = (what: Asked['what'], done: (answer: never) => void): void => {
    asked.push({ what, answer: (given) => done(given as never) });
  };
  const surroundings = {
    now: () => at.now,
    after: (_: number, run: () => void) => {
      turns.push(run);
      return () => undefined;
    },
  };
  const unused = (): never => expect.unreachable();
  const bus: Bus = {
    ...{ listen: unused, tell: unused, ring: unused, claim: unused, marks: unused, present: unused },
    ...{ time: unused, close: unused },
    newest: (_, done) => ask('newest', done),
    scan: (_member, _table, _cursor, done) => ask('scan', done),
    after: (_member, _id, done) => ask('after', done),
  };
  const reader = createReader({
    ...{ bus, surroundings, rows: () => undefined, finished: () => undefined },
    message: (_, { length }) => void took.push(length),
  });
  return { reader, asked, at, took, turns };
}

const ok = (value: unknown): unknown => ({ ok: true, value });
const NONE_LEFT = ok({ entries: [], next: null });

/** Answers what is asked, each after so long; a member whose stream is trimmed each time. */
function answerAll({ asked, at }: ReturnType<typeof reading>, takes: number): number {
  let answered = 0;
  for (let next = asked.shift(); next !== undefined; next = asked.shift()) {
    at.now += takes;
    answered += 1;
    if (answered > 1_000) break;
    next.answer(next.what === 'newest' ? ok('5-1') : next.what === 'scan' ? NONE_LEFT : ok(null));
  }
  return answered;
}

it('what could not be read is read at the next word of the member, though nothing new was told', () => {
  const all = reading();
  const { reader, asked } = all;
  reader.said('edge2', 5, 1);
  answerAll(all, 1);
  expect(reader.hasRead('edge2')).toBe(true);
  expect(reader.reread('edge2')).toBe(true);
  asked.shift()?.answer({ ok: false, reason: 'the queue is full', unsure: false });
  reader.said('edge2', 5, 1);
  expect(asked.map(({ what }) => what)).toEqual(['newest']);
});

it('a member that has much to read, and trims its stream meanwhile, is read for a tenth of the time', () => {
  const all = reading();
  const { reader, at } = all;
  let busy = 0;
  for (let number = 1; at.now < 600_000; number += 1) {
    reader.said('edge2', number, 1);
    const before = at.now;
    answerAll(all, 1_000);
    busy += at.now - before;
    at.now += 1_000;
  }
  expect(busy).toBeLessThan(90_000);
  expect(busy).toBeGreaterThan(10_000);
  // One that has little is read whenever there is something.
  const small = reading();
  for (let number = 1; number < 10; number += 1) {
    small.reader.said('edge2', number, 1);
    expect(answerAll(small, 10)).toBeGreaterThan(0);
  }
});

it('a member that writes as fast as it is read is done with at some time', () => {
  const { reader, asked } = reading();
  reader.said('edge2', 5, 1);
  const piece = { entries: Array.from({ length: 100 }, () => ({ id: '6-1', message: new Uint8Array(18) })) };
  let answered = 0;
  for (let next = asked.shift(); next !== undefined && answered < 10_000; next = asked.shift()) {
    answered += 1;
    next.answer(
      next.what === 'newest' ? ok('5-1') : next.what === 'scan' ? NONE_LEFT : ok({ ...piece, next: '6-1' }),
    );
  }
  expect(answered).toBeLessThan(300);
  expect(reader.hasRead('edge2')).toBe(true);
});

it('a member whose stream grows as it is read is read for a tenth of the time', () => {
  const all = reading();
  const { reader, asked, at } = all;
  reader.said('edge2', 1, 1);
  answerAll(all, 1);
  const piece = { entries: Array.from({ length: 100 }, () => ({ id: '6-1', message: new Uint8Array(18) })) };
  let busy = 0;
  for (let number = 2; at.now < 600_000; number += 1) {
    reader.said('edge2', number, 1);
    for (let next = asked.shift(); next !== undefined; next = asked.shift()) {
      at.now += 10;
      busy += 10;
      next.answer(
        next.what === 'after'
          ? ok({ ...piece, next: '6-1' })
          : next.what === 'newest'
            ? ok('5-1')
            : NONE_LEFT,
      );
    }
    at.now += 1_000;
  }
  expect(busy).toBeLessThan(90_000);
  expect(busy).toBeGreaterThan(10_000);
});

it('of a piece of the stream that is large some is taken in a turn, in order, and none after a cut', () => {
  const all = reading();
  const { reader, asked, took, turns } = all;
  reader.said('edge2', 1, 1);
  answerAll(all, 1);
  const large = (): Uint8Array => new Uint8Array(11_794);
  const entries = Array.from({ length: 64 }, (_, at) => ({ id: `6-${at}`, message: large() }));
  const begin = (number: number): void => {
    reader.said('edge2', number, 1);
    for (const what of ['newest', 'scan', 'scan'] as const)
      expect(asked.shift()?.answer(what === 'scan' ? NONE_LEFT : ok('5-1'))).toBeUndefined();
    asked.shift()?.answer(ok({ entries, next: null }));
  };
  begin(2);
  let turn = 1;
  for (let before = 0; turns.length > 0; turn += 1) {
    expect(took.length - before).toBeLessThanOrEqual(3);
    before = took.length;
    turns.shift()?.();
  }
  expect([took.length, turn]).toEqual([64, 22]);
  reader.said('edge2', 3, 1);
  asked.shift()?.answer(ok({ entries, next: null }));
  reader.disconnected();
  for (const each of turns.splice(0)) each();
  expect(took).toHaveLength(67);
});
