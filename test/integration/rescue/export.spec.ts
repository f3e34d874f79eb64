import { readFile } from 'node:fs/promises';
import { runCommand } from '../../../src/kernel/command.ts';
import { MIB, RescueLab } from './rescue-lab.ts';

const signal = AbortSignal.timeout(280_000);

describe('hyperkeep rescue export', () => {
  let lab: RescueLab;
  let at: string[];

  beforeAll(async () => {
    lab = await RescueLab.open();
    at = ['--vault', lab.path('vault')];
    await lab.document(['create', ...at, '--name', 'main']);
    await lab.write('system.raw', 40 * MIB + 512, [
      { offset: 0, length: 5 * MIB, seed: 'a' },
      { offset: 17 * MIB + 777, length: 2 * MIB, seed: 'b' },
    ]);
    await lab.write('data.raw', 8 * MIB, [{ offset: MIB, length: MIB, seed: 'c' }]);
    const images = [lab.path('system.raw'), lab.path('data.raw')];
    const names = ['--vm', 'shop', '--disk-name', 'system', 'data'];
    await lab.document(['import', ...images, ...names, ...at]);
  });
  afterAll(async () => {
    await lab[Symbol.asyncDispose]();
  });

  it('gives the disks of a point to other programs, and nothing that can be written', async () => {
    const copies = { system: 'system.raw', data: 'data.raw' };
    const ended = await lab.exported<{ failures: string[] }>(['latest', ...at], async (socket) => {
      for (const [name, source] of Object.entries(copies)) {
        const uri = `nbd+unix:///${encodeURIComponent(name)}?socket=${socket}`;
        const copy = lab.path(`copy of ${name}`);
        await runCommand('nbdcopy', [uri, copy], signal);
        expect(Buffer.compare(await readFile(copy), await readFile(lab.path(source)))).toBe(0);
      }
      const uri = `nbd+unix:///data?socket=${socket}`;
      const written = await runCommand('qemu-io', ['-f', 'raw', '-c', 'write 0 4k', uri], signal, {
        accept: [0, 1],
      });
      expect(written.exitCode).toBe(1);
    });

    expect(ended.failures).toEqual([]);
  });

  it('gives one disk alone, and tells nothing about holes if it must not', async () => {
    const words = ['latest', ...at, '--disk', 'data', '--no-block-status'];
    await lab.exported(words, async (socket) => {
      const { stdout } = await runCommand(
        'nbdinfo',
        ['--list', '--json', `nbd+unix:///?socket=${socket}`],
        signal,
      );
      const { exports } = JSON.parse(stdout) as { exports: Record<string, unknown>[] };
      expect(exports.map((each) => each['export-name'])).toEqual(['data']);
      expect(exports[0]?.['contexts'] ?? []).toEqual([]);
    });
  });

  it('refuses a disk that the point does not have', async () => {
    const run = await lab.rescue(['export', 'latest', ...at, '--disk', 'nothing']);

    expect(run.exitCode).not.toBe(0);
    expect(run.stderr).toContain('system, data');
  });
});
