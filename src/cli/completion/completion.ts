import { Argument } from 'commander';
import type { Context, Verb } from '../../terminal/context.ts';
import { type CompletionNode, completionTree } from './tree.ts';

const SHELLS = { bash: bashScript, zsh: zshScript, fish: fishScript } as const;
type Shell = keyof typeof SHELLS;

export const { register }: Verb = {
  register(command, context) {
    command
      .addArgument(new Argument('<shell>', 'the shell to print a script for').choices(Object.keys(SHELLS)))
      .addHelpText(
        'after',
        '\nFor bash, in ~/.bashrc:  source <(tidemark completion bash)\n' +
          'For zsh, in ~/.zshrc:    source <(tidemark completion zsh)\n' +
          'For fish:                tidemark completion fish > ~/.config/fish/completions/tidemark.fish',
      )
      .action(async (shell: Shell) => await printScript(context, shell));
  },
};

async function printScript(context: Context, shell: Shell): Promise<void> {
  process.stdout.write(`${SHELLS[shell](completionTree(await context.allVerbs()))}\n`);
}

/** Names of pipelines are looked up by the shell itself: starting Node at every Tab would be felt. */
function bashScript(nodes: readonly CompletionNode[]): string {
  const verbs = nodes.filter(({ path }) => path.length > 0).map(({ path }) => quote(` ${path.join(' ')}`));
  const values = nodes.flatMap(({ path, options }) =>
    options.flatMap(({ flags, value }) => {
      if (value === 'none') return [];
      const words = value === 'file' ? 'COMPREPLY=()' : reply(value.join(' '));
      return flags.map((flag) => `    ${quote(`${key(path)}:${flag}`)}) ${words}; return ;;`);
    }),
  );
  const cases = nodes.map(({ path, commands, options, argument }) => {
    const flags = options.flatMap((option) => option.flags);
    const words = [...commands.map(({ name }) => name), ...(typeof argument === 'string' ? [] : argument)];
    const names = argument === 'pipelines' ? ' $(_tidemark_pipelines)' : '';
    return `    ${quote(key(path))}) options=${quote(flags.join(' '))}; words="${words.join(' ')}${names}" ;;`;
  });
  return `# Completion of tidemark for bash; by \`tidemark completion bash\`.
_tidemark_pipelines() {
  local folder=\${TIDEMARK_PIPELINES:-./pipelines} i file
  for ((i = 1; i < COMP_CWORD; i++)); do
    if [[ \${COMP_WORDS[i]} == --pipelines ]]; then folder=\${COMP_WORDS[i+1]}; fi
  done
  for file in "$folder"/*.yaml; do
    if [[ -e $file ]]; then file=\${file##*/}; printf '%s\\n' "\${file%.yaml}"; fi
  done
}
_tidemark() {
  local current=\${COMP_WORDS[COMP_CWORD]} previous=\${COMP_WORDS[COMP_CWORD-1]} verb='' options='' words='' i
  for ((i = 1; i < COMP_CWORD; i++)); do
    case "$verb \${COMP_WORDS[i]}" in
      ${verbs.join('|')}) verb="$verb \${COMP_WORDS[i]}" ;;
    esac
  done
  COMPREPLY=()
  case "$verb:$previous" in
${values.join('\n')}
  esac
  case "$verb" in
${cases.join('\n')}
  esac
  if [[ $current == -* ]]; then words=$options; fi
  COMPREPLY=($(compgen -W "$words" -- "$current"))
}
complete -o default -F _tidemark tidemark`;
}

function reply(words: string): string {
  return `COMPREPLY=($(compgen -W ${quote(words)} -- "$current"))`;
}

function key(path: readonly string[]): string {
  return path.map((word) => ` ${word}`).join('');
}

function quote(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

function zshScript(nodes: readonly CompletionNode[]): string {
  return `autoload -Uz +X compinit bashcompinit\n(( $+functions[compdef] )) || compinit\nbashcompinit\n${bashScript(nodes)}`;
}

function fishScript(nodes: readonly CompletionNode[]): string {
  const lines = nodes.flatMap((node) => {
    const when = `-n ${quote(condition(node))}`;
    const commands = node.commands.map(
      ({ name, summary }) => `complete -c tidemark -f ${when} -a ${name} -d ${quote(line(summary))}`,
    );
    const options = node.options.map(({ flags, summary, value }) => {
      const spelled = flags.map((flag) =>
        flag.startsWith('--') ? `-l ${flag.slice(2)}` : `-s ${flag.slice(1)}`,
      );
      const values = value === 'none' ? '' : value === 'file' ? ' -r' : ` -x -a ${quote(value.join(' '))}`;
      return `complete -c tidemark ${when} ${spelled.join(' ')}${values} -d ${quote(line(summary))}`;
    });
    const { argument } = node;
    const words =
      argument === 'pipelines' ? '(__tidemark_pipelines)' : argument === 'nothing' ? '' : argument.join(' ');
    return [
      ...commands,
      ...options,
      ...(words === '' ? [] : [`complete -c tidemark -f ${when} -a ${quote(words)}`]),
    ];
  });
  return `# Completion of tidemark for fish; by \`tidemark completion fish\`.
function __tidemark_pipelines
  set -l folder ./pipelines
  if set -q TIDEMARK_PIPELINES
    set folder $TIDEMARK_PIPELINES
  end
  for file in $folder/*.yaml
    string replace -r '.*/(.*)\\.yaml$' '$1' -- $file
  end
end
complete -c tidemark -f
${lines.join('\n')}`;
}

/** The words of the node were given, and none of a node below it. */
function condition({ path, commands }: CompletionNode): string {
  const below = commands.map(({ name }) => name).join(' ');
  if (path.length === 0) return '__fish_use_subcommand';
  const seen = path.map((word) => `__fish_seen_subcommand_from ${word}`).join('; and ');
  return below === '' ? seen : `${seen}; and not __fish_seen_subcommand_from ${below}`;
}

function line(text: string): string {
  return text.replace(/\s+/g, ' ').replace(/\.$/, '');
}
