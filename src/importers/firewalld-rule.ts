import { granteeOf, type Opening, portRanges, rangesOf, serviceOf } from './opening.ts';

/** Seconds in the units of `--timeout`. */
const UNITS: Readonly<Record<string, number>> = { '': 1, s: 1, m: 60, h: 3600 };

/** A `firewall-cmd` that lets somebody in, or takes that back: rich rules, services and ports. */
export function firewalldRule(words: readonly string[]): Opening | undefined {
  const [program = '', ...options] = words;
  if (!/^(\/(usr\/)?s?bin\/)?firewall-cmd$/.test(program)) return undefined;
  let seconds: number | null = null;
  let found: Found | undefined;
  for (let at = 0; at < options.length; at += 1) {
    const [, name = '', joined] = /^--([a-z-]+)(?:=(.*))?$/s.exec(options[at] ?? '') ?? [];
    if (name === 'permanent' || name === 'quiet' || name === 'reload') continue;
    const value = joined ?? options[at + 1] ?? '';
    if (joined === undefined) at += 1;
    const [, does = '', what = ''] = /^(add|remove)-(rich-rule|service|port)$/.exec(name) ?? [];
    if (name === 'zone') continue;
    if (name === 'timeout') {
      const [, count = '', unit = ''] = /^(\d{1,9})([smh]?)$/.exec(value) ?? [];
      if (count === '') return undefined;
      seconds = Number(count) * (UNITS[unit] ?? 1);
    } else if (what === '') {
      return undefined;
    } else {
      const opened = READERS[what]?.(value);
      const both =
        opened === undefined ? undefined : besides(found, opened, does === 'add' ? 'add' : 'delete');
      if (both === undefined) return undefined;
      found = both;
    }
  }
  if (found === undefined) return undefined;
  return { ...found, to: null, interface: null, differs: [], seconds };
}

type Opened = Pick<Opening, 'family' | 'opens' | 'grantee'>;
type Found = Opened & Pick<Opening, 'action'>;

/** One command may open several ports, for the same people. */
function besides(found: Found | undefined, opened: Opened, action: Found['action']): Found | undefined {
  if (found === undefined) return { ...opened, action };
  const alike = found.action === action && found.grantee === opened.grantee && found.family === opened.family;
  return alike && found.opens.length > 0 && opened.opens.length > 0
    ? { ...found, opens: [...found.opens, ...opened.opens] }
    : undefined;
}

const READERS: Readonly<Record<string, (value: string) => Opened | undefined>> = {
  'rich-rule': richRule,
  service(value) {
    const opens = serviceOf(value);
    return opens === undefined ? undefined : { family: null, opens, grantee: 'any' };
  },
  port(value) {
    const [list = '', protocol] = value.split('/');
    const ranges = rangesOf(list);
    if (ranges === undefined || (protocol !== 'tcp' && protocol !== 'udp')) return undefined;
    return { family: null, opens: portRanges([protocol], ranges), grantee: 'any' };
  },
};

/** `rule family="ipv4" source address="%IP%" port port="22" protocol="tcp" accept` (firewalld.richlanguage(5)). */
function richRule(text: string): Opened | undefined {
  const words = [...text.matchAll(/([A-Za-z-]+)(?:="([^"]*)"|='([^']*)'|=(\S+))?/g)];
  let family: Opening['family'] = null;
  let grantee = 'any';
  let service: Opening['opens'] | undefined;
  const port = { port: '', protocol: '' };
  let inside = '';
  let accepts = false;
  for (const [, name = '', ...values] of words) {
    const value = values.find((each) => each !== undefined);
    if (value === undefined) {
      if (!['rule', 'source', 'service', 'port', 'log', 'audit', 'accept'].includes(name)) return undefined;
      inside = name;
      accepts ||= name === 'accept';
    } else if (name === 'family') family = value === 'ipv6' ? 6 : 4;
    else if (inside === 'source' && name === 'address') grantee = granteeOf(value) ?? '';
    else if (inside === 'service' && name === 'name') service = serviceOf(value) ?? [];
    else if (inside === 'port' && (name === 'port' || name === 'protocol')) port[name] = value;
    else if (!(inside === 'log' && /^(prefix|level)$/.test(name)) && name !== 'priority') return undefined;
  }
  if (!accepts || grantee === '') return undefined;
  const ranges = rangesOf(port.port);
  const { protocol } = port;
  const ports =
    ranges !== undefined && (protocol === 'tcp' || protocol === 'udp') ? portRanges([protocol], ranges) : [];
  const opens = service ?? ports;
  // A service that is not known here would be every port.
  if (opens.length === 0 && words.some(([, name]) => name === 'service' || name === 'port')) return undefined;
  return { family, opens, grantee };
}
