import type { Host } from './net.ts';
import { startProcess } from './process.ts';

/** A UDP service on both families that sends back what it gets. */
export async function answerUdp(host: Host, port: number): Promise<void> {
  startProcess(host.namespace, ['socat', `UDP6-RECVFROM:${port},fork,reuseaddr,ipv6only=0`, 'PIPE']);
  for (let look = 0; look < 100; look += 1) {
    if ((await host.exec(['ss', '-Hlun', 'sport', '=', `:${port}`])).stdout !== '') return;
  }
  throw new Error(`nothing answers on UDP port ${port} of ${host.namespace}`);
}

/** True where one datagram to the port is answered within `seconds`. */
export function udpAnswers(from: Host, target: string, port: number, seconds = 0.3): Promise<boolean> {
  const to = target.includes(':') ? `UDP6:[${target}]:${port}` : `UDP4:${target}:${port}`;
  const client = startProcess(from.namespace, ['socat', '-t', `${seconds}`, '-', to]);
  client.stdin.end('is anyone there');
  return new Promise((resolve) => {
    client.stdout.once('data', () => {
      resolve(true);
      client.kill('SIGKILL');
    });
    client.once('close', () => resolve(false));
  });
}
