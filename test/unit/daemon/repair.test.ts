import { describe, expect, test } from 'vitest';
import { assemble } from '../../../src/daemon/assemble.ts';
import type { Core } from '../../../src/daemon/dependencies.ts';
import { createRepairs, type Repairs } from '../../../src/daemon/repair.ts';
import type { NfknockEvent } from '../../../src/engine/event.ts';
import { FirewallError } from '../../../src/firewall/firewall.ts';
import { memoryMachine } from '../../support/memory-machine.ts';

/** A daemon's repairs, with a clock that the test moves and a kernel that refuses when told to. */
function bench(): {
  core: Core;
  repairs: Repairs;
  said: NfknockEvent[];
  failed: Error[];
  pass(ms: number): void;
  refuse(error: FirewallError | undefined): void;
} {
  let refusal: FirewallError | undefined;
  const failed: Error[] = [];
  const machine = memoryMachine('{ doors: { ssh: { knock: [7000, 8000], opens: [22] } } }');
  const { firewall } = machine.dependencies;
  const install = (): Promise<void> => (refusal === undefined ? firewall.install() : Promise.reject(refusal));
  const core = assemble(
    { ...machine.dependencies, firewall: { ...firewall, install } },
    {
      ...{ config: machine.config, configFile: 'test', version: '0' },
      fail: (error) => void failed.push(error),
    },
  );
  return {
    ...{ core, repairs: createRepairs(core), said: machine.said, failed, pass: machine.clock.pass },
    refuse: (error) => {
      refusal = error;
    },
  };
}

const faultOf = ({ health }: Core): string | null => health.snapshot().faults.firewall;
const changesOf = ({ health }: Core): number => health.snapshot().lately['external changes'];

describe('a program that changes the rules once a second for ten minutes', () => {
  test('is answered each time, is named in the status, and fills no log', async () => {
    const { core, repairs, said, pass } = bench();
    for (let second = 0; second < 600; second += 1) {
      await repairs.repair('rules');
      pass(1_000);
    }
    expect(said.every(({ event }) => event === 'firewall.repaired')).toBe(true);
    expect(said.length).toBeLessThanOrEqual(20 + 10);
    expect(said.at(-1)).toMatchObject({
      reason: expect.stringMatching(/60 times in the last minute; find out who/),
    });
    expect(changesOf(core)).toBe(59);
    pass(60_000);
    expect(changesOf(core)).toBe(0);
    await repairs.repair('sets');
    expect(said.at(-1)).toMatchObject({ reason: 'sets had been changed by another program' });
  });
});

describe('rules that can not be put back', () => {
  test('are said once a minute as long as the reason is the same, and are a fault until they are back', async () => {
    const { core, repairs, said, failed, pass, refuse } = bench();
    refuse(new FirewallError('run iptables-restore', 'TIMEOUT', 'another program holds the lock'));
    for (let second = 0; second < 90; second += 1) {
      await expect(repairs.repair('rules')).rejects.toThrow('TIMEOUT');
      pass(1_000);
    }
    expect(said.map(({ event }) => event)).toEqual(['firewall.failed', 'firewall.failed']);
    expect(faultOf(core)).toContain('another program holds the lock');
    expect(failed).toEqual([]);
    refuse(undefined);
    await repairs.repair('rules');
    expect(faultOf(core)).toBeNull();
    expect(said.at(-1)?.event).toBe('firewall.repaired');
  });

  test('for want of a permission end the daemon: what starts it lays them with more', async () => {
    const { repairs, said, failed, refuse } = bench();
    refuse(new FirewallError('read the rules', 'NOT_PERMITTED', 'iptables-legacy takes CAP_NET_RAW'));
    await expect(repairs.repair('rules')).rejects.toThrow('NOT_PERMITTED');
    expect(said.at(-1)?.event).toBe('firewall.failed');
    expect(failed.map(({ message }) => message)).toEqual([
      expect.stringContaining('may not be restored by this user'),
    ]);
  });
});
