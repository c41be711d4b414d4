import { shellWord, zshText } from '../text/shell.ts';
import { fail } from './ask-daemon.ts';
import { fishScript } from './completion-fish.ts';
import { type CommonOptions, EXIT, type ExitCode } from './exit.ts';
import { usage } from './failure.ts';
import { DEFINITIONS } from './program.ts';

/** What stands at a place of the command line, and so how it is completed. */
type Kind = 'words' | 'files' | 'doors' | 'granted' | 'banned' | 'nothing';

export interface Place {
  readonly kind: Kind;
  /** With `words`. */
  readonly words: readonly string[];
  readonly about: string;
}

interface Flag {
  readonly names: readonly string[];
  readonly about: string;
  /** Null: it takes no value. */
  readonly value: Place | null;
}

export interface Completed {
  readonly name: string;
  readonly summary: string;
  readonly flags: readonly Flag[];
  readonly places: readonly Place[];
}

/** Prints the completion script of a shell, made from the definitions that the commands themselves are made from. */
export async function command([shell]: readonly string[], _: CommonOptions): Promise<ExitCode> {
  const scripts: Readonly<Record<string, () => string>> = {
    bash: bashScript,
    zsh: zshScript,
    fish: () => fishScript(completed(), ASKED),
  };
  const script = shell !== undefined && Object.hasOwn(scripts, shell) ? scripts[shell] : undefined;
  if (script === undefined)
    return fail(usage(`there is no completion for "${shell ?? ''}": write bash, zsh or fish`));
  process.stdout.write(script());
  return EXIT.done;
}

const CONFIG_FLAG: Flag = {
  names: ['-c', '--config'],
  about: 'the configuration',
  value: place('files', 'file'),
};
const HELP_FLAG: Flag = { names: ['-h', '--help'], about: 'explain the command', value: null };

function completed(): readonly Completed[] {
  return DEFINITIONS.map(({ name, summary, args = [], options = [] }) => ({
    name,
    summary,
    flags: [
      ...options.map(({ short, long, description, required, optional }) => ({
        names: [short, long].filter((each) => each !== undefined),
        about: description,
        value: required || optional ? place(kindOf(long), description) : null,
      })),
      CONFIG_FLAG,
      HELP_FLAG,
    ],
    places: args.map(([syntax, description]) => placeOf(name, syntax, description)),
  }));
}

/** Options whose value is a file. */
const OF_FILES: readonly string[] = ['--key', '--ssh-key', '--ssh', '--keys', '--out', '--report'];

function kindOf(option: string | undefined): Kind {
  if (option === '--door') return 'doors';
  return option !== undefined && OF_FILES.includes(option) ? 'files' : 'nothing';
}

function placeOf(command: string, syntax: string, about: string): Place {
  const argument = syntax.replaceAll(/[<>[\].]/g, '');
  if (argument === 'door') return place('doors', about);
  if (argument === 'file') return place('files', about);
  if (argument === 'address' && command === 'unban') return place('banned', about);
  if (argument === 'address' && command === 'revoke') return place('granted', about);
  if (argument === 'shell' || argument === 'action')
    return place('words', about, about.match(/[a-z]+(?:-[a-z]+)*(?=,| or |$)/g) ?? []);
  return place('nothing', about);
}

function place(kind: Kind, about: string, words: readonly string[] = []): Place {
  return { kind, words, about };
}

/** How the running daemon is asked for words: the lists' own JSON, one field a line. */
const ASKED: Readonly<Record<'doors' | 'granted' | 'banned', string>> = {
  doors: askFor('status', 'name', '[a-z0-9_][a-z0-9_-]*'),
  granted: askFor('grants', 'source', '[0-9a-fA-F.:]*'),
  banned: askFor('bans', 'target', '[0-9a-fA-F.:]*[0-9a-fA-F.:/]*'),
};

/**
 * `config` is an array that names the configuration where the line does. What answers may be anybody: a value that is
 * not wholly of `allowed` is left out, since what is completed stands on the line and is run as it stands.
 */
function askFor(list: string, field: string, allowed: string): string {
  return `nfknock "\${config[@]}" ${list} --json 2>/dev/null | LC_ALL=C sed -n 's/^ *"${field}": "\\(${allowed}\\)",\\{0,1\\}$/\\1/p' | LC_ALL=C sort -u`;
}

