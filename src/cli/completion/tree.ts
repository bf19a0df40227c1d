import type { Command } from 'commander';

/** The command line as far as a shell completes it. */
export interface CompletionNode {
  /** Words from the program on: `['dead-letters', 'list']`; empty for the program itself. */
  readonly path: readonly string[];
  readonly commands: readonly { readonly name: string; readonly summary: string }[];
  readonly options: readonly CompletionOption[];
  /** What may stand as an argument. */
  readonly argument: 'pipelines' | 'nothing' | readonly string[];
}

export interface CompletionOption {
  /** `-o`, `--output`. */
  readonly flags: readonly string[];
  readonly summary: string;
  /** `file` for anything that has no choices. */
  readonly value: 'none' | 'file' | readonly string[];
}

/**
 * All nodes of commander's own tree, whose verbs have been registered; each has the program's options too.
 */
export function completionTree(program: Command): CompletionNode[] {
  const shared = optionsOf(program);
  return nodesBelow(program, [], shared);
}

function nodesBelow(
  command: Command,
  path: readonly string[],
  shared: readonly CompletionOption[],
): CompletionNode[] {
  const own = path.length === 0 ? [] : optionsOf(command);
  const node: CompletionNode = {
    path,
    commands: command.commands.map((one) => ({
      name: one.name(),
      summary: one.summary() || one.description(),
    })),
    options: [...own, ...shared],
    argument: argumentOf(command),
  };
  return [node, ...command.commands.flatMap((one) => nodesBelow(one, [...path, one.name()], shared))];
}

function optionsOf(command: Command): CompletionOption[] {
  const help = { flags: ['--help'], summary: 'display help', value: 'none' } as const;
  const options = command.options.map(({ short, long, description, argChoices, required, optional }) => ({
    flags: [short, long].filter((flag) => flag !== undefined && flag !== null),
    summary: description,
    value: argChoices ?? (required || optional ? ('file' as const) : ('none' as const)),
  }));
  return command.parent === null ? [...options, help] : options;
}

function argumentOf(command: Command): CompletionNode['argument'] {
  const [first] = command.registeredArguments;
  if (first === undefined) return 'nothing';
  return first.argChoices ?? (/^pipelines?$/.test(first.name()) ? 'pipelines' : 'nothing');
}
