import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { createNet, type Net } from '../support/net.ts';
import { ROOT } from '../support/root.ts';

/* Answers that come late, since the process stood still or a list is long, are answers all the same; and no socket at all. */

const ours = (name: string): string => pathToFileURL(join(ROOT, `dist/firewall/netlink/${name}.js`)).href;
let net: Net;
beforeAll(async () => {
  net = await createNet();
});
afterAll(() => net?.close());

/** What a script says that has `sets`, asked for with so many milliseconds for each answer. */
async function told(answerMs: number, script: string): Promise<string> {
  const text = `
    import { openNetfilter } from '${ours('socket')}';
    import { openSets } from '${ours('ipset')}';
    const socket = openNetfilter({ answerMs: ${answerMs} });
    const sets = openSets(socket);
    const standStill = (ms) => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
    const say = (what) => console.log(what);
    ${script}
    socket.close();
  `;
  const { stdout, stderr } = await net.server.exec([process.execPath, '--input-type=module', '-e', text]);
  return stdout.trim() + stderr;
}

it('the answer is taken that waits when the process goes on', async () => {
  const still = 60 + Math.floor(Math.random() * 200);
  const script = `
    await sets.create({ name: 'one', family: 4, type: 'hash:ip', limit: 9 });
    const asked = sets.has('one', { address: { family: 4, a: 0x0a000001, b: 0, c: 0, d: 0 }, bits: 32 });
    standStill(${still});
    say(await asked);
  `;
  expect(await told(50, script)).toBe('false');
});

it('a list may take longer than its pieces', async () => {
  const count = 40_000 + Math.floor(Math.random() * 20_000);
  const script = `
    await sets.create({ name: 'many', family: 4, type: 'hash:ip', limit: 100_000 });
    const target = (a) => ({ address: { family: 4, a, b: 0, c: 0, d: 0 }, bits: 32 });
    const entries = Array.from({ length: ${count} }, (_, at) => ({ target: target(0x0a000000 + at), seconds: 99 }));
    await sets.change([{ set: 'many', family: 4, action: 'add', entries }]);
    // Each turn of the loop takes as long as an answer may.
    const slow = setInterval(() => standStill(20), 1);
    say((await sets.list('many')).length);
    clearInterval(slow);
  `;
  expect(await told(25, script)).toBe(`${count}`);
});

it('a socket that no descriptor is left for says what to do', async () => {
  const script = `
    const fs = await import('node:fs');
    const { openNetfilter } = await import('${ours('socket')}');
    // What is loaded when a socket is first opened is there.
    openNetfilter().close();
    for (;;) try { fs.openSync('/dev/null'); } catch { break; }
    try { openNetfilter(); } catch (error) { console.log(error.message); }
  `;
  const node = [process.execPath, '--input-type=module', '-e', script];
  const { stdout } = await net.server.exec(['prlimit', '--nofile=128', ...node]);
  expect(stdout).toContain('open a netfilter socket: EMFILE: free file descriptors, or raise their limit');
});
