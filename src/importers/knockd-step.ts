import { needsRoot } from '../policy/root-programs.ts';
import { quoted } from '../text/plain.ts';
import { firewalldRule } from './firewalld-rule.ts';
import { acceptRule } from './iptables-accept.ts';
import type { Opening } from './opening.ts';
import { ufwRule } from './ufw-rule.ts';

type Argv = readonly string[];

/** One of the commands between `;` and `&&`. */
export type Step =
  | { readonly step: 'rule'; readonly rule: Opening; readonly argv: Argv }
  | { readonly step: 'sleep'; readonly seconds: number }
  /** Deletes a rule by its number; `harm`: why that can't be taken over. */
  | { readonly step: 'numbered'; readonly harm: string }
  | { readonly step: 'run'; readonly argv: Argv };

/** Programs that the unit's user can run: CAP_NET_ADMIN suffices to those that change netfilter. */
const FOR_ANYBODY = ['true', 'echo', 'logger', 'nft', 'iptables', 'ip6tables', 'ipset', 'conntrack', 'touch'];
export function isForAnybody([program = '']: Argv): boolean {
  return FOR_ANYBODY.includes((program.split('/').pop() ?? '').replace(/-(nft|legacy)$/, ''));
}

/** Says whether the command can run where nfknock's unit runs it: knockd's commands were root's. */
export function tellUser(argv: Argv, warn: (text: string) => void): void {
  if (isForAnybody(argv)) return;
  const name = (argv[0] ?? '').split('/').pop() ?? '';
  warn(
    needsRoot(name)
      ? `${name} needs root, and the unit's user "nfknock" is not: it will fail there; have a service of root's do it that follows \`nfknock tail -f --json\``
      : `${argv[0] ?? ''} runs as the unit's user "nfknock" inside the unit's sandbox (docs/operations.md, "Privileges"), where knockd's commands were root's: try it`,
  );
}

/** Where the programs of guides are, since no PATH is searched. */
const USUAL_PLACES: Readonly<Record<string, string>> = {
  iptables: '/usr/sbin',
  ip6tables: '/usr/sbin',
  nft: '/usr/sbin',
  ufw: '/usr/sbin',
  ipset: '/usr/sbin',
  ip: '/usr/sbin',
  service: '/usr/sbin',
  reboot: '/usr/sbin',
};

/** Null: the command cannot be taken over, which has been told. */
export function stepOf(words: Argv, warn: (text: string) => void): Step | null {
  const [program = '', ...rest] = words;
  const naps = rest.map((word) => /^(\d{1,7}(?:\.\d{1,3})?)([smhd]?)$/.exec(word));
  if (/^(\/(usr\/)?bin\/)?sleep$/.test(program) && rest.length > 0 && naps.every((nap) => nap !== null)) {
    const units: Readonly<Record<string, number>> = { m: 60, h: 3600, d: 86_400 };
    return {
      step: 'sleep',
      seconds: Math.ceil(naps.reduce((sum, nap) => sum + Number(nap?.[1]) * (units[nap?.[2] ?? ''] ?? 1), 0)),
    };
  }
  const unknown = words
    .flatMap((word) => word.match(/%[A-Za-z][A-Za-z0-9_]+%/g) ?? [])
    .find((word) => word !== '%IP%');
  if (unknown !== undefined || /[%=]/.test(program)) {
    warn(
      `${quoted(unknown ?? program)} cannot be taken over; the command is left out: put it in a script and name the script`,
    );
    return null;
  }
  const place = placeOf(program);
  const argv = [place, ...rest];
  const rule = anyRule(words);
  if (rule !== undefined && rule.opens.length > 0) return { step: 'rule', rule, argv };
  if (rule !== undefined)
    warn(
      'lets the knocker in to every port: kept as a command, since a door closes what it opens to everybody else; write the ports that are meant into "opens"',
    );
  if (program !== place)
    warn(`${quoted(program)} is no absolute path, and no PATH is searched; taken as ${place}`);
  return { step: 'run', argv };
}

function anyRule(words: Argv): Opening | undefined {
  return acceptRule(words) ?? ufwRule(words) ?? firewalldRule(words);
}

/** The rule, where the command is one for certain ports. */
export function ruleOf(words: Argv): Opening | undefined {
  const rule = anyRule(withoutSudo(words));
  return rule !== undefined && rule.opens.length > 0 ? rule : undefined;
}

/** knockd's commands run as root already, and nfknock's outlive nothing that they could hang up with. */
export function withoutSudo(given: Argv): Argv {
  const words = /^(\/(usr\/)?bin\/)?(nohup|setsid|exec)$/.test(given[0] ?? '') ? given.slice(1) : given;
  if (!/^(\/(usr\/)?bin\/)?sudo$/.test(words[0] ?? '')) return words;
  const options = words.slice(1).findIndex((word) => !/^-[nEH]+$|^--(non-interactive|)$/.test(word));
  const rest = options < 0 ? [] : words.slice(1 + options);
  // `sudo -u root`; another user's command stays as it is.
  if (rest[0] === '-u') return rest[1] === 'root' ? rest.slice(2) : words;
  return rest;
}

function placeOf(program: string): string {
  if (program.startsWith('/')) return program;
  return `${USUAL_PLACES[program] ?? '/usr/bin'}/${program.split('/').pop() ?? program}`;
}
