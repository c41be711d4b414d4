import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { createOneTimeConsumer } from '../../../src/daemon/consume.ts';
import type { Dependencies } from '../../../src/daemon/dependencies.ts';
import type { Daemon } from '../../../src/daemon/run.ts';
import type { NfknockEvent } from '../../../src/engine/event.ts';
import { FirewallError } from '../../../src/firewall/firewall.ts';
import { parseSequence } from '../../../src/one-time/file.ts';
import { formatAddress } from '../../../src/packet/address.ts';
import { grantKey } from '../../../src/policy/grantee.ts';
import { openMemoryStore } from '../../../src/state/memory.ts';
import { type MemoryConsumer, memoryConsumer, takenBy } from '../../support/memory-consumer.ts';
import { type MemoryMachine, memoryMachine, settled, startOn } from '../../support/memory-machine.ts';
import { type TestClock, testClock } from '../../support/test-clock.ts';
import { tcp } from '../source/capture-bytes.ts';

/* The invariants on top of src/daemon/effects.ts, by their numbers. */

type Machine = MemoryMachine<TestClock>;

const GUEST = '198.51.100.7';
const OTHER = '198.51.100.8';
const ON = 'on_open: [/bin/open, "%IP%"], on_close: [/bin/close, "%IP%"]';
const SSH = `ssh: { knock: [7000, 8000], opens: [22], for: 1m, ${ON} }`;
const WEB = `web: { knock: [7100, 8100], opens: [80], for: 1m, ${ON} }`;
// Small tables: many daemons are started.
const SMALL = 'memory: { sources: 1024 }, bans: { strikes: 50, limit: 1024 }';
const CONFIG = `{ doors: { ${SSH}, ${WEB} }, ${SMALL} }`;

let serial = 0;
const daemons: Daemon[] = [];

beforeEach(() => {
  // Only what the test says passes: consumptions have a time limit, and a daemon looks around once a second.
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval'] });
});
afterEach(async () => {
  for (const daemon of daemons.splice(0)) await daemon.stop('the test is over');
  vi.clearAllTimers();
  vi.useRealTimers();
});

/** A daemon each of whose knocks takes what the test gives or refuses. */
async function start(text = CONFIG): Promise<{ machine: Machine; consumer: MemoryConsumer; daemon: Daemon }> {
  const consumer = memoryConsumer();
  const machine = memoryMachine(text, {}, { createConsumer: () => consumer });
  const daemon = await startOn(machine);
  daemons.push(daemon);
  return { machine, consumer, daemon };
}

/** One batch. */
function send({ sources, clock }: Machine, from: string, ...ports: number[]): void {
  clock.pass(10);
  sources.send(
    ports.map((port) => {
      serial += 1;
      return tcp({ from, to: '192.0.2.1', port, sequence: serial });
    }),
  );
}

const ssh = (machine: Machine, from = GUEST): void => send(machine, from, 7000, 8000);
const doorEvents = ({ said }: Machine): readonly string[] =>
  said.flatMap((event) => {
    if (!event.event.startsWith('door.') || !('source' in event) || event.source === undefined) return [];
    const reason = 'reason' in event && event.reason !== undefined ? ` ${event.reason}` : '';
    return [`${event.event} ${formatAddress(event.source)}${reason}`];
  });
const held = async ({ kernel }: Machine): Promise<readonly string[]> =>
  (await kernel.firewall.readBack()).grants.map(({ door, grantee }) => grantKey(door, grantee)).sort();
const kept = ({ store, clock }: Machine): readonly string[] =>
  store
    .load(clock.wall())
    .grants.map(({ door, grantee }) => grantKey(door, grantee))
    .sort();
async function known(machine: Machine): Promise<readonly string[]> {
  const answer = await machine.ask({ command: 'grants' });
  if (!answer.ok) throw new Error('grants are always told');
  const rows = [...(answer.data as Iterable<{ door: string; grantee: string }>)];
  return rows.map(({ door, grantee }) => `${door} ${grantee}`);
}
const refusal = new FirewallError('add a rule', 'REFUSED', 'the test says so');

