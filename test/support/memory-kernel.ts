import type { Change, Firewall, FirewallError, RuleListener } from '../../src/firewall/firewall.ts';
import { type MemoryFirewall, memoryFirewall } from '../../src/firewall/memory.ts';
import type { Config } from '../../src/policy/config.ts';

/** A firewall in memory that answers late, refuses, or is tampered with, when the test says so. */
export interface MemoryKernel {
  readonly firewall: Firewall;
  /** What was carried out so far. */
  readonly changes: readonly Change[];
  /** From now on what is applied waits. */
  hold(): void;
  /** What waits is carried out, in its order. */
  release(): void;
  /** How many calls wait. */
  waiting(): number;
  /** Refuses the changes that this names an error for. */
  refuse(why: (change: Change) => FirewallError | undefined): void;
  /** Refuses another configuration. */
  refuseConfig(error: FirewallError | undefined): void;
  /** Someone else takes the rules away; resolves once that was answered. */
  tamper(what: 'rules' | 'sets'): Promise<void>;
  /** Tells whoever watches. */
  readonly listener: () => RuleListener | undefined;
  /** How often the rules were installed. */
  installs(): number;
  /** The configuration that the rules are made from. */
  replaced(): Config | undefined;
}

export function memoryKernel(options: { readonly config: Config; readonly now: () => number }): MemoryKernel {
  const memory: MemoryFirewall = memoryFirewall(options);
  let held: (() => void)[] | undefined;
  let turn: Promise<void> = Promise.resolve();
  let refusal: (change: Change) => FirewallError | undefined = () => undefined;
  let listener: RuleListener | undefined;
  let installs = 0;
  let replaced: Config | undefined;
  let configRefusal: FirewallError | undefined;

  async function carry(changes: readonly Change[], gate: Promise<void>): Promise<void> {
    await gate;
    const refused = changes.map(refusal).find((error) => error !== undefined);
    if (refused !== undefined) throw refused;
    await memory.apply(changes);
  }

  return {
    changes: memory.changes,
    firewall: {
      ...memory,
      async install() {
        installs += 1;
        await memory.install();
      },
      apply(changes) {
        const gate = held === undefined ? Promise.resolve() : new Promise<void>((go) => held?.push(go));
        // Calls are carried out in their order.
        const done = turn.then(() => carry(changes, gate));
        turn = done.catch(() => undefined);
        return done;
      },
      async replace(config, oneTime) {
        if (configRefusal !== undefined) throw configRefusal;
        const left = await memory.replace(config, oneTime);
        replaced = config;
        return left;
      },
      watch(given) {
        listener = given;
        return {
          close() {
            listener = undefined;
          },
        };
      },
    },
    hold() {
      held ??= [];
    },
    release() {
      const waiting = held ?? [];
      held = undefined;
      for (const go of waiting) go();
    },
    waiting: () => held?.length ?? 0,
    refuse(why) {
      refusal = why;
    },
    refuseConfig(error) {
      configRefusal = error;
    },
    async tamper(what) {
      await memory.remove();
      await listener?.onDrift(what).catch((error) => listener?.onError(error));
    },
    listener: () => listener,
    installs: () => installs,
    replaced: () => replaced,
  };
}
