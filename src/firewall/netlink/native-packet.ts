import type { Family } from '../../packet/address.ts';

/** The first packet of somebody who wants in, as far as it is known: not who sends it, nor where it comes in. */
export interface NativePacket {
  readonly family: Family;
  readonly protocol: 'tcp' | 'udp';
  readonly port: number;
  /** 0: nobody has marked it. */
  readonly mark: number;
}

/** A byte; undefined: not known. */
export type Byte = number | undefined;

/** enum nft_meta_keys of linux/netfilter/nf_tables.h, ethertypes, protocols, and NFPROTO_* of linux/netfilter.h. */
const META = { protocol: 1, mark: 3, nfproto: 15, l4proto: 16 } as const;
const ETHERTYPE = { 4: [0x08, 0x00], 6: [0x86, 0xdd] } as const;
const L4PROTO = { tcp: 6, udp: 17 } as const;
const NFPROTO = { 4: 2, 6: 10 } as const;
/** enum nft_ct_keys; of the states NEW (NF_CT_STATE_BIT), of the directions the original one. */
const CT = { state: 0, direction: 1 } as const;
const STATE_NEW = 8;
/** NFT_PAYLOAD_TRANSPORT_HEADER, and where in it the port of the destination and TCP's flags stand. */
const TRANSPORT = 2;
const PORT_AT = 2;
const FLAGS_AT = 13;
const SYN = 2;

/** What a `meta` expression reads; nothing: it is not known. */
export function metaOf(packet: NativePacket, key: number): readonly Byte[] {
  switch (key) {
    case META.protocol:
      return ETHERTYPE[packet.family];
    case META.mark:
      return hostOrder(packet.mark);
    case META.nfproto:
      return [NFPROTO[packet.family]];
    case META.l4proto:
      return [L4PROTO[packet.protocol]];
    default:
      return [];
  }
}

export function ctOf(key: number): readonly Byte[] {
  if (key === CT.state) return hostOrder(STATE_NEW);
  return key === CT.direction ? [0] : [];
}

export function payloadOf(
  packet: NativePacket,
  base: number,
  offset: number,
  bytes: number,
): readonly Byte[] {
  return Array.from({ length: bytes }, (_, index): Byte => {
    if (base !== TRANSPORT) return undefined;
    const at = offset + index;
    if (at === PORT_AT) return packet.port >>> 8;
    if (at === PORT_AT + 1) return packet.port & 0xff;
    return at === FLAGS_AT && packet.protocol === 'tcp' ? SYN : undefined;
  });
}

/** The kernel's registers hold numbers in the machine's order: little-endian wherever the socket's binary exists. */
function hostOrder(value: number): readonly Byte[] {
  return [value & 0xff, (value >>> 8) & 0xff, (value >>> 16) & 0xff, value >>> 24];
}
