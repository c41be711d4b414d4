import { expect, it } from 'vitest';
import { runTool } from '../../../src/firewall/iptables/command.ts';

// Against: a tool that leaves something behind which holds its output open, so that no rule is laid or looked at any more
// by: nobody waits for more than the tool itself
it('a tool is over once it has ended itself, with all that it printed', async () => {
  const lines = 1_000 + Math.floor(Math.random() * 5_000);
  const begun = performance.now();
  const script = `sleep 30 & seq ${lines}; echo why >&2; exit 3`;
  const { status, output, complaint } = await runTool('/bin/sh', ['-c', script]);
  expect(performance.now() - begun).toBeLessThan(10_000);
  expect(status).toBe(3);
  expect(output.trim().split('\n').length).toBe(lines);
  expect(complaint).toBe('why\n');
});

it('a tool that prints much to a process that stands still meanwhile is read whole', async () => {
  const running = runTool('/bin/sh', ['-c', 'seq 8000']);
  await new Promise((resolve) => setTimeout(resolve, 200));
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 2_500);
  expect((await running).output.trim().split('\n').length).toBe(8_000);
});
