import { execFileSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { copyFileSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { VmDefinition } from '../../../src/vm/definition.ts';
import { QemuLab } from '../../support/guest/qemu-lab.ts';

const MiB = 1024 * 1024;
const A = { offset: MiB, length: 64 * 1024 };
const { signal } = new AbortController();
const job = { jobToken: 'job', crashConsistent: true };

function vmOn(path: string, name = 'second'): VmDefinition {
  const disk = { id: randomUUID(), name: 'system', path, format: 'qcow2', sizeBytes: 8 * MiB };
  return VmDefinition.parse({ id: randomUUID(), name, memoryMib: 64, disks: [disk] });
}

function clone(backing: string, path: string): string {
  const shape = ['-f', 'qcow2', '-F', 'qcow2', '-b', backing];
  execFileSync('qemu-img', ['create', '-q', '-u', ...shape, path, '8M']);
  return path;
}

describe('An image that others stand on', () => {
  let lab: QemuLab;
  let image: string;

  beforeEach(async () => {
    lab = await QemuLab.create([{ name: 'system', format: 'qcow2' }]);
    image = lab.image('system');
  });

  afterEach(async () => {
    await lab[Symbol.asyncDispose]();
  });

  it('is not taken while a file beside it has it as its backing file', async () => {
    const engine = lab.engine();
    const user = clone('system.qcow2', join(lab.folder, 'clone.qcow2'));

    await expect(engine.add(lab.definition, signal)).rejects.toMatchObject({
      code: 'engine.image-refused',
      message: expect.stringContaining(`${user} has it as its backing file`) as string,
    });
    expect(await engine.list(signal)).toEqual([]);

    rmSync(user);
    await engine.add(lab.definition, signal);
  });

  it('is not taken while a disk of another VM, anywhere, has it as its backing file', async () => {
    const engine = lab.engine();
    const elsewhere = join(lab.folder, 'elsewhere');
    mkdirSync(elsewhere);
    const path = join(elsewhere, 'other.qcow2');
    execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', path, '8M']);
    await engine.add(vmOn(path, 'other'), signal);
    const rebased = ['-u', '-f', 'qcow2', '-F', 'qcow2', '-b', image, path];
    execFileSync('qemu-img', ['rebase', ...rebased]);

    await expect(engine.add(lab.definition, signal)).rejects.toMatchObject({
      code: 'engine.image-refused',
      message: expect.stringContaining('a disk of the VM other') as string,
    });
  });

  it('is named, with its VM, when an image above it is to be taken', async () => {
    const engine = lab.engine();
    await engine.add(lab.definition, signal);
    const elsewhere = join(lab.folder, 'elsewhere');
    mkdirSync(elsewhere);
    const above = clone(image, join(elsewhere, 'above.qcow2'));

    await expect(engine.add(vmOn(above), signal)).rejects.toMatchObject({
      code: 'engine.image-refused',
      message: expect.stringContaining(`${image} is a disk of the VM lab-vm`) as string,
    });
  });

  it('is not an overlay of another VM', async () => {
    const engine = lab.engine();
    await engine.add(lab.definition, signal);
    await engine.start(lab.vm, signal);
    await using frozen = await engine.freeze(lab.vm, job, signal);
    expect(frozen.disks).toHaveLength(1);

    await expect(engine.add(vmOn(`${image}.hk-1.qcow2`), signal)).rejects.toMatchObject({
      code: 'engine.vm-exists',
      message: expect.stringContaining('lab-vm') as string,
    });
  });

  it('is not taken alone when what is known of its overlays was lost, and is copied whole', async () => {
    const before = lab.engine();
    await before.add(lab.definition, signal);
    await before.start(lab.vm, signal);
    for (const byte of [1, 2]) {
      const frozen = await before.freeze(lab.vm, job, signal);
      await lab.fill('system', A, byte);
      await frozen[Symbol.asyncDispose]();
    }
    await lab.killQemu();
    await before.close();
    renameSync(lab.paths.folder, `${lab.paths.folder}.damaged`);
    rmSync(`${image}.hyperkeep-unmerged`, { force: true });

    const failure: unknown = await lab
      .engine()
      .add(lab.definition, signal)
      .catch((error: unknown) => error);

    expect(failure).toMatchObject({ code: 'engine.image-refused' });
    const [, copy = ''] = /"(qemu-img [^"]+)"/.exec((failure as Error).message) ?? [];
    execFileSync('sh', ['-c', copy], { cwd: lab.folder });
    const whole = await lab.content(join(lab.folder, 'COPY.qcow2'));
    expect(whole.subarray(A.offset, A.offset + A.length)).toEqual(Buffer.alloc(A.length, 2));
  });

  it('is merged into though overlays that a person gave up lie beside it', async () => {
    const engine = lab.engine();
    await engine.add(lab.definition, signal);
    const older = join(lab.folder, 'older.qcow2');
    copyFileSync(image, older);
    await engine.start(lab.vm, signal);
    const first = await engine.freeze(lab.vm, job, signal);
    await lab.fill('system', A, 1);
    await first[Symbol.asyncDispose]();
    await lab.killQemu();
    await engine.reconcile(signal);
    renameSync(older, image);
    await engine.accept(lab.vm, { keep: 'image', dryRun: false }, signal);
    const second = await engine.freeze(lab.vm, job, signal);
    await second[Symbol.asyncDispose]();
    await engine.start(lab.vm, signal);
    await lab.fill('system', A, 3);

    await engine.stop(lab.vm, { force: true, wait: true }, signal);

    expect((await engine.get(lab.vm, signal)).unmerged).toEqual([]);
    expect(await lab.imageByte('system', A)).toBe(3);
    await engine.release(lab.vm, signal);
    await engine.add(lab.definition, signal);
  });
});
