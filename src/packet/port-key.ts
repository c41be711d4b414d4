import { PORT_MAX, type Port, type PortSpec, PROTOCOL_NUMBER } from './port.ts';

/** A protocol and a port in one number: the port, and 65536 more for UDP. */
export type PortKey = number;

const UDP_KEY: PortKey = PORT_MAX + 1;
/** How many there are, port 0 included. */
export const PORT_KEYS: number = 2 * UDP_KEY;

export function portKey(protocol: number, port: number): PortKey {
  return protocol === PROTOCOL_NUMBER.udp ? UDP_KEY + port : port;
}

export function keyOf(spec: PortSpec): PortKey {
  return portKey(PROTOCOL_NUMBER[spec.protocol], spec.port);
}

export function isUdp(key: PortKey): boolean {
  return key >= UDP_KEY;
}

/** The port of a key, without its protocol. */
export function portOf(key: PortKey): number {
  return isUdp(key) ? key - UDP_KEY : key;
}

export function specOf(key: PortKey): PortSpec {
  return { protocol: isUdp(key) ? 'udp' : 'tcp', port: portOf(key) as Port };
}
