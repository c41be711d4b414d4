import type { Protocol } from '../packet/port.ts';
import { granteeOf, type Opening, portRanges, rangesOf, serviceOf } from './opening.ts';

const BOTH: readonly Protocol[] = ['tcp', 'udp'];

/** A ufw command that lets somebody in, or takes that back: `ufw allow from %IP% to any port 22 proto tcp`, `ufw delete …`. */
export function ufwRule(words: readonly string[]): Opening | undefined {
  const [program = '', ...all] = words;
  if (!/^(\/(usr\/)?s?bin\/)?ufw$/.test(program)) return undefined;
  const rest = all.filter((word) => word !== '--force' && !/^(yes|-f)$/.test(word));
  let action: Opening['action'] = 'add';
  if (rest[0] === 'delete') {
    action = 'delete';
    rest.shift();
  }
  // Where the rule stands among ufw's own.
  if (rest[0] === 'insert' && /^\d+$/.test(rest[1] ?? '')) rest.splice(0, 2);
  else if (rest[0] === 'prepend') rest.shift();
  if (rest.shift() !== 'allow') return undefined;
  if (rest[0] === 'in') rest.shift();
  const draft: Draft = {
    grantee: 'any',
    protocols: BOTH,
    ports: null,
    side: 'to',
    interface: null,
    differs: [],
  };
  // `ufw allow 22/tcp`, `ufw allow ssh`.
  if (rest.length > 0 && !(rest[0] ?? '').match(/^(from|to|proto|on|port|log|log-all|comment)$/)) {
    if (!takeSimple(draft, rest.shift() ?? '')) return undefined;
  }
  while (rest.length > 0) {
    const [word = '', value] = rest.splice(0, 2);
    if (word === 'log' || word === 'log-all') {
      if (value !== undefined) rest.unshift(value);
    } else if (value === undefined || !(OPTIONS[word]?.(draft, value) ?? false)) return undefined;
  }
  if (draft.ports === null && draft.grantee === 'any') return undefined;
  const opens = draft.app ?? portRanges(draft.protocols, draft.ports ?? []);
  const { grantee, differs } = draft;
  return {
    action,
    family: null,
    opens,
    grantee,
    to: null,
    interface: draft.interface,
    differs,
    seconds: null,
  };
}

interface Draft {
  grantee: string;
  protocols: readonly Protocol[];
  ports: ReturnType<typeof rangesOf> | null;
  /** Whose port a `port` is: of the last `from` or `to`. */
  side: 'from' | 'to';
  app?: Opening['opens'];
  interface: string | null;
  readonly differs: string[];
}

const OPTIONS: Readonly<Record<string, (draft: Draft, value: string) => boolean>> = {
  from(draft, value) {
    draft.side = 'from';
    draft.grantee = granteeOf(value) ?? '';
    return draft.grantee !== '';
  },
  to(draft, value) {
    draft.side = 'to';
    if (value !== 'any')
      draft.differs.push(
        `no equal: the rule is for packets to ${value} alone; a door opens at every address of this machine`,
      );
    return /^[\w.:/]+$/.test(value);
  },
  port(draft, value) {
    if (draft.side === 'from') {
      draft.differs.push(
        `no equal: the rule is for packets from port ${value} alone; a door lets in from any port`,
      );
      return rangesOf(value) !== undefined;
    }
    draft.ports = rangesOf(value);
    return draft.ports !== undefined;
  },
  app(draft, value) {
    const ports = serviceOf(value);
    if (ports !== undefined) draft.app = ports;
    draft.ports = [];
    return ports !== undefined;
  },
  proto(draft, value) {
    draft.protocols = value === 'any' ? BOTH : value === 'tcp' ? ['tcp'] : ['udp'];
    return ['any', 'tcp', 'udp'].includes(value);
  },
  on(draft, value) {
    draft.interface = value;
    return true;
  },
  comment: () => true,
};

function takeSimple(draft: Draft, word: string): boolean {
  const service = serviceOf(word);
  if (service !== undefined) {
    draft.app = service;
    draft.ports = [];
    return true;
  }
  const [list = '', proto, ...more] = word.split('/');
  draft.ports = rangesOf(list);
  return (
    draft.ports !== undefined &&
    more.length === 0 &&
    (proto === undefined || (OPTIONS['proto']?.(draft, proto) ?? false))
  );
}