describe('a renewal that waits for its turn', () => {
  // Against: the last knock of a one-time line at a member of a fleet, in the moment in which another's opening comes
  // by: what is used up is the line that was knocked, not the one that its door asks for next
  it('takes what its door asked for when it was knocked (3)', async () => {
    const { machine, consumer } = await start();
    machine.kernel.hold();
    void machine.ask({ command: 'grant', door: 'ssh', address: GUEST });
    await settled();
    const [knocked, next] = ['7000/tcp', '7001/tcp'].map((line) => parseSequence(line) ?? []);
    consumer.next('ssh', knocked ?? []);
    ssh(machine);
    await settled();
    consumer.next('ssh', next ?? []);
    expect(consumer.asked).toEqual([]);
    machine.kernel.release();
    await settled();
    expect(consumer.asked.map(({ line }) => line)).toEqual([knocked]);
    consumer.asked[0]?.accept();
    await settled();
    expect(doorEvents(machine)).toEqual([`door.opened ${GUEST}`, `door.renewed ${GUEST}`]);
  });
});

describe('while a consumption is under way', () => {
  it('nothing is kept, in force, announced or run of it; all is once it succeeds (3)', async () => {
    const { machine, consumer } = await start();
    ssh(machine);
    await settled();
    expect([kept(machine), await held(machine), doorEvents(machine), machine.ran]).toEqual([[], [], [], []]);
    consumer.asked[0]?.accept();
    await settled();
    expect(kept(machine)).toHaveLength(1);
    expect(await held(machine)).toHaveLength(1);
    expect(doorEvents(machine)).toEqual([`door.opened ${GUEST}`]);
    expect(machine.ran).toHaveLength(1);
  });

  it.each(['refuse', 'fail'] as const)('and it comes to "%s", nobody ever hears of it (4)', async (end) => {
    const { machine, consumer } = await start();
    ssh(machine);
    await settled();
    expect(await known(machine)).toHaveLength(1);
    consumer.asked[0]?.[end]();
    await settled();
    expect([kept(machine), await held(machine), doorEvents(machine), machine.ran]).toEqual([[], [], [], []]);
    expect(await known(machine)).toEqual([]);
    expect(machine.said.at(-1)).toMatchObject({ event: 'config.warning', door: 'ssh' });
    // And the same knock may be made again.
    ssh(machine);
    await settled();
    consumer.asked[0]?.accept();
    await settled();
    expect(doorEvents(machine)).toEqual([`door.opened ${GUEST}`]);
  });

  it('another batch is judged and carried out, also of another grant (2)', async () => {
    const { machine, consumer } = await start();
    ssh(machine);
    ssh(machine, OTHER);
    send(machine, '203.0.113.9', 7000);
    await settled();
    consumer.asked[1]?.accept();
    await settled();
    expect(doorEvents(machine)).toEqual([`door.opened ${OTHER}`]);
    expect(machine.said.map(({ event }) => event)).toContain('knock.accepted');
    consumer.asked[0]?.accept();
    await settled();
    expect(doorEvents(machine)).toEqual([`door.opened ${OTHER}`, `door.opened ${GUEST}`]);
  });

  it('a second knock of the same source waits for it, and takes something of its own (2)', async () => {
    const { machine, consumer } = await start();
    ssh(machine);
    ssh(machine);
    await settled();
    expect(consumer.asked).toHaveLength(1);
    consumer.asked[0]?.accept();
    await settled();
    expect(consumer.asked).toHaveLength(1);
    expect(doorEvents(machine)).toEqual([`door.opened ${GUEST}`]);
    consumer.asked[0]?.accept();
    await settled();
    expect(doorEvents(machine)).toEqual([`door.opened ${GUEST}`, `door.renewed ${GUEST}`]);
  });

  it('a second knock is dropped with the first where that is refused (4)', async () => {
    const { machine, consumer } = await start();
    ssh(machine);
    ssh(machine);
    await settled();
    consumer.asked[0]?.refuse();
    await settled();
    expect([consumer.asked.length, doorEvents(machine), await known(machine)]).toEqual([0, [], []]);
  });

  it('a renewal that is refused ends the grant, and that is announced (4)', async () => {
    const { machine, consumer } = await start();
    ssh(machine);
    await settled();
    consumer.asked[0]?.accept();
    await settled();
    ssh(machine);
    await settled();
    consumer.asked[0]?.refuse();
    await settled();
    expect(doorEvents(machine)).toEqual([`door.opened ${GUEST}`, `door.closed ${GUEST} refused`]);
    expect([kept(machine), await held(machine), await known(machine)]).toEqual([[], [], []]);
    expect(machine.ran.map(({ argv }) => argv[0])).toEqual(['/bin/open', '/bin/close']);
  });

  it('someone takes the grant back: it is not put in force, and nobody hears of it (5)', async () => {
    const { machine, consumer } = await start();
    ssh(machine);
    await settled();
    const revoked = machine.ask({ command: 'revoke', address: GUEST });
    await settled();
    consumer.asked[0]?.accept();
    expect(await revoked).toMatchObject({ ok: true, data: { changed: 1 } });
    expect([kept(machine), await held(machine), doorEvents(machine)]).toEqual([[], [], []]);
    expect(machine.kernel.changes.filter(({ change }) => change === 'open')).toEqual([]);
  });

  it('a reload takes the door away: the same; and leaves other doors alone (5)', async () => {
    const { machine, consumer, daemon } = await start();
    ssh(machine);
    send(machine, OTHER, 7100, 8100);
    await settled();
    machine.file = `{ doors: { ${WEB} }, ${SMALL} }`;
    await daemon.reload();
    for (const each of [...consumer.asked]) each.accept();
    await settled();
    expect(doorEvents(machine)).toEqual([`door.opened ${OTHER}`]);
    expect(await held(machine)).toEqual(kept(machine));
    expect(await known(machine)).toEqual([`web ${OTHER}`]);
  });

  it('a stop waits for its end, and what was consumed is in force and announced', async () => {
    const { machine, consumer } = await start();
    const daemon = daemons.pop();
    ssh(machine);
    await settled();
    const stopped = daemon?.stop('told to');
    await settled();
    expect(machine.said.at(-1)?.event).not.toBe('daemon.stopped');
    consumer.asked[0]?.accept();
    await stopped;
    expect(machine.said.slice(-2).map(({ event }) => event)).toEqual(['door.opened', 'daemon.stopped']);
  });

  it('it may take 3 s: then it is refused, whatever comes of it after, and a stop goes on (6)', async () => {
    const { machine, consumer } = await start();
    ssh(machine);
    await settled();
    const [asked] = consumer.asked;
    await vi.advanceTimersByTimeAsync(2_999);
    expect(await known(machine)).toHaveLength(1);
    await vi.advanceTimersByTimeAsync(1);
    await settled();
    asked?.accept();
    await settled();
    expect([doorEvents(machine), await held(machine), await known(machine)]).toEqual([[], [], []]);
    expect(machine.said.at(-1)).toMatchObject({ reason: expect.stringContaining('longer than 3 s') });
  });

  it('there are 1024 at most: what comes beyond is refused at once, and nobody is struck for it (6)', async () => {
    const { machine, consumer } = await start();
    for (let host = 0; host < 1025; host += 1) ssh(machine, `198.18.${host >> 8}.${host & 255}`);
    await settled();
    expect(consumer.asked).toHaveLength(1024);
    expect(await known(machine)).toHaveLength(1024);
    expect(machine.said.at(-1)).toMatchObject({ reason: expect.stringContaining('1024 knocks wait') });
    for (const each of [...consumer.asked]) each.accept();
    await settled();
    expect(doorEvents(machine)).toHaveLength(1024);
  });

  it('a grant by hand takes nothing, and one of another grant does not wait', async () => {
    const { machine, consumer } = await start();
    const granted = await machine.ask({ command: 'grant', door: 'ssh', address: GUEST });
    expect(granted.ok).toBe(true);
    expect(consumer.asked).toEqual([]);
    expect(doorEvents(machine)).toEqual([`door.opened ${GUEST}`]);
  });
});

