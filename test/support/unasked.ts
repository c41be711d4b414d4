import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { startProcess } from './process.ts';

/** A UDP service that goes on sending to everybody it has once heard of, as a VPN does to keep a mapping alive. */
export interface Unasked {
  /** Datagrams that came from an address, and that were sent to anybody. */
  heard(address: string): number;
  sent(): number;
  close(): void;
}

const EVERY_MS = 50;
const SERVICE = `
  const peers = new Map();
  const socket = require('dgram').createSocket('udp6');
  socket.on('error', () => {});
  socket.on('message', (_, { address, port }) => {
    peers.set(address + port, [port, address]);
    console.log(address.replace('::ffff:', ''));
  });
  setInterval(() => { for (const peer of peers.values()) { socket.send('alive', ...peer); console.log('sent'); } }, ${EVERY_MS});
  socket.bind(Number(process.argv[1]), () => console.log('ready'));
`;
const CLIENT = `
  const [host, port] = process.argv.slice(1);
  const socket = require('dgram').createSocket(host.includes(':') ? 'udp6' : 'udp4');
  socket.on('error', () => {});
  setInterval(() => socket.send('alive', Number(port), host, () => {}), ${EVERY_MS});
`;

/** Listens on both families. */
export async function startUnasked(namespace: string, port: number): Promise<Unasked> {
  const child = startProcess(namespace, [process.execPath, '-e', SERVICE, `${port}`]);
  const lines = new Map<string, number>();
  createInterface(child.stdout).on('line', (line) => lines.set(line, (lines.get(line) ?? 0) + 1));
  await once(child.stdout, 'data');
  return {
    heard: (address) => lines.get(address) ?? 0,
    sent: () => lines.get('sent') ?? 0,
    close: () => void child.kill('SIGKILL'),
  };
}

/** Sends from one port until it is closed. */
export function keepSending(namespace: string, host: string, port: number): { close(): void } {
  const child = startProcess(namespace, [process.execPath, '-e', CLIENT, host, `${port}`]);
  return { close: () => void child.kill('SIGKILL') };
}
