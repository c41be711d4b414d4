import { once } from 'node:events';
import { startProcess } from './process.ts';

/** A service that speaks first, as sshd does, and goes on speaking. Resolves once it listens, on both families. */
export async function startSpeaker(namespace: string, port: number): Promise<void> {
  const speaks = `require('net').createServer((s) => {
    const t = setInterval(() => s.write('banner '), 50);
    s.on('close', () => clearInterval(t)).on('error', () => {});
  }).listen(${port}, '::', 1024, () => console.log('ready'))`;
  const { stdout } = startProcess(namespace, [process.execPath, '-e', speaks]);
  await once(stdout, 'data');
}
