import type { Family } from '../../packet/address.ts';
import { PORT_MAX } from '../../packet/port.ts';
import type { Span } from '../../policy/port-set.ts';
import { otherPorts, type RawHook, type RawRule, readable } from './raw-rule.ts';

/** Matches that say nothing by themselves. */
const PLAIN: readonly string[] = ['tcp', 'udp', 'multiport', 'comment'];
const ENDS: readonly string[] = ['ACCEPT', 'DROP', 'NFQUEUE', 'QUEUE'];
/** Addresses of packets that never come from another machine for this one: loopback, multicast and broadcast. */
const NOT_FOR_US = /^(?:127\.|2(?:2[4-9]|3\d)\.|255\.255\.255\.255|::1(?:\/|$)|ff[0-9a-f]{2}:)/i;
const HOOKS = { prerouting: 'PREROUTING', output: 'OUTPUT' } as const;

/** The raw table as `iptables-save -t raw` prints it. */
export function savedRaw(text: string, family: Family, tool: string): readonly RawHook[] {
  const raw = /^\*raw$([\s\S]*?)^COMMIT$/m.exec(text)?.[1] ?? '';
  const lines = [...raw.matchAll(/^-A (\S+) (.*)$/gm)];
  const names = new Set([...raw.matchAll(/^:(\S+)/gm)].map(([, name = '']) => name));
  const chains = new Map<string, RawRule[]>([...names].map((name) => [name, []]));
  for (const [line, chain = '', rule = ''] of lines) {
    chains.get(chain)?.push(ruleOf(rule, readable(`${tool} -t raw ${line}`), names));
  }
  return (['prerouting', 'output'] as const).map((hook) => ({
    families: [family],
    hook,
    chain: HOOKS[hook],
    chains,
    exempt: (_family, protocol, port) =>
      `${tool} -t raw -I ${HOOKS[hook]} -p ${protocol} --${hook === 'output' ? 'sport' : 'dport'} ${port} -j ACCEPT`,
  }));
}

function ruleOf(line: string, text: string, chains: ReadonlySet<string>): RawRule {
  const words = (line.match(/"(?:[^"\\]|\\.)*"|\S+/g) ?? []).values();
  const rule: { -readonly [Key in keyof RawRule]: RawRule[Key] } = {
    text,
    protocol: null,
    dports: null,
    sports: null,
    comesIn: null,
    holds: 'always',
    verdict: 'next',
    to: [],
  };
  const value = (): string => words.next().value ?? '';
  const sometimes = (): void => {
    if (rule.holds === 'always') rule.holds = 'sometimes';
  };
  let negated = false;
  for (let word = words.next(); word.done !== true; word = words.next()) {
    const option = word.value;
    if (option === '!') {
      negated = true;
      continue;
    }
    switch (option) {
      case '-p': {
        const name = value();
        if (negated) sometimes();
        else rule.protocol = name === 'tcp' || name === 'udp' ? name : 'another';
        break;
      }
      case '--dport':
      case '--dports':
        rule.dports = spansOf(value(), negated);
        break;
      case '--sport':
      case '--sports':
        rule.sports = spansOf(value(), negated);
        break;
      case '-i':
      case '-o': {
        const name = value();
        if (name === 'lo') {
          if (!negated) rule.holds = 'never';
          break;
        }
        if (option === '-i' && !negated) rule.comesIn = name;
        sometimes();
        break;
      }
      case '-s':
      case '-d':
        if (NOT_FOR_US.test(value()) && !negated) rule.holds = 'never';
        else sometimes();
        break;
      case '-m':
        if (!PLAIN.includes(value())) sometimes();
        break;
      case '--comment':
        value();
        break;
      case '-j':
      case '-g':
        judge(value());
        break;
      case '--notrack':
        rule.verdict = 'notrack';
        break;
      default:
        sometimes();
    }
    negated = false;
  }
  return rule;

  function judge(target: string): void {
    if (target === 'NOTRACK') rule.verdict = 'notrack';
    else if (target === 'RETURN') rule.verdict = 'return';
    else if (ENDS.includes(target)) rule.verdict = 'end';
    else if (chains.has(target)) {
      rule.verdict = 'jump';
      rule.to = [target];
    }
  }
}

function spansOf(text: string, negated: boolean): readonly Span[] {
  const spans = text.split(',').map((each) => {
    const [first = '', last = first] = each.split(':');
    return { first: Number(first), last: last === '' ? PORT_MAX : Number(last) };
  });
  return negated ? otherPorts(spans) : spans;
}