describe('a grant that the kernel refuses', () => {
  it('is taken back and out of the state file, and nobody hears of it (4)', async () => {
    const { machine, consumer } = await start();
    machine.kernel.refuse(({ change }) => (change === 'open' ? refusal : undefined));
    ssh(machine);
    await settled();
    consumer.asked[0]?.accept();
    await settled();
    expect([kept(machine), await held(machine), await known(machine)]).toEqual([[], [], []]);
    expect(doorEvents(machine)).toEqual([]);
    expect(machine.said.at(-1)).toMatchObject({ event: 'firewall.failed', door: 'ssh' });
    expect(machine.ran).toEqual([]);
  });

  it('takes no other grant of the same batch down with it', async () => {
    const { machine } = await start();
    machine.kernel.hold();
    const opened = ['ssh', 'web'].map((door) => machine.ask({ command: 'grant', door, address: GUEST }));
    machine.kernel.refuse((each) => (each.change === 'open' && each.door === 'ssh' ? refusal : undefined));
    await settled();
    machine.kernel.release();
    expect((await Promise.all(opened)).map(({ ok }) => ok)).toEqual([false, true]);
    expect(doorEvents(machine)).toEqual([`door.opened ${GUEST}`]);
    expect(await known(machine)).toEqual([`web ${GUEST}`]);
  });

  // Against: a revocation while the kernel refuses or delays the opening
  // by: the events of one grant wait for each other
  it('is not opened after it was revoked, though the kernel was slow to refuse it (2)', async () => {
    const { machine } = await start();
    machine.kernel.hold();
    let times = 0;
    machine.kernel.refuse(({ change }) => {
      if (change !== 'open') return undefined;
      times += 1;
      return times === 1 ? refusal : undefined;
    });
    const granted = machine.ask({ command: 'grant', door: 'ssh', address: GUEST });
    const revoked = machine.ask({ command: 'revoke', address: GUEST });
    await settled();
    machine.kernel.release();
    await Promise.all([granted, revoked]);
    await settled();
    expect([await held(machine), kept(machine), await known(machine)]).toEqual([[], [], []]);
  });
});

