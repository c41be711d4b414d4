import { qrOf } from '../keys/handout.ts';
import type { Answers } from './answers.ts';
import { type Given, sequenceProfile } from './credentials.ts';

/** What an owner takes along; `null` where there is no such thing. */
export interface Sheet {
  readonly answers: Answers;
  readonly keys: readonly Given[];
  readonly sequence: readonly string[] | null;
  readonly spare: { readonly file: string; readonly lines: readonly string[] } | null;
  readonly config: string;
  /** Where the keys were written to instead of being shown. */
  readonly out: string | null;
}

/** The owner's sheet. `secrets`: whether they are shown, which a pipe is not. */
export async function sheetLines(sheet: Sheet, secrets: 'shown' | 'left out'): Promise<readonly string[]> {
  const { answers, sequence } = sheet;
  const file = `~/.config/nfknock/${answers.host}.key`;
  const client = sequence === null ? keyLine(answers, file) : sequenceLine(answers.host, sequence, secrets);
  return [
    '',
    '── The owner’s sheet: keep it where you can read it without this machine ──',
    '',
    ...(await clientPart(sheet, secrets)),
    'To knock, on the client:',
    ...client.map((line) => `  ${line}`),
    '',
    ...sshPart(answers),
    ...sparePart(sheet, secrets),
    'Locked out? At the console of this machine, as root:',
    '  nfknock stand-down --until 30m          every rule is out, and back by itself after that',
    '  /usr/lib/nfknock/boot-rules unlay 30m   the same without Node.js',
    'All that can go wrong, and the way out: /usr/share/doc/nfknock/recovery.md (docs/recovery.md)',
    '',
  ];
}

/** What the client keeps: its key, or its sequence. */
async function clientPart(
  { answers, keys: [key], sequence, out }: Sheet,
  secrets: 'shown' | 'left out',
): Promise<readonly string[]> {
  const what = sequence === null ? 'key' : 'sequence';
  const file = `~/.config/nfknock/${answers.host}.key`;
  if (out !== null)
    return [`The ${what} for the client is in ${out}: carry it there as ${file}, and keep it 0600.`, ''];
  if (secrets === 'left out') return [];
  const text = sequence === null ? key?.handout.text : sequenceProfile(answers, sequence);
  return [
    `Save this on the client as ${file} (chmod 0600). It is shown this once:`,
    '',
    ...(text ?? '').trimEnd().split('\n'),
    '',
    ...(key === undefined
      ? []
      : ['The same for a camera:', ...(await qrOf(key.handout.qr, 'ours')).trimEnd().split('\n'), '']),
  ];
}

function keyLine({ host, door, sshKey }: Answers, file: string): readonly string[] {
  const by = sshKey === null ? `--key ${file}` : `--ssh-key ~/.ssh/id_ed25519 --key ${file}`;
  return [`nfknock knock ${host} --door ${door} ${by}`];
}

function sequenceLine(
  host: string,
  sequence: readonly string[],
  secrets: 'shown' | 'left out',
): readonly string[] {
  if (secrets === 'left out') return [`nfknock knock ${host} PORTS   (the ports stand in the configuration)`];
  const debian = sequence.map((step) => step.replace('/', ':')).join(' ');
  return [`nfknock knock ${host} ${sequence.join(' ')}`, `knock ${host} ${debian}`];
}

function sshPart({ host, opens, door, sshKey }: Answers): readonly string[] {
  const [port = ''] = (opens.find((each) => each.endsWith('/tcp')) ?? '').split('/');
  if (door !== 'ssh' || port === '') return [];
  const by = sshKey === null ? '' : ' --ssh-key ~/.ssh/id_ed25519';
  return [
    `In ~/.ssh/config of the client, so that "ssh ${host}" knocks by itself:`,
    `  Host ${host}`,
    ...(port === '22' ? [] : [`    Port ${port}`]),
    `    ProxyCommand nfknock knock %h${by} --proxy %p`,
    'Without nfknock there, on any system with Node.js: npm install -g nfknock-client, and nfknock-client for "nfknock knock".',
    '',
  ];
}

function sparePart({ keys: [, key], spare, out }: Sheet, secrets: 'shown' | 'left out'): readonly string[] {
  const lines =
    secrets === 'shown' ? spare?.lines.map((line) => `  ${line}`) : [`  they stand in ${spare?.file}`];
  const list =
    spare === null || lines === undefined
      ? []
      : ['Spare knocks, for when all else is lost. Each line opens once, in this order:', ...lines, ''];
  if (key === undefined) return list;
  if (out !== null) return [`The spare key is in ${out}.spare: keep it somewhere else.`, '', ...list];
  if (secrets === 'left out') return list;
  const text = key.handout.text.trimEnd().split('\n');
  const about = 'The spare key, for the day the first is lost: print it, and keep it somewhere else.';
  return [about, '', ...text, '', ...list];
}
