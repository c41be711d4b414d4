import { Command, CommanderError, Option } from 'commander';
import { type Command as Action, CONFIG_FILE, EXIT, type ExitCode } from './exit.ts';

/** How one command is said to commander, and where its code is: loaded only when it runs. */
export interface Definition {
  readonly name: string;
  readonly summary: string;
  readonly example: string;
  readonly args?: readonly (readonly [syntax: string, description: string])[];
  readonly options?: readonly Option[];
  readonly load: () => Promise<{ readonly command: unknown }>;
}

export const option = (flags: string, description: string, fallback?: string): Option =>
  fallback === undefined ? new Option(flags, description) : new Option(flags, description).default(fallback);

export function commandOf(root: Command, definition: Definition, finish: (code: ExitCode) => void): Command {
  const command = new Command(definition.name)
    .description(definition.summary)
    .exitOverride()
    .showHelpAfterError(`(nfknock ${definition.name} --help explains it)`)
    .option('-c, --config <file>', 'the configuration', CONFIG_FILE)
    .addHelpText('after', `\nExample:\n  ${definition.example}`);
  for (const [syntax, description] of definition.args ?? []) command.argument(syntax, description);
  for (const each of definition.options ?? []) command.addOption(each);
  command.action(async () => {
    const { command: action } = (await definition.load()) as { command: Action<unknown> };
    const { config: before } = root.opts<{ config?: string }>();
    if (before !== undefined && command.getOptionValueSource('config') === 'default')
      command.setOptionValue('config', before);
    finish(await action(command.args, command.opts()));
  });
  return command;
}

/** The exit code of what commander threw: 0 for help and version, 2 for wrong usage. */
export function usageExit(error: unknown): ExitCode | undefined {
  if (!(error instanceof CommanderError)) return undefined;
  return error.exitCode === 0 ? EXIT.done : EXIT.usage;
}
