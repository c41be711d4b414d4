import type { InputDefaults } from '../../machine/input-default.ts';
import { quoted } from '../../text/plain.ts';
import type { Answers } from './answers.ts';

/** What was drawn, and where things lie. */
export interface Drawn {
  /** The knock: a sequence, or the port at which keys' packets are heard. */
  readonly knock: { readonly sequence: readonly string[] } | { readonly spa: number };
  /** A one-time list beside it; null: none. */
  readonly spare: { readonly file: string; readonly lines: readonly string[] } | null;
  /** The key file, where it is another than the default. */
  readonly keys: string | null;
}

/** The door that the one-time list opens. */
export const SPARE_DOOR = 'spare';
const FOR = '30s';
/** Where remarks begin, but for a line that is longer than others. */
const REMARK_AT_MAX = 44;

/** In a family whose INPUT drops what nobody allowed, silence fits; else strangers meet what unused ports tell. */
export function answerFor(defaults: InputDefaults): 'drop' | 'closed' {
  const known = [defaults[4], defaults[6]].filter((fate) => fate !== null);
  return known.length > 0 && known.every((fate) => fate === 'DROP') ? 'drop' : 'closed';
}

/** The text of the configuration. `day`: when it was made. */
export function compose(answers: Answers, drawn: Drawn, answer: 'drop' | 'closed', day: string): string {
  const { door, opens, allow, never } = answers;
  const spa = 'spa' in drawn.knock ? drawn.knock.spa : null;
  const listen: readonly Line[] = [
    ...(answer === 'closed'
      ? [['  source: nflog', 'packets are copied to nfknock, and answered by the kernel'] as const]
      : []),
    ...(spa === null ? [] : [[`  spa: [${spa}/udp]`, 'where the packets of keys are heard'] as const]),
  ];
  const knock = 'spa' in drawn.knock ? 'spa' : `[${drawn.knock.sequence.join(', ')}]`;
  const spare = drawn.spare;
  return remarked([
    `# Written by "nfknock init" on ${day}. Every key is in nfknock.yaml(5). After a change:`,
    '#   nfknock check && nfknock reload',
    ...(listen.length === 0 ? [] : ['listen:', ...listen]),
    answer === 'closed'
      ? ['answer: closed', 'a stranger meets at protected ports what every unused port tells']
      : ['answer: drop', 'as INPUT does here: no answer from any port that nobody allowed'],
    ...(spa !== null && drawn.keys !== null ? [`keys: ${JSON.stringify(drawn.keys)}`] : []),
    'doors:',
    `  ${door}:`,
    `    knock: ${knock}`,
    `    opens: [${opens.join(', ')}]`,
    [`    for: ${FOR}`, 'for new connections; open ones stay open'],
    ...(spare === null
      ? []
      : [
          [`  ${SPARE_DOOR}:`, 'opens the same, by a list of which each line is good once'] as const,
          `    one_time: ${JSON.stringify(spare.file)}`,
          `    opens: [${opens.join(', ')}]`,
          `    for: ${FOR}`,
        ]),
    allow.length === 0 ? 'allow: []' : [`allow: [${allow.join(', ')}]`, 'open to everyone'],
    ['decoys: all', 'every other port: a visitor there is scanning'],
    'bans:',
    ['  scope: hidden', 'a ban does not show on what is open to everyone'],
    `  never: [${never.map((each) => (each.includes(':') ? JSON.stringify(each) : each)).join(', ')}]`,
    '',
  ]).join('\n');
}

/** A line of the file, with or without a remark. */
type Line = string | readonly [text: string, remark: string];

/** Remarks stand in one column; that of a long line stands above it. */
function remarked(lines: readonly Line[]): readonly string[] {
  const lengths = lines.flatMap((line) => (typeof line === 'string' ? [] : [line[0].length + 2]));
  const column = Math.max(...lengths.filter((length) => length <= REMARK_AT_MAX));
  return lines.flatMap((line) => {
    if (typeof line === 'string') return [line];
    const [text, remark] = line;
    const indent = text.length - text.trimStart().length;
    return text.length + 2 > column
      ? [`${' '.repeat(indent)}# ${remark}`, text]
      : [`${text.padEnd(column)}# ${remark}`];
  });
}

/** What will be done, for whoever is to agree. */
export function planned(
  answers: Answers,
  answer: 'drop' | 'closed',
  {
    config,
    keys,
    replaces,
    fleet,
    minutes,
  }: {
    readonly config: string;
    readonly keys: string;
    readonly replaces: string | null;
    /** Left: the configuration that is there has one, which init knows nothing of. */
    readonly fleet: 'left' | 'none';
    /** Until when somebody must have come in; null: nobody has to. */
    readonly minutes: string | null;
  },
): readonly string[] {
  const { door, opens, allow, method, never } = answers;
  const by =
    method === 'sequence'
      ? 'four knocks, drawn at random'
      : method === 'ssh'
        ? 'one packet, signed by your SSH key'
        : 'one packet of a key, made now';
  return [
    `  closed to everybody     ${opens.join(', ')}, until somebody opens the door ${quoted(door)} by ${by}`,
    `  open to everybody       ${allow.length === 0 ? 'nothing' : allow.join(', ')}`,
    `  all other ports         ${answer === 'closed' ? 'answer as now' : 'silent'}; a packet to them is a strike, and the third strike a ban`,
    `  never banned            ${never.length === 0 ? 'nobody but this machine, its gateways and name servers' : never.join(', ')}`,
    `  files                   ${config}${replaces === null ? '' : ` (the one that is there is kept as ${replaces})`}${method === 'sequence' ? '' : `, ${keys}`}`,
    ...(fleet === 'none'
      ? []
      : ['  fleet                   this machine leaves it: what init writes has no `fleet`']),
    '  connections             those that are open stay open, this session among them',
    `  the way back            ${minutes === null ? 'none by itself, once the daemon serves: nfknock stand-down opens all' : `all is put back in ${minutes} unless somebody gets in through the door`}`,
  ];
}
