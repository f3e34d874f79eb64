import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { appendFile, mkdir, mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isInstalled } from '../../../scripts/setup/dependencies.mjs';
import { isNewEnough } from '../../../scripts/setup/node.mjs';
import { PARTS, partPattern } from '../../../scripts/setup/test.mjs';

const CACHE = new URL('../../../scripts/setup/cache.mjs', import.meta.url).href;

const LINTED = new URL('../../../scripts/setup/linted-tree.mjs', import.meta.url).href;

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'hk-setup-'));
});
afterEach(async () => {
  await rm(folder, { recursive: true });
});

/** Runs `work` (source text) in a process of its own, inside the lock `one`. */
function inLock(work: string) {
  const script = `
    const { withLock } = await import(${JSON.stringify(CACHE)});
    const { appendFile } = await import('node:fs/promises');
    const say = (text) => appendFile(${JSON.stringify(join(folder, 'log'))}, text + '\\n');
    await withLock('one', async () => { ${work} });`;
  return spawn(process.execPath, ['--input-type=module', '-e', script], {
    env: { ...process.env, XDG_CACHE_HOME: folder },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
}

describe('the lock of the cache', () => {
  it('lets one process in at a time', async () => {
    const work = `await say('in'); await new Promise((r) => setTimeout(r, 50)); await say('out');`;
    const processes = [1, 2, 3].map(() => once(inLock(work), 'exit'));
    expect((await Promise.all(processes)).map(([code]) => code as number)).toEqual([0, 0, 0]);
    const lines = (await readFile(join(folder, 'log'), 'utf8')).trim().split('\n');
    expect(lines).toEqual(['in', 'out', 'in', 'out', 'in', 'out']);
    expect(await readdir(join(folder, 'hyperkeep/locks'))).toEqual([]);
  });

  it('goes over from a process that was killed', async () => {
    const victim = inLock(
      `console.log('held'); await new Promise(() => setInterval(() => 0, 1000));`,
    );
    await once(victim.stdout, 'data');
    victim.kill('SIGKILL');
    await once(victim, 'exit');
    const [code] = (await once(inLock(`await say('in');`), 'exit')) as [number];
    expect(code).toBe(0);
    expect(await readFile(join(folder, 'log'), 'utf8')).toBe('in\n');
  });
});

describe('code that lint has seen', () => {
  /** What a process says of the code in `folder`; its cache is there, too, and is no code. */
  const say = (what: string): string =>
    execFileSync(
      process.execPath,
      [
        '--input-type=module',
        '-e',
        `const { LintedTree } = await import(${JSON.stringify(LINTED)});
         const tree = new LintedTree(${JSON.stringify(folder)});
         console.log(${what});`,
      ],
      { env: { ...process.env, XDG_CACHE_HOME: join(folder, 'cache') }, encoding: 'utf8' },
    ).trim();

  it('is known in the same form only', async () => {
    execFileSync('git', ['init', '-q', folder]);
    await writeFile(join(folder, '.gitignore'), 'cache\n');
    await writeFile(join(folder, 'one.ts'), 'export const one = 1;\n');
    await writeFile(join(folder, 'two.ts'), "import { one } from './one.ts';\n");
    expect(say(`tree.isKnown('src')`)).toBe('false');
    say(`tree.remember('src')`);
    expect(say(`[tree.isKnown('src'), tree.isKnown('others')].join()`)).toBe('true,false');
    await writeFile(join(folder, 'one.ts'), "export const one = '1';\n");
    expect(say(`tree.isKnown('src')`)).toBe('false');
    await writeFile(join(folder, 'one.ts'), 'export const one = 1;\n');
    expect(say(`tree.isKnown('src')`)).toBe('true');
    await writeFile(join(folder, 'three.ts'), '');
    expect(say(`tree.isKnown('src')`)).toBe('false');
  });

  it('is unknown when the record was cut off', async () => {
    execFileSync('git', ['init', '-q', folder]);
    await writeFile(join(folder, '.gitignore'), 'cache\n');
    say(`tree.remember('src')`);
    await writeFile(join(folder, 'cache/hyperkeep/check/linted.json'), '["src ');
    expect(say(`tree.isKnown('src')`)).toBe('false');
  });
});

describe('installed packages', () => {
  async function write(path: string, packages: object): Promise<void> {
    await mkdir(join(folder, 'node_modules'), { recursive: true });
    await writeFile(join(folder, path), JSON.stringify({ packages }));
  }

  it('are what the lock file names, but for other platforms', async () => {
    const wanted = { '': {}, 'node_modules/a': { version: '1.0.0' } };
    const foreign = { 'node_modules/a-win32': { version: '1.0.0', optional: true } };
    await write('package-lock.json', { ...wanted, ...foreign });
    expect(isInstalled(folder)).toBe(false);
    await write('node_modules/.package-lock.json', wanted);
    expect(isInstalled(folder)).toBe(true);
    await write('package-lock.json', { ...wanted, 'node_modules/a': { version: '1.0.1' } });
    expect(isInstalled(folder)).toBe(false);
    await write('package-lock.json', { ...wanted, 'node_modules/b': { version: '1.0.0' } });
    expect(isInstalled(folder)).toBe(false);
  });

  it('are not believed when the installation was cut off', async () => {
    await write('package-lock.json', { 'node_modules/a': { version: '1.0.0' } });
    await write('node_modules/.package-lock.json', { 'node_modules/a': { version: '1.0.0' } });
    await appendFile(join(folder, 'node_modules/.package-lock.json'), '{');
    expect(isInstalled(folder)).toBe(false);
  });
});

describe('the parts of the test suite', () => {
  it('have every test file in exactly one of them', async () => {
    const root = join(import.meta.dirname, '../../..');
    const files = (
      await Promise.all(
        ['src', 'test'].map((name) =>
          readdir(join(root, name), { recursive: true }).then((found) =>
            found.map((file) => join(root, name, file)),
          ),
        ),
      )
    ).flat();
    const specs = files.filter((file) => file.endsWith('.spec.ts'));
    expect(specs.length).toBeGreaterThan(10);
    for (const spec of specs) {
      const parts = PARTS.filter((part) => new RegExp(partPattern(root, part)).test(spec));
      expect({ spec, parts }).toEqual({ spec, parts: [expect.any(String)] });
    }
  });
});

describe('the version of Node', () => {
  it('is new enough from 24.11 on', () => {
    expect(['v20.20.2', 'v24.10.0', 'v24.11.0', 'v25.0.0'].map(isNewEnough)).toEqual([
      false,
      false,
      true,
      true,
    ]);
  });
});
