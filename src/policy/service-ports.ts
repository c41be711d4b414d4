import type { PortRange, PortSpec, Protocol } from '../packet/port.ts';

/** Ports on which a machine often has a service, by IANA's assignments. */
const COMMON: Readonly<Record<Protocol, readonly number[]>> = {
  tcp: [20, 21, 22, 25, 53, 80, 110, 143, 443, 465, 587, 853, 993, 995, 3306, 5432, 8080, 8443],
  udp: [53, 67, 68, 123, 137, 138, 443, 500, 4500, 5353, 51_820],
};

export function isCommonService({ protocol, port }: PortSpec): boolean {
  return COMMON[protocol].includes(port);
}

/** The ports of a range on which a machine often has a service. */
export function commonServicesIn({ protocol, first, last }: PortRange): readonly number[] {
  return COMMON[protocol].filter((port) => port >= first && port <= last);
}
