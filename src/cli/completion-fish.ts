import type { Completed, Place } from './completion.ts';

/** How `asked` names the configuration of the line in the other shells. */
// biome-ignore lint/suspicious/noTemplateCurlyInString: it is theirs
const CONFIG_OF_BASH = '"${config[@]}"';

/** What fish is told is data: a word in single quotes, in which only these two mean something. */
function fishWord(text: string): string {
  return `'${text.replaceAll(/[\\']/g, '\\$&')}'`;
}

/** `asked`: how the running daemon is asked for words of each kind. */
export function fishScript(commands: readonly Completed[], asked: Readonly<Record<string, string>>): string {
  const lines = commands.flatMap(({ name, summary, flags, places }) => {
    const valued = flags.filter(({ value }) => value !== null).flatMap(({ names }) => names);
    const here = `__nfknock_of ${name}`;
    return [
      `complete -c nfknock -n __nfknock_first -f -a ${name} -d ${fishWord(summary)}`,
      ...flags.map(({ names, about, value }) => {
        const spelled = names.map((each) =>
          each.startsWith('--') ? `-l ${each.slice(2)}` : `-s ${each.slice(1)}`,
        );
        return `complete -c nfknock -n ${fishWord(here)} ${spelled.join(' ')} -d ${fishWord(about)}${value === null ? '' : fishValue(value)}`;
      }),
      ...places.map((each, index) => {
        const at = `${here}; and test (__nfknock_place ${valued.join(' ')}) = ${index}`;
        return `complete -c nfknock -n ${fishWord(at)}${fishValue(each).replace(' -r', '')}`;
      }),
    ];
  });
  const helpers = Object.entries(asked).map(
    ([kind, ask]) => `function __nfknock_${kind}
    set -l config (__nfknock_config)
    ${ask.replace(CONFIG_OF_BASH, '$config')}
end`,
  );
  return `# fish completion of nfknock; made by: nfknock completion fish
# The words before the cursor, without the program and a configuration that stands before the command.
function __nfknock_words
    set -l words (commandline -opc)
    set -e words[1]
    while set -q words[2]; and contains -- $words[1] -c --config
        set -e words[1..2]
    end
    set -q words[1]; and printf '%s\\n' $words
end
function __nfknock_first
    set -l words (__nfknock_words)
    test (count $words) -eq 0
end
function __nfknock_of
    set -l words (__nfknock_words)
    test (count $words) -gt 0; and test "$words[1]" = "$argv[1]"
end
# How many arguments stand before the cursor; $argv are the options that take a value.
function __nfknock_place
    set -l words (__nfknock_words)
    set -l count 0
    set -l value no
    for word in $words[2..]
        if test $value = yes
            set value no
        else if contains -- $word $argv
            set value yes
        else if not string match -q -- '-*' $word
            set count (math $count + 1)
        end
    end
    echo $count
end
function __nfknock_config
    set -l words (commandline -opc)
    for index in (seq (count $words))
        if contains -- $words[$index] -c --config; and set -q words[(math $index + 1)]
            printf '%s\\n' -c $words[(math $index + 1)]
        end
    end
end
${helpers.join('\n')}
complete -c nfknock -f
complete -c nfknock -n __nfknock_first -s c -l config -r -F -d 'the configuration'
complete -c nfknock -n __nfknock_first -s V -l version -d 'the version'
complete -c nfknock -n __nfknock_first -s h -l help -d 'explain the commands'
${lines.join('\n')}
`;
}

function fishValue(each: Place): string {
  if (each.kind === 'nothing') return ' -f -r';
  if (each.kind === 'files') return ' -F -r';
  const words = each.kind === 'words' ? each.words.join(' ') : `(__nfknock_${each.kind})`;
  return ` -f -r -a ${fishWord(words)}`;
}
