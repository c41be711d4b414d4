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
    } else if (what === '' || found !== undefined) {
      return undefined;
    } else {
      const opened = READERS[what]?.(value);
      if (opened === undefined) return undefined;
      found = { ...opened, action: does === 'add' ? 'add' : 'delete' };
    }
  }
  if (found === undefined) return undefined;
  return { ...found, to: null, interface: null, differs: [], seconds };
}

type Opened = Pick<Opening, 'family' | 'opens' | 'grantee'>;
type Found = Opened & Pick<Opening, 'action'>;

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
  const words = [...text.matchAll(/([a-z]+)(?:="([^"]*)"|='([^']*)'|=(\S+))?/g)];
  let family: Opening['family'] = null;
  let grantee = 'any';
  let opens: Opening['opens'] = [];
  let port = '';
  let inside = '';
  let accepts = false;
  for (const [, name = '', ...values] of words) {
    const value = values.find((each) => each !== undefined);
    if (value === undefined) {
      if (!['rule', 'source', 'service', 'port', 'accept'].includes(name)) return undefined;
      inside = name;
      accepts ||= name === 'accept';
    } else if (name === 'family') family = value === 'ipv6' ? 6 : 4;
    else if (inside === 'source' && name === 'address') grantee = granteeOf(value) ?? '';
    else if (inside === 'service' && name === 'name') opens = serviceOf(value) ?? [];
    else if (inside === 'port' && name === 'port') port = value;
    else if (inside === 'port' && name === 'protocol') {
      const ranges = rangesOf(port);
      opens = ranges !== undefined && (value === 'tcp' || value === 'udp') ? portRanges([value], ranges) : [];
    } else if (name !== 'priority') return undefined;
  }
  if (!accepts || grantee === '') return undefined;
  // A service that is not known here would be every port.
  if (opens.length === 0 && words.some(([, name]) => name === 'service' || name === 'port')) return undefined;
  return { family, opens, grantee };
}
