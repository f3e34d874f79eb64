import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import { mkdtemp, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemPath } from '../../../scripts/setup/debian.mjs';
import { GuestAgent } from '../../../src/engines/qemu/guest/guest-agent.ts';
import type { VmDefinition } from '../../../src/vm/definition.ts';
import { SerialLog, checkJournal, makeGuestVm } from '../../support/guest/guest.ts';

const SIGNAL = new AbortController().signal;
const AGENT_MS = 30_000;

/** The shortest command line that starts the guest; how Hyperkeep does it is the engine's test. */
function startQemu(definition: VmDefinition, folder: string): ChildProcess {
  const { firmware, disks } = definition;
  if (firmware.kind !== 'kernel') {
    throw new Error('the test guest starts from a kernel file');
  }
  const qemu = spawn(
    'qemu-system-x86_64',
    [
      ...['-nodefaults', '-no-user-config', '-display', 'none', '-m', String(definition.memoryMib)],
      ...['-machine', definition.machine, '-accel', 'tcg,thread=multi', '-cpu', 'max'],
      ...['-kernel', firmware.kernelPath, '-initrd', firmware.initrdPath ?? ''],
      ...['-append', firmware.commandLine, '-serial', 'stdio', '-device', 'virtio-serial-pci'],
      ...['-chardev', `socket,id=agent,path=${join(folder, 'agent')},server=on,wait=off`],
      ...['-device', 'virtserialport,chardev=agent,name=org.qemu.guest_agent.0'],
      ...disks.flatMap(({ name, path, format }) => [
        '-blockdev',
        `driver=${format},node-name=${name},file.driver=file,file.filename=${path},discard=unmap,file.discard=unmap`,
        '-device',
        `virtio-blk-pci,drive=${name}`,
      ]),
    ],
    { env: { PATH: systemPath() }, stdio: ['ignore', 'pipe', 'inherit'] },
  );
  qemu.stdout.pipe(createWriteStream(join(folder, 'serial.log'), { flags: 'a' }));
  return qemu;
}

async function overwrite(path: string, from: string, to: string): Promise<void> {
  await using file = await open(path, 'r+');
  const { size } = await file.stat();
  const block = Buffer.alloc(1024 * 1024);
  for (let position = 0; position < size; position += block.length) {
    const { bytesRead } = await file.read(block, 0, block.length, position);
    const found = block.subarray(0, bytesRead).indexOf(from);
    if (found >= 0) {
      await file.write(to, position + found);
      return;
    }
  }
  throw new Error(`${from} is not on the disk`);
}

describe('the test guest', () => {
  let folder: string;
  let definition: VmDefinition;
  let serial: SerialLog;
  let dataPath: string;
  let qemu: ChildProcess | undefined;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'hyperkeep-guest-'));
    definition = await makeGuestVm(folder, {
      format: 'raw',
      dataBytes: 256 * 1024 * 1024,
      writerPauseMs: 10,
    });
    dataPath = definition.disks[1]?.path ?? '';
    serial = new SerialLog(join(folder, 'serial.log'));
  });

  afterAll(async () => {
    if (qemu?.exitCode === null && qemu.signalCode === null) {
      qemu.kill('SIGKILL');
      await once(qemu, 'exit');
    }
    await rm(folder, { recursive: true });
  });

  it('boots, writes, and every line it reported survives kill -9 of QEMU', async () => {
    qemu = startQemu(definition, folder);
    expect((await serial.waitForReady()).boot).toBe(1);
    await serial.waitForJournal(40);
    const ended = once(qemu, 'exit');
    qemu.kill('SIGKILL');
    await ended;
    const reported = await serial.lastJournalLine();
    const report = await checkJournal(dataPath, reported);
    expect(report).toMatchObject({ problems: [], neededRecovery: true });
    expect(report.lines).toBeGreaterThanOrEqual(reported.lines);
    expect(report.blobs).toBe(32);
  });

  it('goes on after the cut, answers its agent, and stops when asked', async () => {
    qemu = startQemu(definition, folder);
    await serial.waitFor(/GUEST-READY boot=2 /);
    await using agent = await GuestAgent.connect(join(folder, 'agent'), AGENT_MS, SIGNAL);
    expect(await agent.freeze(AGENT_MS, SIGNAL)).toBe(2);
    expect(await agent.thaw(AGENT_MS, SIGNAL)).toBe(2);
    expect((await agent.run('/bin/writer', ['stop'], AGENT_MS, SIGNAL)).stdout).toBe('stopped\n');
    expect((await agent.run('/bin/check', [], AGENT_MS, SIGNAL)).stdout).toMatch(/^ok lines=\d+ /);
    expect((await agent.run('/bin/writer', ['start'], AGENT_MS, SIGNAL)).stdout).toBe('started\n');
    const ended = once(qemu, 'exit');
    await agent.shutdown(SIGNAL);
    await ended;
    const report = await checkJournal(dataPath, await serial.lastJournalLine());
    expect(report).toMatchObject({ problems: [], neededRecovery: false });
  });

  it('is judged damaged when a line, a blob or the end of the journal is not as reported', async () => {
    const reported = await serial.lastJournalLine();
    expect((await checkJournal(dataPath, { lines: reported.lines + 1000 })).problems).toEqual([
      expect.stringMatching(/was reported written/) as string,
    ]);
    await overwrite(dataPath, reported.chain, 'f'.repeat(64));
    expect((await checkJournal(dataPath, reported)).problems).not.toEqual([]);
  });
});
