/** EtherTypes that people meet (IEEE's public list). */
const ETHERTYPES: ReadonlyMap<number, string> = new Map([
  [0x0806, 'ARP'],
  [0x8035, 'RARP'],
  [0x8847, 'MPLS'],
  [0x8848, 'MPLS'],
  [0x8863, 'PPPoE discovery'],
  [0x8864, 'PPPoE without IP'],
  [0x888e, '802.1X'],
  [0x88cc, 'LLDP'],
  [0x88e5, 'MACsec (encrypted)'],
  [0x88e7, '802.1ah'],
  [0x8100, 'VLAN without IP'],
  [0x88a8, 'VLAN without IP'],
]);
/** Up to here the field is a length: spanning tree and its like. */
const LENGTH_MAX = 1500;
/** Those of them that may hold IP packets, which were not read. */
const MAY_HOLD_IP = ['MPLS', 'MACsec (encrypted)', '802.1ah'];

const ETHERNET_TYPE_AT = 12;
const COOKED_TYPE_AT = 14;

/** What a frame is that holds no IP packet, in words for people. */
export function frameName(link: number, bytes: Uint8Array, at: number, length: number): string {
  const field = link === 1 ? ETHERNET_TYPE_AT : link === 113 ? COOKED_TYPE_AT : link === 276 ? 0 : -1;
  if (field < 0) return OTHERS.get(link) ?? 'frames without IP';
  if (length < field + 2) return 'cut short';
  const type = ((bytes[at + field] ?? 0) << 8) | (bytes[at + field + 1] ?? 0);
  if (type <= LENGTH_MAX) return 'IEEE 802.3';
  return ETHERTYPES.get(type) ?? `EtherType 0x${type.toString(16).padStart(4, '0')}`;
}

export function mayHoldIp(name: string): boolean {
  return MAY_HOLD_IP.includes(name) || name.startsWith('EtherType');
}

const OTHERS: ReadonlyMap<number, string> = new Map([
  [9, 'PPP control'],
  [50, 'PPP control'],
  [51, 'PPPoE discovery or PPP control'],
  [239, 'NFLOG without a packet'],
]);
