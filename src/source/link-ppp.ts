/** PPP's numbers for IP (RFC 1661, RFC 5072; the list is IANA's "PPP DLL Protocol Numbers"). */
export const PPP_IP = { ipv4: 0x0021, ipv6: 0x0057 } as const;

/** Address and control of HDLC-like framing (RFC 1662). */
const HDLC_ADDRESS = 0xff;
const HDLC_CONTROL = 0x03;
/** Cisco's HDLC: unicast and broadcast; behind a control byte stands an EtherType. */
const CISCO = [0x0f, 0x8f] as const;
const ETHERTYPE_TO_PPP: ReadonlyMap<number, number> = new Map([
  [0x0800, PPP_IP.ipv4],
  [0x86dd, PPP_IP.ipv6],
]);

/**
 * The protocol of a PPP frame and where its payload begins, with or without the two bytes of framing, and with the
 * protocol in one byte where both ends agreed to it (RFC 1661, 6.5). Protocol -1: the frame is too short.
 */
export function pppPayload(
  bytes: Uint8Array,
  at: number,
  length: number,
): { readonly protocol: number; readonly payload: number } {
  const first = bytes[at] ?? 0;
  if (length >= 4 && CISCO.some((each) => each === first)) {
    const type = word(bytes, at + 2);
    return { protocol: ETHERTYPE_TO_PPP.get(type) ?? type, payload: 4 };
  }
  const framed = length >= 2 && first === HDLC_ADDRESS && bytes[at + 1] === HDLC_CONTROL;
  const start = framed ? 2 : 0;
  if (length < start + 1) return { protocol: -1, payload: length };
  // The last byte of a protocol number is odd, every other even: an odd first byte is the whole number.
  const compressed = ((bytes[at + start] ?? 0) & 1) === 1;
  if (compressed) return { protocol: bytes[at + start] ?? 0, payload: start + 1 };
  if (length < start + 2) return { protocol: -1, payload: length };
  return { protocol: word(bytes, at + start), payload: start + 2 };
}

function word(bytes: Uint8Array, at: number): number {
  return ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0);
}
