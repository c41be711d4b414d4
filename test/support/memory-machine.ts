import type { Clock } from '../../src/clock.ts';
import { parseConfig } from '../../src/config/parse.ts';
import type { Answer } from '../../src/control/output.ts';
import { createAnnouncer } from '../../src/daemon/announce.ts';
import { createOneTimeConsumer } from '../../src/daemon/consume.ts';
import type { Dependencies } from '../../src/daemon/dependencies.ts';
import type { HookSubject } from '../../src/daemon/hook.ts';
import { type Daemon, runDaemon } from '../../src/daemon/run.ts';
import type { NfknockEvent } from '../../src/engine/event.ts';
import type { Config } from '../../src/policy/config.ts';
import type { StoodDown } from '../../src/rollback/stood-down.ts';
import { openMemoryStore } from '../../src/state/memory.ts';
import type { Store } from '../../src/state/store.ts';
import { type MemoryKernel, memoryKernel } from './memory-kernel.ts';
import { type MemorySources, memorySources } from './memory-source.ts';
import { type TestClock, testClock } from './test-clock.ts';

export function configOf(text: string): Config {
  const parsed = parseConfig(text, 'test');
  if (!parsed.ok) throw new Error(`the test's configuration: ${JSON.stringify(parsed.faults)}`);
  return parsed.config;
}

type Surroundings = ReturnType<Dependencies['createSurroundings']>;

/** A machine that nobody else uses. */
export const QUIET: Surroundings = {
  problems: () => [],
  warnings: () => [],
  glance: () => undefined,
  look: () => Promise.resolve(),
  lookAtTracking: () => Promise.resolve(),
  shut: () => [],
  close: () => undefined,
};

interface MachineOptions<C extends Clock> {
  readonly clock: C;
  readonly store: Store;
}

/** What a daemon in memory runs on. It outlives the daemon: another may be started on it. */
export interface MemoryMachine<C extends Clock = Clock> {
  readonly config: Config;
  readonly clock: C;
  readonly store: Store;
  readonly kernel: MemoryKernel;
  readonly sources: MemorySources;
  /** Every event that was announced, and what of it the log has. */
  readonly said: NfknockEvent[];
  readonly logged: NfknockEvent[];
  /** Commands of doors that were run. */
  readonly ran: { readonly argv: readonly string[]; readonly subject: HookSubject }[];
  /** What the next reload reads. */
  file: string;
  /** What somebody at the console wants; undefined: that the rules stand. */
  stoodDown: StoodDown | undefined;
  readonly dependencies: Dependencies;
  /** Asks as the control socket does, once a daemon runs. */
  ask(request: object): Promise<Answer>;
}

export function memoryMachine<C extends Clock = TestClock>(
  text: string,
  options: Partial<MachineOptions<C>> = {},
  overrides: Partial<Dependencies> = {},
): MemoryMachine<C> {
  const config = configOf(text);
  const clock = options.clock ?? (testClock() as unknown as C);
  const store = options.store ?? openMemoryStore({}, clock.wall());
  const kernel = memoryKernel({ config, now: clock.wall });
  const sources = memorySources();
  const said: NfknockEvent[] = [];
  const logged: NfknockEvent[] = [];
  const ran: MemoryMachine['ran'] = [];
  const announcer = createAnnouncer(config, clock, { log: (event) => void logged.push(event) });
  let handle: Parameters<Dependencies['openControl']>[0] | undefined;
  const machine = {
    ...{ config, clock, store, kernel, sources, said, logged, ran },
    file: text,
    stoodDown: undefined as StoodDown | undefined,
    async ask(request: object) {
      if (handle === undefined) throw new Error('no daemon listens');
      return handle({ v: 1, id: 1, ...request } as unknown as Parameters<typeof handle>[0]);
    },
  };
  const dependencies: Dependencies = {
    ...{ clock, store, firewall: kernel.firewall, key: [1, 2] },
    trust: { boot: 'b', synchronised: () => true, hasRtc: () => true },
    announcer: {
      ...announcer,
      announce(event) {
        said.push(event);
        announcer.announce(event);
      },
    },
    hooks: { run: (argv, subject) => void ran.push({ argv, subject }), close: () => undefined },
    logFault: () => null,
    loadConfig: () => parseConfig(machine.file, 'test'),
    findStoodDown: () => machine.stoodDown,
    loadKeys: () => ({ ok: true, file: { realms: [], keys: [] }, warnings: [] }),
    openSources: sources.open,
    openControl: async (given) => {
      handle = given;
      return {
        ...{ notice: null, publish: () => undefined, subscribers: () => 0, connections: () => 0 },
        close: async () => {
          handle = undefined;
        },
      };
    },
    openMetrics: () => Promise.reject(new Error('a daemon in memory has no metrics')),
    findExempt: async () => ({ networks: [], everybody: [] }),
    createSurroundings: () => QUIET,
    createConsumer: createOneTimeConsumer,
    ...overrides,
  };
  // The same object: what the test writes into `file` is what a reload reads.
  return Object.assign(machine, { dependencies });
}

/** Starts a whole daemon on it: all that is not kernel, disk or time is the program's own. */
export function startOn(machine: MemoryMachine): Promise<Daemon> {
  return runDaemon(
    machine.dependencies,
    {
      ...{ config: machine.config, configFile: 'test', version: '0', install: true },
      ...{ stateNotice: null, ipv6Fault: null, warnings: [] },
    },
    async () => undefined,
  );
}

/** Everything that goes on by itself without time passing has gone on. */
export async function settled(): Promise<void> {
  for (let turn = 0; turn < 5; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}
