import { afterEach, describe, expect, it } from 'vitest';
import { fault, guarded, owned, tellFaults } from '../../../src/guard/guard.ts';

afterEach(() => tellFaults(undefined));

function listen(): [string, unknown][] {
  const told: [string, unknown][] = [];
  tellFaults((part, error) => told.push([part, error]));
  return told;
}

describe('work that runs by itself', () => {
  it('gives what it throws to its part, and nothing to who called it', () => {
    const told = listen();
    const error = new Error('x');
    const given: number[] = [];
    const work = guarded('a part', (value: number) => {
      given.push(value);
      throw error;
    });
    work(1);
    work(2);
    expect(given).toEqual([1, 2]);
    expect(told).toEqual([
      ['a part', error],
      ['a part', error],
    ]);
  });

  it('gives what its promise rejects with to its part, and so does a promise that nobody waits for', async () => {
    const told = listen();
    guarded('one', () => Promise.reject(new Error('x')))();
    owned('two', Promise.reject(new Error('y')));
    fault('three', undefined);
    await new Promise((resolve) => setImmediate(resolve));
    expect(told.map(([part]) => part).sort()).toEqual(['one', 'three', 'two']);
  });

  it('is an uncaught exception where nobody has asked for faults, after the caller has gone on', async () => {
    const others = process.listeners('uncaughtException');
    process.removeAllListeners('uncaughtException');
    const caught = new Promise((resolve) => process.once('uncaughtException', resolve));
    let wentOn = false;
    guarded('a part', () => {
      throw new Error('x');
    })();
    wentOn = true;
    expect(await caught).toEqual(new Error('x'));
    for (const other of others) process.on('uncaughtException', other);
    expect(wentOn).toBe(true);
  });
});
