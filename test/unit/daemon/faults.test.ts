import { describe, expect, it } from 'vitest';
import type { Clock } from '../../../src/clock.ts';
import { createFaults } from '../../../src/daemon/faults.ts';
import { createLosses } from '../../../src/daemon/losses.ts';
import type { NfknockEvent } from '../../../src/engine/event.ts';

function lab(): { said: NfknockEvent[]; pass: (ms: number) => void; clock: Clock } {
  let now = 1000;
  const clock = { now: () => now } as unknown as Clock;
  return {
    said: [],
    clock,
    pass: (ms) => {
      now += ms;
    },
  };
}

describe('a fault', () => {
  it('is said with its part and place, and is a problem for a minute', () => {
    const { said, pass, clock } = lab();
    const faults = createFaults(clock, { announce: (event) => said.push(event) });
    expect(faults.last()).toBeNull();
    faults.report('supervisor', new Error('EMFILE\nand more'));
    expect(said).toMatchObject([{ event: 'daemon.fault' }]);
    expect(faults.last()).toMatch(/^supervisor: EMFILE and more \(at /);
    pass(59_999);
    expect(faults.last()).not.toBeNull();
    pass(1);
    expect(faults.last()).toBeNull();
    expect(faults.total()).toBe(1);
  });

  it('of the log itself is counted and not said: that would be another', () => {
    const { said, clock } = lab();
    const faults = createFaults(clock, { announce: (event) => said.push(event) });
    faults.report('log', 'x');
    expect([said.length, faults.total(), faults.last()]).toEqual([0, 1, 'log: x']);
  });

  it('that can not be said ends nothing', () => {
    const faults = createFaults(lab().clock, {
      announce: () => {
        throw new Error('y');
      },
    });
    faults.report('engine', new Error('x'));
    expect(faults.total()).toBe(1);
  });
});

describe('messages of the kernel that were missed', () => {
  it('are added up, said once a tick for each kind, and are a problem for a minute', () => {
    const { said, pass, clock } = lab();
    const losses = createLosses(clock, { announce: (event) => said.push(event) });
    losses.tick();
    expect(said).toEqual([]);
    losses.add('rules', 2);
    losses.add('connections', 3);
    losses.add('rules', 5);
    expect(losses.total()).toBe(10);
    losses.tick();
    losses.tick();
    expect(said).toMatchObject([
      { event: 'events.lost', reason: 'rules', count: 7 },
      { event: 'events.lost', reason: 'connections', count: 3 },
    ]);
    expect(losses.lately()).toBe(10);
    pass(60_000);
    expect(losses.lately()).toBe(0);
    expect(losses.total()).toBe(10);
  });
});
