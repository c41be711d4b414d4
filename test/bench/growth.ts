import { milliseconds } from '../../src/packet/time.ts';
import { configOf, createPath, type Kind, type Path } from './path.ts';

/** What a packet costs as something grows, in this process and without the kernel. */
export interface Growth {
  readonly what: string;
  readonly size: number;
  /** Microseconds of processor a packet. */
  readonly micros: number;
  /** Bytes that the process has grown by. */
  readonly memory: number;
}

export interface Sizes {
  readonly packets: number;
  readonly sources: readonly number[];
  readonly doors: readonly number[];
  readonly grants: readonly number[];
  readonly bans: readonly number[];
}

const DOOR = { knock: ['7000/tcp', '8000/udp', '9000/tcp'], opens: ['22/tcp'] };
const DECOYS = ['23/tcp', '2323/tcp', '3389/tcp'];

/** The same numbers for the same seed, on every machine. */
function createRandom(): () => number {
  let x = 2_463_534_242;
  return () => {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    return x >>> 0;
  };
}

export function growth(sizes: Sizes, say: (growth: Growth) => void): readonly Growth[] {
  const found: Growth[] = [];
  const record = (what: string, size: number, make: () => Path, kind: Kind): void => {
    const before = process.memoryUsage().rss;
    const path = make();
    // The code is compiled and the tables full before it counts.
    path.run(200_000, kind);
    const micros = Math.min(...[1, 2, 3].map(() => path.run(sizes.packets, kind)));
    const memory = Math.max(0, process.memoryUsage().rss - before);
    const row = { what, size, micros, memory };
    say(row);
    found.push(row);
  };
  for (const size of sizes.sources) bySources(size, record);
  for (const size of sizes.doors) byDoors(size, record);
  for (const size of sizes.grants) byGrants(size, record);
  for (const size of sizes.bans) byBans(size, record);
  return found;
}

type Record = (what: string, size: number, make: () => Path, kind: Kind) => void;

/** So many sources come again and again, all of them remembered. */
function bySources(size: number, record: Record): void {
  const random = createRandom();
  const make = (): Path => {
    const path = createPath(
      configOf({
        doors: { ssh: DOOR },
        decoys: DECOYS,
        memory: { sources: size },
        bans: { rate: { packets: 10_000, per: '1s' } },
      }),
    );
    path.run(Math.ceil(size * 1.2), { source: (index) => index % size, port: () => 7000 });
    return path;
  };
  record('sources remembered', size, make, { source: () => random() % size, port: () => 7000 });
}

function byDoors(size: number, record: Record): void {
  const random = createRandom();
  const first = (door: number): number => 10_000 + door;
  const doors: { [name: string]: object } = {};
  for (let door = 0; door < size; door += 1) {
    doors[`door${door}`] = { ...DOOR, knock: [`${first(door)}/tcp`, '8000/udp', '9000/tcp'] };
  }
  const make = (): Path => createPath(configOf({ doors, decoys: DECOYS }));
  record('doors', size, make, { source: random, port: () => first(random() % size) });
}

function byGrants(size: number, record: Record): void {
  const random = createRandom();
  const make = (): Path => {
    const path = createPath(configOf({ doors: { ssh: { ...DOOR, for: '7d' } }, decoys: DECOYS }));
    for (let host = 0; host < size; host += 1) {
      const address = { family: 4 as const, a: host, b: 0, c: 0, d: 0 };
      path.engine.execute(
        { command: 'grant', door: 'ssh', address, for: milliseconds(600_000_000) },
        milliseconds(1000),
        () => undefined,
      );
    }
    return path;
  };
  record('grants', size, make, { source: random, port: () => 7000 });
}

function byBans(size: number, record: Record): void {
  const random = createRandom();
  const make = (): Path => {
    const path = createPath(
      configOf({ doors: { ssh: DOOR }, decoys: DECOYS, bans: { limit: size, strikes: 1, for: '7d' } }),
    );
    path.run(size, { source: (index) => index, port: () => 23 });
    return path;
  };
  // Every packet makes one ban more, and lifts the one that is nearest to its end.
  record('bans, each packet one more', size, make, { source: random, port: () => 23 });
}
