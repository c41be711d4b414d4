import fc from 'fast-check';
import type { EngineSettings } from '../../src/engine/settings.ts';
import type { RefPacket } from './packet.ts';

/** A packet of one host out of many, mostly the first knock of some door. */
export function crowdPacket(config: EngineSettings, index: number, host: number, choice: number): RefPacket {
  const knock = config.doors[choice % config.doors.length]?.knock[choice < 15 ? 0 : 1];
  const protocol = knock?.protocol ?? 'tcp';
  const ipv4 = host % 2 === 0;
  return {
    family: ipv4 ? 4 : 6,
    source: ipv4 ? `198.51.100.${host % 250}` : `2001:db8:0:${host.toString(16)}::7`,
    destination: ipv4 ? '192.0.2.1' : '2001:db8:ffff::1',
    protocol,
    sourcePort: 20_000 + index,
    port: knock?.port ?? 23,
    flags: protocol === 'udp' ? '' : 'S',
    sequence: index,
    stamped: true,
  };
}

const HEADS = [
  [0x45, 0, 0, 40, 0, 0, 0, 0, 64, 6],
  [0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17],
  [0x60, 0, 0, 0, 0, 20, 6, 64],
];

/** Beginnings of IPv4 and IPv6 headers, with anything after them. */
export function likePackets(): fc.Arbitrary<Uint8Array> {
  return fc
    .tuple(fc.constantFrom(...HEADS), fc.uint8Array({ minLength: 20, maxLength: 60 }))
    .map(([head, rest]) => Uint8Array.from([...head, ...rest]));
}
