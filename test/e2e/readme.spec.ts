import {
  chmod,
  mkdir,
  mkdtemp,
  readFile,
  rm,
  symlink,
  truncate,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PointList } from '../../src/api/contract/points.ts';
import { plainEnvironment, runCommand } from '../../src/kernel/command.ts';
import { ensureBuild } from '../../scripts/setup/build.mjs';
import { RealService } from '../support/service/real-service.ts';

const ROOT = join(import.meta.dirname, '../..');
const TIMEOUT_MS = 600_000;
const MiB = 1024 * 1024;
const { signal } = new AbortController();

/** The block of commands that follows a sentence of the README. */
async function commandsAfter(words: string): Promise<string[]> {
  const text = await readFile(join(ROOT, 'README.md'), 'utf8');
  const [, block] = text.slice(text.indexOf(words)).split(/^```\n/m);
  return (block ?? '').trim().split('\n');
}

describe('The README', () => {
  let folder: string;
  let service: RealService | undefined;

  beforeAll(async () => {
    await ensureBuild(ROOT);
    folder = await mkdtemp(join(tmpdir(), 'hk-readme-'));
    // PostgreSQL does not run as root and passes through.
    await chmod(folder, 0o711);
    const programs = join(folder, 'node_modules/.bin');
    await mkdir(programs, { recursive: true });
    await symlink(join(ROOT, 'bin/hyperkeep.mjs'), join(programs, 'hyperkeep'));
    const disk = join(folder, 'shop.raw');
    await writeFile(disk, 'no system');
    await truncate(disk, 8 * MiB);
    const vm = {
      name: 'shop',
      memoryMib: 128,
      disks: [{ name: 'system', path: disk, format: 'raw' }],
    };
    await writeFile(join(folder, 'shop.json'), JSON.stringify(vm));
  }, TIMEOUT_MS);
  afterAll(async () => {
    // Whatever was reached: the VM must not stay.
    await type('npx hyperkeep vm stop shop --force', [0, 1, 2, 3, 4, 5, 6]);
    await service?.stop();
    await rm(folder, { recursive: true });
  }, TIMEOUT_MS);

  /** As a person types it, in a folder from which `npx hyperkeep` starts this checkout. */
  async function type(line: string, accept: readonly number[] = [0]): Promise<string> {
    const { stdout } = await runCommand('bash', ['-c', line], signal, {
      accept,
      workingFolder: folder,
      environment: { ...plainEnvironment(), HYPERKEEP_HOME: join(folder, 'home') },
    });
    return stdout;
  }

  it(
    'leads from install to a VM with a policy and a sealed point in five commands',
    async () => {
      const [install, ...commands] = await commandsAfter('From install to');
      // What is installed and built is this checkout; the service is one that a test can end.
      expect(install).toBe('npm ci && npm run build && (npx hyperkeep serve &)');
      expect(commands).toHaveLength(4);
      service = await RealService.start(join(folder, 'home'), signal);

      let said = '';
      for (const command of commands) {
        said = await type(command.replace('/srv/vault', join(folder, 'vault')));
      }

      expect(said).toMatch(/1 VM: .* policy/);
      const { points } = PointList.parse(await service.client.call('listPoints', {}, signal));
      expect(points.map(({ vmName, origin }) => [vmName, origin?.policy])).toEqual([
        ['shop', 'everything'],
      ]);
    },
    TIMEOUT_MS,
  );
});