/** What may happen to a daemon, in any order. */
const steps = fc.array(
  fc.oneof(
    {
      weight: 6,
      arbitrary: fc.record({ do: fc.constant('knock' as const), who: fc.nat(2), door: fc.nat(1) }),
    },
    { weight: 2, arbitrary: fc.record({ do: fc.constant('revoke' as const), who: fc.nat(2) }) },
    {
      weight: 2,
      arbitrary: fc.record({ do: fc.constant('grant' as const), who: fc.nat(2), door: fc.nat(1) }),
    },
    {
      weight: 4,
      arbitrary: fc.record({
        do: fc.constantFrom('accept' as const, 'refuse' as const, 'fail' as const),
        which: fc.nat(5),
      }),
    },
    { weight: 2, arbitrary: fc.record({ do: fc.constantFrom('hold' as const, 'release' as const) }) },
    {
      weight: 1,
      arbitrary: fc.record({ do: fc.constantFrom('kernel refuses' as const, 'kernel takes' as const) }),
    },
    {
      weight: 1,
      arbitrary: fc.record({ do: fc.constant('pass' as const), ms: fc.integer({ min: 1, max: 90_000 }) }),
    },
    { weight: 1, arbitrary: fc.record({ do: fc.constantFrom('reload' as const, 'settle' as const) }) },
  ),
  { maxLength: 40 },
);

