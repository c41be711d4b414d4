import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { setTimeout } from 'node:timers/promises';

/** A loopback socket in place of a server: what arrives is kept. */
export interface Receiver {
  readonly port: number;
  /** The next packet; throws where none comes. */
  next(): Promise<Buffer>;
  /** Packets that came and were not asked for yet. */
  count(): number;
  close(): void;
}

const PATIENCE_MS = 20_000;

export async function openReceiver(address: '127.0.0.1' | '::1', port = 0): Promise<Receiver> {
  const socket: Socket = createSocket(address === '::1' ? 'udp6' : 'udp4');
  const arrived: Buffer[] = [];
  socket.on('message', (packet) => arrived.push(packet));
  socket.bind(port, address);
  await once(socket, 'listening');
  return {
    port: socket.address().port,
    async next() {
      const until = performance.now() + PATIENCE_MS;
      for (;;) {
        const packet = arrived.shift();
        if (packet !== undefined) return packet;
        if (performance.now() > until) throw new Error('no packet came');
        await setTimeout(10);
      }
    },
    count: () => arrived.length,
    close: () => socket.close(),
  };
}
