import { describe, expect, it } from 'vitest';
import type { Bus, BusAnswer, Done } from '../../../src/fleet/bus.ts';
import { createMemoryEngine, type MemoryEngine } from '../../../src/fleet/memory-bus.ts';

/** An engine whose wire is carried by hand. */
function engineWith(fsync: 'always' | 'everysec'): {
  engine: MemoryEngine;
  run: () => void;
  heard: string[];
  open: (member: string) => Bus;
} {
  const queue: (() => void)[] = [];
  const heard: string[] = [];
  const engine = createMemoryEngine({
    wire: { carry: (_, __, arrive) => void queue.push(arrive) },
    now: () => 1_000,
    fsync,
    streamMax: 3,
    piece: 2,
  });
  const run = (): void => {
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) next();
  };
  const open = (member: string): Bus => {
    const bus = engine.bus(member);
    bus.listen({
      connected: (id) => heard.push(`${member} connected ${id}`),
      disconnected: (reason) => heard.push(`${member} disconnected ${reason}`),
      heard: (from, message) => heard.push(`${member} heard ${from} ${message.join()}`),
    });
    run();
    return bus;
  };
  return { engine, run, heard, open };
}

function ask<T>(run: () => void, request: (done: Done<T>) => void): BusAnswer<T> {
  let answer: BusAnswer<T> = { ok: false, reason: 'no answer', unsure: true };
  request((given) => {
    answer = given;
  });
  run();
  return answer;
}

const bytes = (...values: number[]): Uint8Array => Uint8Array.from(values);
const CLAIM = { mark: { of: 'used', name: 'ssh' }, field: bytes(7, 200), copies: 0 } as const;

describe('the bus in memory', () => {
  it('keeps what is told, and rings everybody', () => {
    const { run, heard, open } = engineWith('always');
    const [one, two] = [open('one'), open('two')];
    const rows = [{ table: 'bans', field: bytes(1), value: bytes(2) }] as const;
    expect(ask<string>(run, (done) => one.tell({ rows, message: bytes(9) }, done)).ok).toBe(true);
    expect(heard.slice(2)).toEqual(['one heard one 9', 'two heard one 9']);
    const scanned = ask(run, (done) => two.scan('one', 'bans', null, done));
    expect(scanned).toEqual({ ok: true, value: { entries: rows, next: null } });
    const gone = [{ table: 'bans', field: bytes(1), value: null }] as const;
    ask<string>(run, (done) => one.tell({ rows: gone, message: bytes(8) }, done));
    expect(ask(run, (done) => two.scan('one', 'bans', null, done))).toMatchObject({ value: { entries: [] } });
  });

  it('reads a stream on from an entry, and says where that is trimmed', () => {
    const { run, open } = engineWith('always');
    const one = open('one');
    const ids = [1, 2, 3, 4, 5].map((value) => {
      const told = ask<string>(run, (done) => one.tell({ rows: [], message: bytes(value) }, done));
      return told.ok ? told.value : '';
    });
    expect(ask(run, (done) => one.after('one', ids[1] ?? '', done))).toEqual({ ok: true, value: null });
    const rest = ask(run, (done) => one.after('one', ids[2] ?? '', done));
    expect(rest).toMatchObject({
      value: { entries: [{ message: bytes(4) }, { message: bytes(5) }], next: null },
    });
    expect(ask(run, (done) => one.newest('one', done))).toEqual({ ok: true, value: ids[4] });
  });

  it('lets the first have a mark, and gives it to nobody else', () => {
    const { run, open } = engineWith('always');
    const [one, two] = [open('one'), open('two')];
    expect(ask(run, (done) => one.claim({ ...CLAIM, value: 'one' }, done))).toMatchObject({
      value: { value: 'one', durable: true },
    });
    expect(ask(run, (done) => two.claim({ ...CLAIM, value: 'two' }, done))).toMatchObject({
      value: { value: 'one' },
    });
    const marks = ask(run, (done) => two.marks('ssh', null, done));
    expect(marks).toMatchObject({ value: { entries: [{ field: bytes(7, 200), value: 'one' }] } });
  });

  it.each(['disk', 'replica'] as const)('comes back with what the %s has', (from) => {
    const { engine, run, heard, open } = engineWith('everysec');
    const one = open('one');
    ask(run, (done) => one.claim({ ...CLAIM, value: 'kept' }, done));
    engine.sync();
    engine.replicate();
    const late = ask(run, (done) => one.claim({ ...CLAIM, field: bytes(1), copies: 1, value: 'lost' }, done));
    expect(late).toMatchObject({ value: { durable: false } });
    engine.stop();
    expect(ask(run, (done) => one.time(done))).toMatchObject({ ok: false, unsure: false });
    engine.start(from);
    run();
    expect(heard.at(-1)).toBe('one connected 2');
    expect(ask(run, (done) => one.claim({ ...CLAIM, value: 'again' }, done))).toMatchObject({
      value: { value: 'kept' },
    });
    expect(ask(run, (done) => one.claim({ ...CLAIM, field: bytes(1), value: 'again' }, done))).toMatchObject({
      value: { value: 'again' },
    });
  });

  it('answers what was on its way when it was cut with "nobody knows"', () => {
    const { engine, run, open } = engineWith('always');
    const one = open('one');
    let answer: unknown;
    one.claim({ ...CLAIM, value: 'one' }, (given) => {
      answer = given;
    });
    engine.cut('one');
    expect(answer).toEqual({ ok: false, reason: 'cut', unsure: true });
    run();
    engine.join('one');
    run();
    expect(ask(run, (done) => one.present('{}', done))).toMatchObject({
      value: [{ member: 'one', text: null }],
    });
    engine.forget('one');
    const anew = ask(run, (done) => open('two').present('{}', done));
    expect(anew).toMatchObject({ value: [{ member: 'two' }] });
  });
});
