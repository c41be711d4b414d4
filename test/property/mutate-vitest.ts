import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

/** A test as its file wrote it, to be called at will. */
export interface WrittenTest {
  readonly name: string;
  readonly run: () => unknown;
}

/** Stands in for `vitest`: gathers tests instead of running them. Its `expect` is the true one. */
export interface Gathering {
  readonly stand: object;
  /** The tests written since the last call. */
  take(): readonly WrittenTest[];
}

type Body = (...row: unknown[]) => unknown;

export async function createGathering(): Promise<Gathering> {
  const expect = await trueExpect();
  let gathered: WrittenTest[] = [];
  const within: string[] = [];

  function test(name: string, ...rest: readonly unknown[]): void {
    const run = rest.find((one): one is Body => typeof one === 'function');
    if (run !== undefined) gathered.push({ name: [...within, name].join(' › '), run });
  }
  test.each =
    (rows: readonly unknown[]) =>
    (name: string, ...rest: readonly unknown[]): void => {
      const body = rest.find((one): one is Body => typeof one === 'function');
      for (const [index, row] of rows.entries()) {
        test(`${name} (${index + 1})`, () => body?.(...(Array.isArray(row) ? row : [row])));
      }
    };
  function describe(name: string, body: () => void): void {
    within.push(name);
    body();
    within.pop();
  }

  return {
    stand: { test, it: test, describe, expect },
    take() {
      const taken = gathered;
      gathered = [];
      return taken;
    },
  };
}

/** `expect` as vitest makes it, which it gives to nobody outside of its own runs. */
async function trueExpect(): Promise<object> {
  const vitest = createRequire(createRequire(import.meta.url).resolve('vitest'));
  const near = createRequire(vitest.resolve('@vitest/expect'));
  // biome-ignore lint/suspicious/noExplicitAny: two packages of vitest's own, whose types do not matter here
  const load = async (name: string): Promise<any> => await import(pathToFileURL(near.resolve(name)).href);
  const chai = await load('chai');
  const kit = await load('@vitest/expect');
  for (const plugin of [kit.JestExtend, kit.JestChaiExpect, kit.JestAsymmetricMatchers]) chai.use(plugin);
  const expect = (value: unknown, message?: string): unknown => chai.expect(value, message);
  Object.assign(expect, chai.expect, Reflect.get(globalThis, kit.ASYMMETRIC_MATCHERS_OBJECT));
  return Object.assign(expect, {
    getState: () => kit.getState(expect),
    setState: (state: object) => kit.setState(state, expect),
    fail: (message?: string) => {
      throw new Error(message);
    },
    unreachable: (message?: string) => {
      throw new Error(message);
    },
  });
}