describe('whatever happens, in whatever order', () => {
  it('what is announced was consumed, kept and in force, each grant tells a whole story, and all agree', async () => {
    await fc.assert(
      fc.asyncProperty(steps, async (history) => {
        const { machine, consumer } = await start();
        const daemon = daemons.at(-1);
        let reloaded = false;
        for (const step of history) {
          const who = 'who' in step ? `198.51.100.${step.who + 1}` : '';
          const door = 'door' in step ? step.door : 0;
          if (step.do === 'knock') send(machine, who, ...(door === 0 ? [7000, 8000] : [7100, 8100]));
          else if (step.do === 'revoke') void machine.ask({ command: 'revoke', address: who });
          else if (step.do === 'grant')
            void machine.ask({
              command: 'grant',
              door: door === 0 ? 'ssh' : 'web',
              address: who,
              reason: 'hand',
            });
          else if (step.do === 'hold') machine.kernel.hold();
          else if (step.do === 'release') machine.kernel.release();
          else if (step.do === 'kernel refuses')
            machine.kernel.refuse(({ change }) => (change === 'open' ? refusal : undefined));
          else if (step.do === 'kernel takes') machine.kernel.refuse(() => undefined);
          else if (step.do === 'pass') {
            machine.clock.pass(step.ms);
            await vi.advanceTimersByTimeAsync(step.ms);
          } else if (step.do === 'settle') await settled();
          else if (step.do === 'reload') {
            reloaded = !reloaded;
            machine.file = reloaded ? `{ doors: { ${WEB} }, ${SMALL} }` : CONFIG;
            void daemon?.reload();
          } else if ('which' in step) consumer.asked[step.which]?.[step.do]();
        }
        machine.kernel.release();
        machine.kernel.refuse(() => undefined);
        do {
          for (const each of [...consumer.asked]) each.accept();
          await settled();
        } while (consumer.asked.length > 0);
        expectWholeStories(machine, consumer);
        expect(await held(machine)).toEqual(kept(machine));
        expect([...(await known(machine))].sort()).toEqual(
          kept(machine)
            .map((key) => key.replace('\n', ' ').replace(/\/32$/, ''))
            .sort(),
        );
        await daemons.pop()?.stop('done');
      }),
      { numRuns: Number(process.env['NFKNOCK_RUNS'] ?? 25) },
    );
  });
});

function expectWholeStories({ said, ran }: Machine, { accepted }: MemoryConsumer): void {
  const open = new Set<string>();
  const commands: string[] = [];
  for (const event of said) {
    if (!isOfDoor(event)) continue;
    const key = grantKey(event.door, event.grantee);
    if (event.event === 'door.opened') expect(open.has(key), `${key} opened twice`).toBe(false);
    else expect(open.has(key), `${event.event} of ${key}, which was not open`).toBe(true);
    if (event.event === 'door.closed') open.delete(key);
    else {
      open.add(key);
      if (event.reason !== 'hand') expect(accepted).toContain(takenBy(event));
    }
    if (event.event !== 'door.renewed') commands.push(`${event.event} ${formatAddress(event.source)}`);
  }
  const run = ran.map(
    ({ argv, subject }) => `door.${argv[0] === '/bin/open' ? 'opened' : 'closed'} ${subject.ip}`,
  );
  expect(run).toEqual(commands);
}

function isOfDoor(
  event: NfknockEvent,
): event is Extract<NfknockEvent, { event: 'door.opened' | 'door.renewed' | 'door.closed' }> {
  return ['door.opened', 'door.renewed', 'door.closed'].includes(event.event);
}

