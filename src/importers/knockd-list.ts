import { quoted } from '../text/plain.ts';
import { isForAnybody, ruleOf, type Step, stepOf, withoutSudo } from './knockd-step.ts';
import { deletedByNumber, harmToOurs, isUpkeep } from './rule-upkeep.ts';
import { type CommandLine, type SimpleCommand, splitCommand } from './shell-words.ts';

type Warn = (text: string) => void;

/** Words by which a shell branches: what stands behind them may run, or not. */
const BRANCHES =
  /^(if|then|elif|else|fi|for|while|until|do|done|case|esac|function|\{|\}|!|\[\[?|test|grep|pgrep|read)$/;

/** What may end what another command of the line has opened. */
const TAKES_BACK = /\b(sleep|at|batch|ip6?tables|nft|ipset|ufw|firewall-cmd)\b/;

/** The steps of one line of commands; null: it is left out, which has been told. */
export function stepsOf(line: string, warn: Warn): readonly Step[] | null {
  const { commands } = withoutShell(splitCommand(line));
  const steps: Step[] = [];
  const hasRules = commands.some(({ words, shell }) => shell.length === 0 && ruleOf(words) !== undefined);
  for (const [index, command] of commands.entries()) {
    const words = withoutSudo(command.words);
    if (isCheck(commands, index)) continue;
    const previous = commands[index - 1];
    if (depends(command, previous, isCheck(commands, index - 1)) && ruleOf(words) !== undefined) {
      warn(
        `opens or closes only where ${quoted(previous?.words[0] ?? '')} says so, and a door asks nobody: the command is left out; put it in a script and name the script`,
      );
      return null;
    }
    if (hasRules && isUpkeep(words)) {
      warn(`${quoted(shown(words))} is left out: a grant needs no saving and no reload`);
      continue;
    }
    const harm = harmToOurs(words);
    if (harm !== undefined) {
      const chain = deletedByNumber(words);
      if (chain === undefined) warn(`${quoted(shown(words))} ${harm}`);
      else steps.push({ step: 'numbered', harm: `${quoted(shown(words))} ${harm}` });
      continue;
    }
    const needs = shellOf(command, previous);
    if (needs.length > 0) {
      // What would have taken the rule back must not be what is lost: the door would stay open.
      const isAlone = hasRules && !TAKES_BACK.test(shown(words)) && !branches(commands);
      warn(
        `no shell is run, and ${needs.join(' ')} needs one: ${isAlone ? quoted(shown(words)) : 'the command'} is left out; put it in a script and name the script`,
      );
      if (isAlone) continue;
      return null;
    }
    const step = stepOf(words, warn);
    if (step === null) return null;
    steps.push(step);
  }
  return steps;
}

/** `iptables -C … || iptables -A …`: the rule is looked for, so that it is not there twice. A grant never is. */
function isCheck(commands: readonly SimpleCommand[], index: number): boolean {
  const words = withoutSudo(commands[index]?.words ?? []);
  const at = words.findIndex((word) => word === '-C' || word === '--check');
  if (at < 1) return false;
  const asRule = words.map((word, each) => (each === at ? '-A' : word));
  return ruleOf(asRule) !== undefined && (commands[index]?.shell.length ?? 0) === 0;
}

/** Whether the command runs only by what the one before says, where that is more than a change of rules or a line in a log. */
function depends(command: SimpleCommand, previous: SimpleCommand | undefined, checked: boolean): boolean {
  if (previous === undefined || command.after === ';' || command.after === '' || checked) return false;
  const words = withoutSudo(previous.words);
  const plain =
    ruleOf(words) !== undefined || isForAnybody(words) || /(^|\/)(sleep|date|cd)$/.test(words[0] ?? '');
  return command.after === '||' || !plain;
}

/** What only a shell understands: signs, words that branch, and another try where the first fails. */
function shellOf(command: SimpleCommand, previous: SimpleCommand | undefined): readonly string[] {
  const [first = ''] = command.words;
  return [
    ...command.shell,
    ...(BRANCHES.test(first) && !/^(test|grep|pgrep)$/.test(first) ? [first] : []),
    ...(command.after === '||' && previous !== undefined && !previous.words.includes('-C') ? ['||'] : []),
  ];
}

/** Whether any of them may run or not by what another says. */
function branches(commands: readonly SimpleCommand[]): boolean {
  return commands.some(({ words }) => BRANCHES.test(words[0] ?? ''));
}

function shown(words: readonly string[]): string {
  return words.join(' ');
}

/** `sh -c '…'` around the whole line runs what stands in it: knockd gives each command to a shell anyway. */
function withoutShell(line: CommandLine): CommandLine {
  const [command, ...others] = line.commands;
  const [program = '', option = '', text, ...rest] = withoutSudo(command?.words ?? []);
  const isShell = /^(\/(usr\/)?bin\/)?(sh|bash|dash)$/.test(program) && /^-e?c$/.test(option);
  const isAlone = others.length === 0 && rest.length === 0 && line.shell.length === 0;
  return isShell && isAlone && text !== undefined ? splitCommand(text) : line;
}
