import type { Directive } from './directive.ts';

/** A stanza of access.conf, which begins with SOURCE. */
export interface Stanza {
  readonly line: number;
  readonly directives: readonly Directive[];
}

export function isAccessConf(text: string): boolean {
  return /^\s*SOURCE:?\s+\S/m.test(text) && /^\s*(HMAC_)?(KEY|GPG_\w+|OPEN_PORTS)(_BASE64)?:?\s/m.test(text);
}

export function isFwknopdConf(text: string): boolean {
  return /^\s*(PCAP_INTF|PCAP_FILTER|ENABLE_SPA_\w+|FLUSH_IPT_AT_\w+|MAX_SPA_PACKET_AGE):?\s+\S/m.test(text);
}

/** Every directive, in the order of the file; undefined where a line is none. */
export function readDirectives(text: string, broken: (line: number) => void): readonly Directive[] {
  return text.split(/\r?\n/).flatMap((each, index): readonly Directive[] => {
    if (/^\s*(#|;|$)/.test(each)) return [];
    const [, name, value = ''] = /^\s*(%?[A-Za-z0-9_]+):?\s+(.*?)\s*;?\s*$/.exec(each) ?? [];
    if (name === undefined) {
      broken(index + 1);
      return [];
    }
    const key = name.startsWith('%') ? name : name.toUpperCase();
    // A passphrase may hold the sign of a comment; fwknopd takes it so everywhere, and then refuses the value.
    const plain = /^(HMAC_)?KEY$|_PW$/.test(key) ? value : value.replace(/\s+#.*$/, '').replace(/\s*;$/, '');
    return [{ name: key, value: plain, line: index + 1 }];
  });
}

/** The stanzas, and what stands before the first. */
export function stanzasOf(directives: readonly Directive[]): {
  readonly before: readonly Directive[];
  readonly stanzas: readonly Stanza[];
} {
  const before: Directive[] = [];
  const stanzas: { line: number; directives: Directive[] }[] = [];
  for (const directive of directives) {
    if (directive.name === 'SOURCE') stanzas.push({ line: directive.line, directives: [directive] });
    else (stanzas.at(-1)?.directives ?? before).push(directive);
  }
  return { before, stanzas };
}
