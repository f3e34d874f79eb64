import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { VmDefinition } from '../../../src/vm/definition.ts';
import { HandLab } from '../../support/outside-hands/hand-lab.ts';
import { QemuLab } from '../../support/guest/qemu-lab.ts';

const MiB = 1024 * 1024;
const { signal } = new AbortController();
const job = () => ({ jobToken: 'job', crashConsistent: true });
const notOurs = { code: 'engine.not-ours' };

/**
 * Forgets the VM, as a release of a running VM would: QEMU goes on, and nothing here knows of it.
 */
function forget(lab: QemuLab): void {
  renameSync(lab.paths.folder, `${lab.folder}/forgotten`);
}

/** The VM's disks copied to another folder, as a restore under the same id makes them. */
function restoredElsewhere(lab: QemuLab): VmDefinition {
  const folder = join(lab.folder, 'restored');
  mkdirSync(folder);
  const disks = lab.definition.disks.map((disk) => {
    const path = join(folder, `${disk.name}.${disk.format}`);
    copyFileSync(disk.path, path);
    return { ...disk, path };
  });
  return VmDefinition.parse({ ...lab.definition, disks });
}

function filesIn(folder: string): string[] {
  return readdirSync(folder).map((name) => {
    const { ino, size, mtimeMs } = statSync(join(folder, name));
    return `${name} ${String(ino)} ${String(size)} ${String(mtimeMs)}`;
  });
}

describe('A QEMU that runs under the id of a VM', () => {
  it('with the files of another life of it is shown as not ours, and nothing is done to it', async () => {
    await using lab = await QemuLab.create();
    const engine = lab.engine();
    await engine.add(lab.definition, signal);
    await engine.start(lab.vm, signal);
    await lab.fill('data', { offset: 0, length: MiB }, 1);
    const pid = await lab.pid();
    forget(lab);
    const restored = restoredElsewhere(lab);
    await engine.add(restored, signal);
    const folder = join(lab.folder, 'restored');
    const before = filesIn(folder);

    const seen = await engine.get(lab.vm, signal);
    expect(seen.status).toBe('not-ours');
    expect(seen.warnings.join()).toContain(`process ${String(pid)}`);
    const actions = [
      async () => engine.freeze(lab.vm, job(), signal),
      async () => engine.start(lab.vm, signal),
      async () => engine.stop(lab.vm, { force: true }, signal),
      async () => engine.release(lab.vm, signal),
      async () => engine.destroy(lab.vm, signal),
    ];
    for (const act of actions) {
      await expect(act()).rejects.toMatchObject(notOurs);
    }
    expect((await engine.reconcile(signal)).join()).toContain('Nothing is done to it');

    expect(filesIn(folder)).toEqual(before);
    expect(await lab.pid()).toBe(pid);
    expect(execFileSync('ps', ['-o', 'comm=', '-p', String(pid)]).toString()).toContain('qemu');

    // The remedy that the message names.
    await lab.killQemu();
    await engine.start(lab.vm, signal);
    expect((await engine.get(lab.vm, signal)).status).toBe('running');
    await using frozen = await engine.freeze(lab.vm, job(), signal);
    expect(frozen.disks).toHaveLength(2);
  });

  it('and has a file open that was replaced since is not ours', async () => {
    await using lab = await QemuLab.create();
    const engine = lab.engine();
    await engine.add(lab.definition, signal);
    await engine.start(lab.vm, signal);
    const path = lab.definition.disks[1]?.path ?? '';
    copyFileSync(path, `${path}.copy`);
    renameSync(path, `${path}.kept`);
    renameSync(`${path}.copy`, path);

    expect((await engine.get(lab.vm, signal)).status).toBe('not-ours');
    await expect(engine.freeze(lab.vm, job(), signal)).rejects.toMatchObject(notOurs);

    renameSync(`${path}.kept`, path);
    expect((await engine.get(lab.vm, signal)).status).toBe('running');
  });

  it('is ours when it was started by others with exactly the disks, and is read whole', async () => {
    await using lab = await QemuLab.create();
    const engine = lab.engine();
    await engine.add(lab.definition, signal);
    const stopped = readFileSync(lab.paths.state);
    await engine.start(lab.vm, signal);
    await lab.fill('data', { offset: 0, length: MiB }, 4);
    // According to the state file nobody has started it.
    writeFileSync(lab.paths.state, stopped);

    await using frozen = await engine.freeze(lab.vm, job(), signal);

    const target = new Uint8Array(512);
    await frozen.disks[1]?.reader.read(0, target, signal);
    expect(target[0]).toBe(4);
    expect(frozen.warnings.join()).toContain('was not started here');
  });

  it('from parameters of before a freeze is not ours, and its overlay stays', async () => {
    await using hands = await HandLab.create();
    await hands.engine.start(hands.vm, signal);
    const frozen = await hands.engine.freeze(hands.vm, job(), signal);
    await frozen[Symbol.asyncDispose]();
    await hands.lab.fill('data', { offset: 0, length: MiB }, 6);
    await hands.nextService();
    expect(await hands.restartQemuByHand()).toBe(true);
    const overlay = hands.disk('data').layers[1]?.path ?? '';

    await expect(hands.engine.freeze(hands.vm, job(), signal)).rejects.toMatchObject(notOurs);
    await hands.engine.reconcile(signal);

    expect(existsSync(overlay)).toBe(true);
    await hands.lab.killQemu();
    await using again = await hands.engine.freeze(hands.vm, job(), signal);
    const target = new Uint8Array(512);
    await again.disks[1]?.reader.read(0, target, signal);
    expect(target[0]).toBe(6);
  });

  it('is not killed when it does not answer and has other files', async () => {
    await using lab = await QemuLab.create();
    const engine = lab.engine();
    await engine.add(lab.definition, signal);
    // Something that has our pid file in its command line, as an editor or a stale process may.
    const parameters = ['-e', 'setInterval(() => 0, 1000)', lab.paths.pid];
    const other = spawn(process.execPath, parameters, { stdio: 'ignore' });
    mkdirSync(lab.paths.runFolder, { recursive: true });
    writeFileSync(lab.paths.pid, String(other.pid));

    await expect(engine.stop(lab.vm, { force: true }, signal)).rejects.toMatchObject(notOurs);
    await expect(engine.destroy(lab.vm, signal)).rejects.toMatchObject(notOurs);

    expect(other.exitCode).toBeNull();
    expect(readFileSync(lab.paths.pid, 'utf8')).toBe(String(other.pid));
    other.kill('SIGKILL');
    await once(other, 'exit');
  });
});
