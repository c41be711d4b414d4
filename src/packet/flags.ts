/** The TCP flags that a rule can name (RFC 9293). ECE and CWR are left out: ECN sets them on honest SYNs. */
export const TCP_FLAG = { fin: 1, syn: 2, rst: 4, psh: 8, ack: 16, urg: 32 } as const;

export type TcpFlagName = keyof typeof TCP_FLAG;

/** All six flags; what else the byte holds never matters. */
export const TCP_FLAGS_MASK = 0x3f;

/** Which flags a door wants set, and which it wants clear, as bits of TCP_FLAG. */
export interface FlagRule {
  readonly set: number;
  readonly clear: number;
}

const UNUSUAL = TCP_FLAG.fin | TCP_FLAG.rst | TCP_FLAG.ack;

/**
 * Reads knockd's syntax: `syn`, `syn,!ack`, `syn, ! ack`. A rule that wants SYN also wants FIN, RST and ACK
 * clear unless it names them, since a client's first packet carries SYN alone. Undefined where a name is
 * unknown or one flag is wanted both ways.
 */
export function parseFlags(text: string): FlagRule | undefined {
  let set = 0;
  let clear = 0;
  for (const item of text.toLowerCase().split(',')) {
    const match = /^\s*(!?)\s*(fin|syn|rst|psh|ack|urg)\s*$/.exec(item);
    if (match === null) return undefined;
    const bit = TCP_FLAG[match[2] as TcpFlagName];
    if (match[1] === '!') clear |= bit;
    else set |= bit;
  }
  if ((set & clear) !== 0) return undefined;
  if ((set & TCP_FLAG.syn) !== 0) clear |= UNUSUAL & ~set;
  return { set, clear };
}

export function flagsMatch(rule: FlagRule, flags: number): boolean {
  return (flags & rule.set) === rule.set && (flags & rule.clear) === 0;
}
