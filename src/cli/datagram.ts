import { createSocket } from 'node:dgram';
import { isIP } from 'node:net';

/** Sends one datagram, by a socket of its own: with the same source port twice it would look like a repetition. */
export function sendDatagram(address: string, port: number, payload: Uint8Array): Promise<void> {
  return new Promise((done, failed) => {
    const socket = createSocket(isIP(address) === 6 ? 'udp6' : 'udp4');
    socket.on('error', failed);
    socket.send(payload, port, address, (error) => {
      socket.close();
      if (error === null) done();
      else failed(error);
    });
  });
}
