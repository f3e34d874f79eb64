import { randomBytes } from 'node:crypto';
import { mkdir, readdir, readFile, rm, stat, symlink, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { VmDefinition } from '../../../src/vm/definition.ts';
import type { RecoveryPoint } from '../../../src/vault/points/recovery-point.ts';
import { MemoryDisk } from '../../support/disk/memory-disk.ts';
import { DirectoryObjectStore } from '../../../src/vault/object-stores/folder/directory.ts';
import { Vault } from '../../../src/vault/vault.ts';
import { seededBytes } from '../../support/random/seeded-bytes.ts';
import { backUp } from '../../support/vault/vault-lab.ts';
import { MIB, PASSPHRASE, RescueLab } from './rescue-lab.ts';

type Point = RecoveryPoint & { readonly takenAt: string };

interface Imported {
  readonly point: Point;
  readonly durationMs: number;
}

const SEED = process.env['TEST_SEED'] ?? randomBytes(4).toString('hex');
console.log(`seed of the rescue tests: ${SEED} (TEST_SEED)`);

describe('hyperkeep rescue on a folder', () => {
  let lab: RescueLab;
  let vault: string;

  beforeAll(async () => {
    lab = await RescueLab.open();
    vault = lab.path('vault');
    await lab.document(['create', '--vault', vault, '--name', 'main']);
  });

  afterAll(async () => {
    await lab[Symbol.asyncDispose]();
  });

  async function importImages(vm: string, files: readonly string[], more: string[] = []) {
    const words = ['import', ...files, '--vm', vm, '--vault', vault, ...more];
    return (await lab.document<Imported>(words)).point;
  }

  async function restore(point: string, to: string, more: string[] = []) {
    const words = ['restore', point, '--vault', vault, '--to', lab.path(to), ...more];
    return await lab.document<{ files: string[]; writtenBytes: number; definition: unknown }>(
      words,
    );
  }

  it('brings every moment of raw and qcow2 images back, byte for byte', async () => {
    const size = 40 * MIB + 1536; // Not a multiple of the sector.
    const raw = await lab.write('system.raw', size, [
      { offset: 0, length: 5 * MIB, seed: `${SEED}-a` },
      { offset: 17 * MIB + 777, length: 2 * MIB, seed: `${SEED}-b` },
      { offset: size - 1000, length: 1000, seed: `${SEED}-c` },
    ]);
    const source = await lab.write('source.raw', 24 * MIB, [
      { offset: 3 * MIB, length: 6 * MIB, seed: `${SEED}-d` },
    ]);
    const qcow2 = lab.path('data.qcow2');
    const toQcow2 = ['convert', '-f', 'raw', '-O', 'qcow2', source, qcow2];
    await lab.qemuImg(toQcow2);
    const names = ['--disk-name', 'system', 'data'];
    const firstHashes = [await lab.contentHash(raw, 'raw'), await lab.contentHash(qcow2, 'qcow2')];
    const first = await importImages('shop', [raw, qcow2], names);
    await lab.write('system.raw', size, [
      { offset: 9 * MIB + 4096, length: 300_000, seed: `${SEED}-e` },
      { offset: 0, length: 4096, seed: `${SEED}-f` },
    ]);
    await lab.write('source.raw', 24 * MIB, [
      { offset: 20 * MIB, length: 100_000, seed: `${SEED}-g` },
    ]);
    await lab.qemuImg(toQcow2);
    const secondHashes = [await lab.contentHash(raw, 'raw'), await lab.contentHash(qcow2, 'qcow2')];

    const second = await importImages('shop', [raw, qcow2], names);

    expect(second.vmId).toBe(first.vmId);
    expect(second.parentId).toBe(first.id);
    expect(second.disks.map(({ diskId }) => diskId)).toEqual(
      first.disks.map(({ diskId }) => diskId),
    );
    for (const { method, reason } of [...first.disks, ...second.disks]) {
      expect([method, reason]).toEqual(['full', 'imported-image']);
    }
    expect(newBytes(first)).toBeGreaterThan(12 * MIB);
    expect(newBytes(second)).toBeLessThan(2 * MIB);
    expect(first.disks[0]?.statistics.readBytes).toBeLessThan(9 * MIB);
    for (const [point, hashes, format] of [
      [first, firstHashes, 'raw'],
      [second, secondHashes, 'qcow2'],
    ] as const) {
      const { files } = await restore(point.id, `of-${point.id}`, ['--format', format]);
      const [system = '', data = ''] = files;
      expect([await lab.contentHash(system, format), await lab.contentHash(data, format)]).toEqual(
        hashes,
      );
      expect((await stat(system)).mode & 0o777).toBe(0o600);
    }
  });

  it('restores the latest under a new name, sparse, with a definition that can be added', async () => {
    const image = await lab.write('web.raw', 200 * MIB, [
      { offset: 100 * MIB, length: MIB, seed: `${SEED}-web` },
    ]);
    const point = await importImages('web', [image]);

    const restored = await restore('latest', 'web', [
      '--vm',
      'web',
      '--as',
      'web2',
      '--format',
      'raw',
    ]);

    expect(restored.files).toEqual([
      lab.path('web', 'web2-disk0.raw'),
      lab.path('web', 'web2.json'),
    ]);
    const definition = VmDefinition.parse(
      JSON.parse(await readFile(lab.path('web', 'web2.json'), 'utf8')),
    );
    expect(definition).toEqual(restored.definition);
    expect(definition.name).toBe('web2');
    expect(definition.id).not.toBe(point.vmId);
    const { blocks } = await stat(lab.path('web', 'web2-disk0.raw'));
    expect(blocks * 512).toBeLessThan(2 * MIB);
  });

  it('shows what is there and proves it, to people and to programs', async () => {
    const { points } = await lab.document<{ points: Point[] }>(['points', '--vault', vault]);
    const words = await lab.rescue(['points', '--vault', vault, '--vm', 'shop']);
    const verified = await lab.document<{ points: { ok: boolean; level: number }[] }>([
      ...['verify', '--vault', vault],
    ]);

    expect(points.map(({ vmName }) => vmName)).toEqual(['shop', 'shop', 'web']);
    expect(points.map(({ id }) => id)).toEqual(points.map(({ id }) => id).sort());
    expect(words.stdout.split('\n')).toHaveLength(4);
    expect(words.stdout).toContain(`${points[1]?.id ?? ''}  shop  `);
    expect(verified.points.map(({ ok, level }) => [ok, level])).toEqual([
      [true, 3],
      [true, 3],
      [true, 3],
    ]);
  });

  it('opens the vault with the recovery file alone', async () => {
    const file = lab.path('hyperkeep-recovery-main.txt');
    expect((await stat(file)).mode & 0o777).toBe(0o600);

    const run = await lab.rescue(['points', '--vault', vault, '--recovery-file', file], '');

    expect(run.exitCode).toBe(0);
  });

  it('says what a restore would do and does nothing', async () => {
    const run = await lab.rescue([
      ...['restore', 'latest', '--vm', 'web', '--vault', vault],
      ...['--to', lab.path('dry', 'run'), '--dry-run'],
    ]);

    expect(run.exitCode).toBe(0);
    expect(run.stdout).toContain('needs 1.00 MiB');
    expect(await readdir(lab.folder)).not.toContain('dry');
  });

  it('reads no faster than it may', async () => {
    const bytes = 3 * MIB;
    const image = await lab.write('slow.raw', 8 * MIB, [{ offset: 0, length: bytes, seed: SEED }]);
    const { id } = await importImages('slow', [image]);
    const words = ['restore', id, '--vault', vault, '--to', lab.path('slow'), '--limit-rate', '1M'];
    const { durationMs } = await lab.document<{ durationMs: number }>(words);

    // A second's worth is free at most.
    expect(durationMs).toBeGreaterThanOrEqual(((bytes - MIB) / MIB) * 1000);
  });

  it('overwrites nothing', async () => {
    const target = lab.path('kept');
    await restore('latest', 'kept', ['--vm', 'web']);
    const before = await readdir(target);

    const run = await lab.rescue([
      ...['restore', 'latest', '--vm', 'web', '--vault', vault, '--to', target],
    ]);

    expect(run.exitCode).toBe(5);
    expect(run.stderr).toContain('error target.exists');
    expect(await readdir(target)).toEqual(before);
  });

  it.each([
    {
      what: 'a wrong passphrase',
      words: ['points'],
      passphrase: 'wrong horse battery staple',
      exitCode: 3,
      code: 'vault.wrong-passphrase',
    },
    {
      what: 'a VM name that leaves its folder',
      words: ['import', 'system.raw', '--vm', '../x'],
      exitCode: 2,
      code: 'request.invalid',
    },
    {
      what: 'an image that is not there',
      words: ['import', 'nothing.raw', '--vm', 'x'],
      exitCode: 2,
      code: 'request.invalid',
    },
    {
      what: 'a point that is not there',
      words: ['restore', '01ZZZZZZZZ', '--to', 'never'],
      exitCode: 4,
      code: 'point.unknown',
    },
    {
      what: 'the latest of several VMs',
      words: ['restore', 'latest', '--to', 'never'],
      exitCode: 2,
      code: 'vm.ambiguous',
    },
  ])('refuses $what', async ({ words, passphrase, exitCode, code }) => {
    const run = await lab.rescue([...words, '--vault', vault, '--json'], passphrase);

    expect(run.stderr).toContain(`error ${code}: `);
    expect(JSON.parse(run.stdout)).toMatchObject({ error: { code, exitCode } });
    expect(run.exitCode).toBe(exitCode);
    expect(await readdir(lab.folder)).not.toContain('never');
  });

  it('imports and restores whatever a path is called, and refuses before it stores', async () => {
    const names = ['comma, name.raw', 'line\nbreak.raw', "it's 100 % $x.raw"];
    for (const [index, name] of names.entries()) {
      const image = await lab.write(name, MIB, [{ offset: 0, length: 5000, seed: name }]);
      const point = await importImages(`odd${String(index)}`, [image]);

      const { files } = await restore(point.id, `odd${String(index)}`, ['--format', 'raw']);

      expect(await lab.contentHash(files[0] ?? '', 'raw')).toBe(
        await lab.contentHash(image, 'raw'),
      );
    }
    const words = ['restore', 'latest', '--vm', 'odd0', '--vault', vault];
    const there = await lab.rescue([...words, '--to', lab.path('to, there')]);
    expect(there.stderr).toContain('error vm.definition-invalid: ');
    expect(there.exitCode).toBe(2);
    const deep = lab.path(...Array.from({ length: 6 }, () => 'd'.repeat(200)));
    await mkdir(deep, { recursive: true });
    await truncate(join(deep, 'x.raw'), MIB).catch(async () => {
      await writeFile(join(deep, 'x.raw'), Buffer.alloc(MIB, 7));
    });
    const long = await lab.rescue([
      'import',
      join(deep, 'x.raw'),
      '--vm',
      'long',
      '--vault',
      vault,
    ]);
    expect(long.stderr).toContain('error vm.definition-invalid: ');
    expect(long.stderr).toContain('disks.0.path');
  });

  it('makes one VM of two first imports that run at once', async () => {
    const image = await lab.write('twice.raw', MIB, [{ offset: 0, length: 5000, seed: 'twice' }]);

    const points = await Promise.all([
      importImages('twice', [image]),
      importImages('twice', [image]),
    ]);

    expect(new Set(points.map(({ vmId }) => vmId)).size).toBe(1);
    expect(new Set(points.flatMap(({ disks }) => disks.map(({ diskId }) => diskId))).size).toBe(1);
    expect((await importImages('twice', [image])).vmId).toBe(points[0].vmId);
  });

  it('tells two VMs with one name apart by their ids', async () => {
    const folder = new DirectoryObjectStore(vault);
    const opened = await Vault.open(
      folder,
      { kind: 'passphrase', passphrase: PASSPHRASE },
      { workers: 0 },
      AbortSignal.timeout(100_000),
    );
    for (const id of ['aaaaaaaa', 'bbbbbbbb']) {
      const disk = new MemoryDisk(MIB);
      disk.write(0, seededBytes(id, 4096));
      await backUp(opened, disk, {
        vm: { vmId: `${id}-0000-4000-8000-000000000000`, vmName: 'two' },
      });
    }
    await opened.close();
    const vmId = 'aaaaaaaa-0000-4000-8000-000000000000';
    const image = await lab.write('two.raw', MIB, [{ offset: 0, length: 5000, seed: 'two' }]);

    const list = await lab.rescue(['points', '--vm', 'two', '--vault', vault]);
    const byName = await lab.rescue(['import', image, '--vm', 'two', '--vault', vault]);
    const asName = await lab.rescue(['import', image, '--vm', vmId, '--vault', vault]);
    const byId = await lab.document<Imported>(['import', image, '--vm-id', vmId, '--vault', vault]);
    const verified = await lab.document<{ points: unknown[] }>([
      'verify',
      'latest',
      '--vm-id',
      vmId,
      '--vault',
      vault,
    ]);

    expect(list.stdout).toContain(`two (${vmId})`);
    expect(byName.stderr).toContain('error vm.ambiguous: ');
    expect(byName.stderr).toContain('--vm-id');
    expect(asName.stderr).toContain('error request.invalid: ');
    expect(byId.point).toMatchObject({ vmId, vmName: 'two' });
    expect(verified.points).toMatchObject([{ pointId: byId.point.id, ok: true }]);
  });

  it('refuses images that refer to other files', async () => {
    const secret = await lab.write('secret.raw', MIB, [{ offset: 0, length: 10, seed: 's' }]);
    const backed = lab.path('backed.qcow2');
    await lab.qemuImg(['create', '-q', '-f', 'qcow2', '-F', 'raw', '-b', secret, backed]);
    const split = lab.path('split.qcow2');
    const outside = `data_file=${lab.path('outside.raw')},data_file_raw=on`;
    await lab.qemuImg(['create', '-q', '-f', 'qcow2', '-o', outside, split, '1M']);

    for (const file of [backed, split]) {
      const run = await lab.rescue(['import', file, '--vm', 'evil', '--vault', vault]);
      expect(run.stderr).toContain('error formats.outside-reference: ');
      expect(run.exitCode).toBe(3);
    }
    const { points } = await lab.document<{ points: Point[] }>(['points', '--vault', vault]);
    expect(points.map(({ vmName }) => vmName)).not.toContain('evil');
  });

  it('never takes a raw image for a qcow2 that a guest has written into it', async () => {
    const image = lab.path('guest-wrote.img');
    await lab.qemuImg(['create', '-q', '-f', 'qcow2', image, '64M']);
    const hash = await lab.contentHash(image, 'raw');
    await importImages('guest-wrote', [image], ['--format', 'raw']);

    const { files } = await restore('latest', 'gw', ['--vm', 'guest-wrote', '--format', 'raw']);

    expect(await lab.contentHash(files[0] ?? '', 'raw')).toBe(hash);
  });

  it('asks what a file is whose content contradicts its name', async () => {
    const cloud = lab.path('cloud.img');
    await lab.qemuImg(['create', '-q', '-f', 'qcow2', cloud, '8M']);
    const vmdk = lab.path('foreign.img');
    await writeFile(vmdk, Buffer.concat([Buffer.from('KDMV'), Buffer.alloc(4092)]));
    const notQcow2 = await lab.write('zeroes.qcow2', MIB, []);
    const words = ['--vm', 'cloud', '--vault', vault];

    const refused = await lab.rescue(['import', cloud, ...words]);
    expect(refused).toMatchObject({ exitCode: 2 });
    expect(refused.stderr).toMatch(/begins like a qcow2 image.*--format qcow2.*--format raw/);
    const wrong = await lab.rescue(['import', notQcow2, ...words]);
    expect(wrong).toMatchObject({ exitCode: 2 });
    expect(wrong.stderr).toContain('--format raw');
    const foreign = await lab.rescue(['import', vmdk, ...words]);
    expect(foreign.stderr).toMatch(/image-unsupported: .*VMDK.*qemu-img convert/);

    const point = await importImages('cloud', [cloud], ['--format', 'qcow2']);
    expect(point.disks).toMatchObject([{ sizeBytes: 8 * MIB }]);
  });

  it('takes the format from the name that was typed, and a disk without an ending as raw', async () => {
    const plain = await lab.write('plain', MIB, [{ offset: 0, length: 10, seed: 'p' }]);
    await symlink(plain, lab.path('link.raw'));

    const point = await importImages('links', [lab.path('link.raw'), plain]);

    expect(point.disks).toMatchObject([{ sizeBytes: MIB }, { sizeBytes: MIB }]);
  });

  it('says that internal snapshots of an image are not imported', async () => {
    const image = lab.path('snapshots.qcow2');
    await lab.qemuImg(['create', '-q', '-f', 'qcow2', image, '8M']);
    await lab.qemuImg(['snapshot', '-c', 'before', image]);

    const point = await importImages('snapshots', [image]);

    expect(point.notes).toEqual([
      'The image of disk disk0 holds 1 internal snapshot; only its present content was imported.',
    ]);
  });

  it('says how to name a vault whose place is no name', async () => {
    const words = ['create', '--vault', lab.path('v#hash'), '--recovery-file', lab.path('h.txt')];
    const refused = await lab.rescue(words);

    expect(refused.exitCode).toBe(2);
    expect(refused.stderr).toMatch(/last part of its location.*"v#hash".*--name/);
    expect((await lab.rescue([...words, '--name', 'hash'])).exitCode).toBe(0);
  });

  it('refuses to create a vault where something is, or its recovery file inside it', async () => {
    const again = await lab.rescue([
      ...['create', '--vault', vault, '--name', 'again', '--recovery-file', lab.path('again.txt')],
    ]);
    const inside = await lab.rescue([
      ...['create', '--vault', lab.path('v2'), '--recovery-file', lab.path('v2', 'key.txt')],
    ]);

    expect(again.stderr).toContain('error vault.not-empty: ');
    expect(inside.stderr).toContain('error request.invalid: ');
    expect(await readdir(lab.folder)).not.toContain('again.txt');
    expect(await readdir(lab.folder)).not.toContain('v2');
  });

  it('generates a passphrase that opens the vault, and shows it once', async () => {
    const place = lab.path('generated');

    const created = await lab.rescue([
      'create',
      '--vault',
      place,
      '--generate-passphrase',
      '--json',
    ]);

    const passphrase = /Passphrase .*: ([0-9A-Z-]+)\n/.exec(created.stderr)?.[1];
    expect(created.stdout).not.toContain(passphrase);
    expect((await lab.rescue(['points', '--vault', place], passphrase)).exitCode).toBe(0);
    expect((await lab.rescue(['points', '--vault', place])).exitCode).toBe(3);
  });

  describe('when the vault is damaged', () => {
    async function copyWith(name: string, damage: (packs: string[]) => Promise<void>) {
      const image = await lab.write(`${name}.raw`, 8 * MIB, [
        { offset: 0, length: 3 * MIB, seed: `${SEED}-${name}` },
      ]);
      const place = lab.path(`vault-${name}`);
      await lab.document([
        ...['create', '--vault', place, '--recovery-file', lab.path(`${name}.txt`)],
      ]);
      await lab.document(['import', image, '--vm', 'web', '--vault', place]);
      const entries = await readdir(join(place, 'd'), { recursive: true, withFileTypes: true });
      await damage(
        entries
          .filter((entry) => entry.isFile())
          .map(({ parentPath, name: file }) => join(parentPath, file)),
      );
      return place;
    }

    it.each([
      {
        name: 'missing',
        damage: async (packs: string[]) => {
          await Promise.all(packs.map((pack) => rm(pack)));
        },
      },
      {
        name: 'truncated',
        damage: async (packs: string[]) => {
          await truncate(packs[0] ?? '', 100_000);
        },
      },
      {
        name: 'flipped',
        damage: async (packs: string[]) => {
          const content = await readFile(packs[0] ?? '');
          content.writeUInt8(content.readUInt8(5000) ^ 1, 5000);
          await writeFile(packs[0] ?? '', content);
        },
      },
    ])(
      'refuses to restore from a $name pack and leaves nothing behind',
      async ({ name, damage }) => {
        const place = await copyWith(name, damage);
        const target = lab.path(`to-${name}`);

        const restored = await lab.rescue(['restore', 'latest', '--vault', place, '--to', target]);
        const verified = await lab.rescue(['verify', '--vault', place]);

        expect([restored.exitCode, restored.stderr]).toEqual([
          9,
          expect.stringMatching(/error vault\.data-lost: .* lost, at byte \d+/),
        ]);
        expect(await readdir(target).catch(() => [])).toEqual([]);
        expect(verified.exitCode).toBe(9);
        expect(verified.stderr).toContain('error point.damaged: ');
      },
    );
  });

  it('stops on Ctrl-C, leaves no recovery point, and goes on the next time', async () => {
    const image = await lab.write('large.raw', 96 * MIB, [
      { offset: 0, length: 96 * MIB, seed: `${SEED}-large` },
    ]);
    const stopped = await lab.rescueStopped(vault, [
      ...['import', image, '--vm', 'large', '--vault', vault],
    ]);

    expect(stopped.exitCode).toBe(130);
    const { points } = await lab.document<{ points: Point[] }>(['points', '--vault', vault]);
    expect(points.map(({ vmName }) => vmName)).not.toContain('large');
    await importImages('large', [image]);
    const { files } = await restore('latest', 'large', ['--vm', 'large', '--format', 'raw']);
    expect(await lab.contentHash(files[0] ?? '', 'raw')).toBe(await lab.contentHash(image, 'raw'));
  });

  it('keeps the passphrase out of everything it prints', async () => {
    for (const words of [['points'], ['verify'], ['restore', 'nothing', '--to', 'x']]) {
      const run = await lab.rescue([...words, '--vault', vault, '--json']);
      expect(run.stdout + run.stderr).not.toContain(PASSPHRASE);
    }
  });
});

function newBytes(point: Point): number {
  return point.disks.reduce((sum, { statistics }) => sum + statistics.newBytes, 0);
}