function bashScript(): string {
  const commands = completed();
  const cases = commands.map(({ name, flags, places }) => {
    const values = flags.filter(({ value }) => value !== null);
    const kinds = values.map(({ names, value }) => `      ${names.join('|')}) ${bashWords(value)};;`);
    const positions = places.map((each, index) => `      ${index}) ${bashWords(each)};;`);
    return [
      `  ${name})`,
      `    flags=${shellWord(flags.flatMap(({ names }) => names).join(' '))}`,
      `    valued=${shellWord(` ${values.flatMap(({ names }) => names).join(' ')} `)}`,
      `    _nfknock_position "$valued"`,
      '    case $previous in',
      ...kinds,
      '    *) case $position in',
      ...positions,
      '    esac;;',
      '    esac;;',
    ].join('\n');
  });
  return `# bash completion of nfknock; made by: nfknock completion bash
_nfknock_position() {
  local index
  position=0
  for ((index = first + 1; index < last; index++)); do
    if [[ $1 == *" \${typed[index]} "* ]]; then ((index++))
    elif [[ \${typed[index]} != -* ]]; then ((position++)); fi
  done
}
# Fills COMPREPLY with those of the words on standard input that begin with $1. compgen -W would expand them, and run
# what is in $(…).
_nfknock_matching() {
  local word
  while IFS= read -r word; do
    if [[ $word && $word == "$1"* ]]; then COMPREPLY+=("$word"); fi
  done
}
_nfknock() {
  # COMP_WORDS is cut at every colon of an IPv6 address.
  local line=\${COMP_LINE:0:COMP_POINT} last first=1 index current previous flags= valued= position=0 words=
  local -a typed config=()
  read -ra typed <<<"$line"
  if [[ $line == *[[:space:]] ]]; then typed+=(''); fi
  last=$((\${#typed[@]} - 1)) current=\${typed[last]} previous=\${typed[last-1]}
  if [[ $current == --*=* ]]; then previous=\${current%%=*} current=\${current#*=}; fi
  for ((index = 1; index < last - 1; index++)); do
    if [[ \${typed[index]} == -c || \${typed[index]} == --config ]]; then config=(-c "\${typed[index+1]}"); fi
  done
  while ((first < last)) && [[ \${typed[first]} == -c || \${typed[first]} == --config ]]; do ((first += 2)); done
  COMPREPLY=()
  if ((first > last)); then words=FILES
  elif ((first == last)); then
    flags='-c --config -h --help -V --version'
    words=${bashLines(commands.map(({ name }) => name))}
  else case \${typed[first]} in
${cases.join('\n')}
  esac; fi
  if [[ $words == FILES ]]; then compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$current")
  elif [[ $current == -* ]]; then _nfknock_matching "$current" <<<"\${flags// /$'\\n'}"
  else _nfknock_matching "$current" <<<"$words"; fi
  if [[ $COMP_WORDBREAKS == *:* && $current == *:* ]]; then
    COMPREPLY=("\${COMPREPLY[@]#"\${current%"\${current##*:}"}"}")
  fi
}
complete -F _nfknock nfknock
`;
}

function bashWords(each: Place | null): string {
  if (each === null || each.kind === 'nothing') return 'words=';
  if (each.kind === 'files') return 'words=FILES';
  if (each.kind === 'words') return `words=${bashLines(each.words)}`;
  return `words=$(${ASKED[each.kind]})`;
}

/** Words one a line, as one word of bash. */
function bashLines(words: readonly string[]): string {
  return `$'${words.join('\\n')}'`;
}

function zshScript(): string {
  const commands = completed();
  const cases = commands.map(({ name, flags, places }) => {
    const specs = [
      ...flags.map(({ names, about, value }) => {
        const exclusive = `(${names.join(' ')})`;
        // `--for 1h` and `--for=1h` alike.
        const spelled = names.map((name) => (value !== null && name.startsWith('--') ? `${name}=` : name));
        const tail = `[${zshText(about)}]${value === null ? '' : `:${zshText(value.about)}:${zshAction(value)}`}`;
        return names.length > 1
          ? `'${exclusive}'{${spelled.join(',')}}${shellWord(tail)}`
          : shellWord(`${spelled[0]}${tail}`);
      }),
      ...places.map((each, index) => shellWord(`${index + 1}:${zshText(each.about)}:${zshAction(each)}`)),
    ];
    return `    ${name}) _arguments -s ${specs.join(' ')};;`;
  });
  const helpers = Object.entries(ASKED).map(
    ([kind, ask]) => `_nfknock_${kind}() { local -a found; found=(\${(f)"$(${ask})"}); compadd -a found }`,
  );
  return `#compdef nfknock
# zsh completion of nfknock; made by: nfknock completion zsh
${helpers.join('\n')}
_nfknock() {
  local -a commands config
  local first=2 index
  commands=(
${commands.map(({ name, summary }) => `    ${shellWord(`${name}:${summary}`)}`).join('\n')}
  )
  for ((index = 2; index < CURRENT - 1; index++)); do
    if [[ $words[index] == (-c|--config) ]]; then config=(-c $words[index+1]); fi
  done
  while ((first < CURRENT)) && [[ $words[first] == (-c|--config) ]]; do ((first += 2)); done
  if ((first > CURRENT)); then _files; return; fi
  if ((first == CURRENT)); then
    if [[ $words[first] == -* ]]; then compadd -- -c --config -h --help -V --version; return; fi
    _describe command commands
    return
  fi
  shift $((first - 1)) words
  ((CURRENT -= first - 1))
  case $words[1] in
${cases.join('\n')}
  esac
}
if [[ $funcstack[1] == _nfknock ]]; then _nfknock "$@"; else compdef _nfknock nfknock; fi
`;
}

function zshAction(each: Place): string {
  if (each.kind === 'nothing') return '';
  if (each.kind === 'files') return '_files';
  return each.kind === 'words' ? `(${each.words.join(' ')})` : `_nfknock_${each.kind}`;
}
