import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { networkInterfaces, tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Address, formatAddress } from '../../src/packet/address.ts';

/** The lab's wire, with the door at its other end. */
export interface Wire {
  /** Plays the packets with the gaps that their stamps have. Rejects where tcpreplay did not play them all. */
  play(packets: readonly { readonly stamp: number; readonly bytes: Uint8Array }[]): Promise<void>;
}

/** Anything that is open to everyone: the connection is only made to learn the door's hardware address. */
const OPEN_PORT = 80;
const CONNECT_MS_MAX = 3_000;
const ETHERTYPE = { 4: 0x0800, 6: 0x86dd } as const;

export async function openWire(door: Address): Promise<Wire> {
  const name = Object.keys(networkInterfaces()).find((each) => each !== 'lo');
  if (name === undefined)
    throw new Error('this container has no network: it belongs on the lab\'s "outside"');
  await reach(formatAddress(door));
  const to = hardwareAddress(formatAddress(door));
  const from = macBytes(readFileSync(`/sys/class/net/${name}/address`, 'utf8').trim());
  return {
    async play(packets) {
      const folder = mkdtempSync(join(tmpdir(), 'nfknock-play-'));
      try {
        const file = join(folder, 'play.pcap');
        writeFileSync(file, pcapOf(packets, Buffer.from([...to, ...from])));
        await tcpreplay(name, file);
      } finally {
        rmSync(folder, { recursive: true });
      }
    },
  };
}

/** A classic capture of Ethernet frames with microseconds, as tcpreplay reads it. */
function pcapOf(
  packets: readonly { readonly stamp: number; readonly bytes: Uint8Array }[],
  addresses: Uint8Array,
): Uint8Array {
  const header = Buffer.alloc(24);
  header.writeUInt32LE(0xa1b2c3d4, 0);
  header.writeUInt16LE(2, 4);
  header.writeUInt16LE(4, 6);
  header.writeUInt32LE(65_535, 16);
  header.writeUInt32LE(1, 20);
  const parts: Uint8Array[] = [header];
  for (const { stamp, bytes } of packets) {
    const record = Buffer.alloc(16);
    const microseconds = Math.round(stamp * 1_000);
    record.writeUInt32LE(Math.floor(microseconds / 1_000_000), 0);
    record.writeUInt32LE(microseconds % 1_000_000, 4);
    record.writeUInt32LE(addresses.length + 2 + bytes.length, 8);
    record.writeUInt32LE(addresses.length + 2 + bytes.length, 12);
    const type = Buffer.alloc(2);
    type.writeUInt16BE((bytes[0] ?? 0) >>> 4 === 6 ? ETHERTYPE[6] : ETHERTYPE[4]);
    parts.push(record, addresses, type, bytes);
  }
  return Buffer.concat(parts);
}

function tcpreplay(name: string, file: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn('tcpreplay', ['--preload-pcap', '-i', name, file], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let said = '';
    for (const stream of [child.stdout, child.stderr])
      stream.on('data', (chunk: Buffer) => (said += String(chunk)));
    child.on('error', (error) => reject(new Error(`tcpreplay could not be started: ${error.message}`)));
    child.on('close', (code) => {
      const failed = Number(/Failed packets:\s*(\d+)/.exec(said)?.[1] ?? '0');
      if (code === 0 && failed === 0) resolve();
      else reject(new Error(`tcpreplay ended with ${code}, ${failed} packets failed: ${said.trim()}`));
    });
  });
}

/** Whether the connection comes about does not matter: the kernel asks for the hardware address first. */
function reach(host: string): Promise<void> {
  return new Promise((resolve) => {
    const socket = connect({ host, port: OPEN_PORT, timeout: CONNECT_MS_MAX });
    const end = (): void => {
      socket.destroy();
      resolve();
    };
    for (const event of ['connect', 'error', 'timeout']) socket.once(event, end);
  });
}

function hardwareAddress(host: string): readonly number[] {
  const row = readFileSync('/proc/net/arp', 'utf8')
    .split('\n')
    .map((line) => line.trim().split(/\s+/))
    .find(([address, , flags]) => address === host && flags !== '0x0');
  if (row === undefined) throw new Error(`${host} does not answer on this network: is the lab up?`);
  return macBytes(row[3] ?? '');
}

function macBytes(text: string): readonly number[] {
  return text.split(':').map((byte) => Number.parseInt(byte, 16));
}
