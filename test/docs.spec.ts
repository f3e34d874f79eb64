import { existsSync } from 'node:fs';
import { glob, readdir, readFile } from 'node:fs/promises';
import type { Command } from 'commander';
import { Cli } from '../src/cli/cli.ts';
import { FAULT_ADVICE } from '../src/cli/faults/fault-advice.ts';
import { EXIT_NOT_WELL } from '../src/cli/outcome.ts';
import { buildProgram } from '../src/cli/program.ts';
import { EXIT_CODES, FAULTS } from '../src/kernel/fault.ts';
import { CliVariables } from '../src/platform/config/cli-settings.ts';
import { Environment } from '../src/platform/config/config.ts';
import { cliEnvironment } from './support/service/cli-run.ts';
import { errorsPage } from './support/service/errors-page.ts';

const ROOT = new URL('..', import.meta.url);

async function text(path: string): Promise<string> {
  return await readFile(new URL(path, ROOT), 'utf8');
}

function program(): Command {
  const { environment } = cliEnvironment({ folder: '/nowhere' });
  return buildProgram(new Cli(environment, new AbortController().signal));
}

interface Leaf {
  readonly name: string;
  readonly options: readonly string[];
}

/** Every command that does something, with the long names of its options. */
function leaves(command: Command, prefix = ''): Leaf[] {
  const name = `${prefix}${command.name()}`;
  if (command.commands.length > 0) {
    return command.commands.flatMap((child) => leaves(child, `${name} `));
  }
  return [{ name, options: command.options.map(({ long }) => long ?? '').filter(Boolean) }];
}

describe('docs/errors.md', () => {
  it('has advice for every fault code, and for no other', () => {
    expect(Object.keys(FAULT_ADVICE).sort()).toEqual(Object.keys(FAULTS).sort());
  });

  it('is what `node test/support/service/errors-page.ts` writes', async () => {
    expect(await text('docs/errors.md')).toBe(await errorsPage());
  });
});

describe('docs/tests.md', () => {
  it('names every soak', async () => {
    const files = await readdir(new URL('test/soak', ROOT));
    const [, soaks = ''] = (await text('docs/tests.md')).split('\n## Soaks\n');
    const [list = ''] = soaks.split(', and `npm run torture`');
    expect(list.match(/(?<=`)[a-z-]+(?=`)/g)).toEqual(
      files.map((file) => file.replace('.ts', '')).sort(),
    );
  });
});

describe('docs/cli.md', () => {
  it('has every command with exactly its options', async () => {
    const rows = (await text('docs/cli.md')).split('\n').flatMap((line) => {
      const [first = '', , options = ''] = line.split('|').slice(1);
      const name = /^ `(hyperkeep [a-z -]+)` +$/.exec(first)?.[1];
      return name === undefined ? [] : [{ name, options: options.match(/--[a-z-]+/g) ?? [] }];
    });
    const sorted = (list: readonly Leaf[]): Leaf[] =>
      list
        .map(({ name, options }) => ({ name, options: options.toSorted() }))
        .toSorted((a, b) => (a.name < b.name ? -1 : 1));

    expect(sorted(rows)).toEqual(sorted(leaves(program())));
  });

  it('has every exit code', async () => {
    const page = await text('docs/cli.md');
    const codes = [...page.matchAll(/^\| +(\d+) \|/gm)].map(([, code]) => Number(code));

    expect(codes).toEqual([0, EXIT_NOT_WELL, ...Object.values(EXIT_CODES), 70, 130]);
  });
});