describe('killed with -9 between any two steps', () => {
  const FIRST = '7001:tcp,7002:tcp';
  const SECOND = '7101:tcp,7102:tcp';
  let folder: string;
  let file: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'nfknock-effects-'));
    file = join(folder, 'sequences');
    writeFileSync(file, `${FIRST}\n${SECOND}\n7201:tcp,7202:tcp\n`);
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  /** From step `last` on nothing that the process does has an effect. Answers how many steps there were. */
  function mortal(machine: Machine, last: number): { dependencies: Dependencies; steps: () => number } {
    let step = 0;
    const alive = (): boolean => {
      step += 1;
      return step <= last;
    };
    const { dependencies: given } = machine;
    const dead = (): never => {
      throw new Error('killed');
    };
    return {
      steps: () => step,
      dependencies: {
        ...given,
        createConsumer(config) {
          const real = createOneTimeConsumer(config);
          return {
            ...real,
            taskOf(event) {
              const task = real.taskOf(event);
              if (task?.when !== 'at once') return task;
              return { ...task, consume: () => (alive() ? task.consume() : dead()) };
            },
          };
        },
        store: {
          ...given.store,
          write(changes, now, surviving) {
            if (changes.length === 0 || alive()) given.store.write(changes, now, surviving);
          },
        },
        firewall: {
          ...given.firewall,
          apply: (changes) => (alive() ? given.firewall.apply(changes) : new Promise(() => undefined)),
        },
        announcer: {
          ...given.announcer,
          announce(event) {
            if (alive()) given.announcer.announce(event);
          },
        },
        hooks: {
          ...given.hooks,
          run(argv, subject) {
            if (alive()) given.hooks.run(argv, subject);
          },
        },
      },
    };
  }

  /** Knocks once, is renewed, revoked; another is let in by hand. */
  async function live(machine: Machine): Promise<void> {
    send(machine, GUEST, 7001, 7002);
    await settled();
    send(machine, GUEST, 7101, 7102);
    await settled();
    machine.ask({ command: 'grant', door: 'once', address: OTHER }).catch(() => undefined);
    await settled();
    machine.ask({ command: 'revoke', address: GUEST }).catch(() => undefined);
    await settled();
  }

  const text = (): string =>
    `{ doors: { once: { one_time: ${file}, opens: [22], for: 1h, ${ON} } }, ${SMALL} }`;

  async function killedAfter(last: number): Promise<number> {
    const clock = testClock();
    const store = openMemoryStore({}, clock.wall());
    const machine = memoryMachine(text(), { clock, store });
    const { dependencies, steps } = mortal(machine, last);
    // It may not live to see its start's end.
    void startOn({ ...machine, dependencies });
    await settled();
    await live(machine);
    vi.clearAllTimers();
    const done = steps();
    const announced = new Set<string>();
    for (const event of machine.said) {
      if (!isOfDoor(event)) continue;
      const key = grantKey(event.door, event.grantee);
      if (event.event === 'door.closed') announced.delete(key);
      else announced.add(key);
    }
    const marked = readFileSync(file, 'utf8')
      .split('\n')
      .filter((line) => line.startsWith('#'));
    // A door that was opened by a line has it marked, and of two lines the second only after the first.
    const openings = machine.said.filter((event) => isOfDoor(event) && event.event !== 'door.closed');
    expect(marked.length).toBeGreaterThanOrEqual(
      openings.filter(
        (event) => 'source' in event && event.source !== undefined && formatAddress(event.source) === GUEST,
      ).length,
    );

    const daemon = await startOn(machine);
    daemons.push(daemon);
    expect(await held(machine)).toEqual(kept(machine));
    expect(await known(machine)).toHaveLength(kept(machine).length);
    for (const key of announced) {
      // Announced lasts, unless its end was under way when the process died.
      if (!kept(machine).includes(key)) expect(key).toContain(GUEST);
    }
    // No line that was taken opens again, from anywhere.
    const before = (await held(machine)).length;
    for (const line of marked) {
      const ports = line
        .slice(1)
        .split(',')
        .map((port) => Number.parseInt(port, 10));
      send(machine, '198.51.100.99', ...ports);
      await settled();
    }
    expect(await held(machine)).toHaveLength(before);
    await daemons.pop()?.stop('done');
    return done;
  }

  // Against: kill -9 between any two steps of an opening
  // by: the knock is used up first, then kept, in force, announced
  it('kernel, state and engine agree after the next start, what was announced lasts, and no line opens twice', async () => {
    const whole = await killedAfter(Number.POSITIVE_INFINITY);
    expect(whole).toBeGreaterThan(15);
    for (let last = 0; last < whole; last += 1) {
      writeFileSync(file, `${FIRST}\n${SECOND}\n7201:tcp,7202:tcp\n`);
      await killedAfter(last);
    }
  });
});