describe('README.md', () => {
  it('shows only commands and options that exist', async () => {
    const known = leaves(program());
    const shown = (await text('README.md')).match(/npx (hyperkeep [^#&\n]+)/g) ?? [];

    expect(shown.length).toBeGreaterThan(5);
    for (const line of shown.map((command) => command.replace('npx ', ''))) {
      const leaf = known
        .filter(({ name }) => `${line} `.startsWith(`${name} `))
        .sort((a, b) => b.name.length - a.name.length)[0];
      expect([line, leaf?.name]).toEqual([line, expect.any(String)]);
      for (const option of line.match(/ --[a-z-]+/g) ?? []) {
        expect([line, leaf?.options]).toEqual([line, expect.arrayContaining([option.trim()])]);
      }
    }
  });
});

describe('docs/configuration.md', () => {
  it('has every setting', async () => {
    const page = await text('docs/configuration.md');
    const settings = [...Object.keys(Environment.shape), ...Object.keys(CliVariables.shape)];

    expect(settings.filter((name) => !page.includes(`\`${name}\``))).toEqual([]);
  });
});

describe('docs/dependencies.md', () => {
  it('has a line for every package that runs in production, and for no other', async () => {
    const { dependencies, optionalDependencies } = JSON.parse(await text('package.json')) as Record<
      string,
      Record<string, string>
    >;
    const listed = [...(await text('docs/dependencies.md')).matchAll(/^\| `([^`]+)`/gm)];

    expect(listed.map(([, name]) => name).toSorted()).toEqual(
      Object.keys({ ...dependencies, ...optionalDependencies }).toSorted(),
    );
  });
});

/** What is wrong with the form of a decision; its number is that of its file. */
function wrongForm(name: string, page: string): string[] {
  const sections = [...page.matchAll(/^## (.*)$/gm)].map(([, title]) => title);
  const wrong = [];
  if (!page.startsWith(`# ${name.slice(0, 4)}: `)) {
    wrong.push('heading');
  }
  if (!/^# .+\n\nStatus: (accepted|replaced)\b[^]*?\.\n\n## Context\n\n/.test(page)) {
    wrong.push('status');
  }
  if (sections.join() !== 'Context,Decision,Consequences') {
    wrong.push(`sections ${sections.join()}`);
  }
  return wrong;
}

describe('docs/decisions', () => {
  it('are all listed under their titles, and have one form', async () => {
    const folder = new URL('docs/decisions/', ROOT);
    const names = (await readdir(folder)).filter((name) => /^\d{4}-/.test(name)).sort();
    const pages = await Promise.all(
      names.map(async (name) => await text(`docs/decisions/${name}`)),
    );
    const list = await text('docs/decisions/README.md');
    const links = [...list.matchAll(/^- \[(.+?)\]\((.+?)\)$/gms)].map(([, title, name]) => ({
      title: title?.replaceAll(/\s+/g, ' '),
      name,
    }));

    expect(links).toEqual(
      names.map((name, at) => ({ title: /^# (.+)/.exec(pages[at] ?? '')?.[1], name })),
    );
    expect(names.map((name, at) => [name, wrongForm(name, pages[at] ?? '')])).toEqual(
      names.map((name) => [name, []]),
    );
  });

  it('would not pass in another form', () => {
    const page =
      '# 0030: Title\n\nStatus: accepted.\n\n## Context\n\nA.\n\n## Decision\n\n## Consequences\n';

    expect(wrongForm('0030-title.md', page)).toEqual([]);
    expect(wrongForm('0031-title.md', page)).toEqual(['heading']);
    expect(wrongForm('0030-title.md', page.replace('Status: accepted.', ''))).toEqual(['status']);
    expect(wrongForm('0030-title.md', page.replace('## Decision', '**Decision.**'))).toEqual([
      'sections Context,Consequences',
    ]);
  });
});

describe('the rules of docs/vault-format.md', () => {
  /** Rules that a text names: a letter, a digit, and for one sentence another letter. */
  const named = (content: string): string[] =>
    [...content.matchAll(/\b[WG]\d(?:[.][a-z])?\b/g)].map(([rule]) => rule);

  it('are those that code and tests name, each of them somewhere', async () => {
    const page = await text('docs/vault-format.md');
    const defined = new Set(page.match(/^(?:- )?[*]{2}[WG]\d([.][a-z])?[*]{2} /gm)?.flatMap(named));
    const files = await Array.fromAsync(glob('{src,test}/**/*.ts', { cwd: ROOT }));
    const uses = await Promise.all(
      files.map(async (file) => ({ file, rules: named(await text(file)) })),
    );
    const unknown = uses.flatMap(({ file, rules }) =>
      rules.filter((rule) => !defined.has(rule)).map((rule) => `${file}: ${rule}`),
    );

    const everywhere = new Set(uses.flatMap(({ rules }) => rules));

    expect(defined.size).toBeGreaterThan(30);
    expect(unknown).toEqual([]);
    const unnamed = [...defined].filter((rule) => rule.includes('.') && !everywhere.has(rule));
    expect(unnamed).toEqual([]);
  });
});

describe('docs/architecture.md', () => {
  /** The lists of folders from the inside out in the check of imports, by name. */
  async function orders(): Promise<Map<string, string[][]>> {
    const lists = (await text('.dependency-cruiser.cjs')).matchAll(
      /^const (RINGS|VAULT|QEMU) = (\[\n[^;]*?\n\]);/gm,
    );
    const read = (list: string): string[][] =>
      JSON.parse(list.replaceAll("'", '"').replaceAll(/,(?=\s*\])/g, '')) as string[][];
    return new Map([...lists].map(([, name = '', list = '']) => [name, read(list)]));
  }

  /** Code blocks without a language, each a list of lines with names in them. */
  async function blocks(): Promise<string[][][]> {
    const page = await text('docs/architecture.md');
    return [...page.matchAll(/^```(.*)\n([^]*?)\n```$/gm)]
      .filter(([, language]) => language === '')
      .map(([, , block = '']) => block.split('\n').map((line) => line.split(', ')));
  }

  it('has the order of folders that the check enforces', async () => {
    const shown = (await blocks()).map((rings) =>
      rings.map((ring) => ring.map((name) => name.replaceAll(/[()]/g, ''))),
    );

    expect(shown).toEqual([...(await orders()).values()]);
  });

  it('has in parentheses what does not exist yet, and nothing else', async () => {
    const [rings = []] = await blocks();
    const folders = await readdir(new URL('src/', ROOT));

    for (const name of rings.flat()) {
      expect([name, name.startsWith('(')]).toEqual([name, !folders.includes(name)]);
    }
  });
});

describe('documents', () => {
  it('name only files and folders that exist', async () => {
    const pages = await Array.fromAsync(glob(['*.md', 'docs/**/*.md'], { cwd: ROOT }));
    const named = await Promise.all(
      pages.map(async (page) => {
        const paths = (await text(page)).matchAll(
          /\b(?:src|test|bench|demo|scripts)[/][\w./-]*\w(?![\w<*])/g,
        );
        return [...paths].map(([path]) => ({ page, path }));
      }),
    );
    const missing = named.flat().filter(({ path }) => !existsSync(new URL(path, ROOT)));

    expect(named.flat().length).toBeGreaterThan(30);
    expect(missing).toEqual([]);
  });
});
