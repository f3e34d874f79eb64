import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { Job, type BackupResult } from '../src/api/contract/jobs.ts';
import { Vm } from '../src/api/contract/vms.ts';
import { chooseAccelerator } from '../src/engines/qemu/process/accelerator.ts';
import { GuestAgent } from '../src/engines/qemu/guest/guest-agent.ts';
import { formatBytes, GiB } from '../src/kernel/text/bytes.ts';
import { VmDefinition } from '../src/vm/definition.ts';
import { checkJournal } from '../scripts/guest/check-journal.ts';
import type { TestGuest } from '../scripts/guest/image.ts';
import { SerialLog, type JournalLine } from '../scripts/guest/serial-log.ts';
import type { CommandLine, RunningService } from './command-line.ts';
import type { Story } from './story.ts';
import type { VaultPlace } from './vault-place.ts';
import { makeWriterVm } from './writer-vm.ts';

/** Ten times what an emulated guest on a slow machine needs. */
const GUEST_TIMEOUT_MS = 180_000;
const AGENT_TIMEOUT_MS = 60_000;
const DATA_DISK_BYTES = 2 * GiB;
/** Pause between two writes of the guest. */
const WRITER_PAUSE_MS = 50;
/** Lines that the guest writes between two chapters. */
const LINES_PER_CHAPTER = 25;
/**
 * What the guest writes at once, so that the full backup has work to do and content to find again.
 */
const STOCK = 'for n in 1 2 3; do mkdir /data/copy$n && cp -r /lib /sbin /data/copy$n; done; sync';

interface ShopParts {
  readonly story: Story;
  readonly commands: CommandLine;
  readonly folder: string;
  readonly place: VaultPlace;
  readonly guest: TestGuest;
}

/** The VM of the story, chapter by chapter. */
export class Shop implements AsyncDisposable {
  private readonly parts: ShopParts;
  private service: RunningService | undefined;
  private vmIds: string[] = [];
  private good: { readonly pointId: string; readonly line: JournalLine } | undefined;

  constructor(parts: ShopParts) {
    this.parts = parts;
  }

  async opens(signal: AbortSignal): Promise<void> {
    const { story, commands, folder, place, guest } = this.parts;
    story.line('Hyperkeep: a VM is backed up while it works, lost, and brought back.');
    const { accelerator, reason } = await chooseAccelerator();
    story.line(`The guest runs with ${accelerator.toUpperCase()}: ${reason}.`);
    story.line(`Its vault is ${place.location}; everything else is in ${folder}.`);
    story.chapter('A service, a vault, and a VM that works');
    this.service = await commands.serve(signal);
    await commands.run(
      [
        ...['vault', 'create', 'demo', '--location', place.location, ...place.words],
        ...['--recovery-file', join(folder, 'recovery.txt')],
      ],
      signal,
    );
    const file = await makeWriterVm(folder, guest, {
      name: 'shop',
      memoryMib: 256,
      dataBytes: DATA_DISK_BYTES,
      pauseMs: WRITER_PAUSE_MS,
    });
    await this.starts('shop', file, signal);
    story.say(
      'Its writer appends numbered lines, each with the hash of a new file, and flushes both.',
    );
    await this.inGuest('/bin/sh', ['-c', STOCK], signal);
    story.say('It also keeps three copies of its programs and libraries.');
    await this.waitForLines('shop', LINES_PER_CHAPTER, signal);
  }

  async isBackedUp(signal: AbortSignal): Promise<void> {
    this.parts.story.chapter('A full backup, while it writes');
    const { result } = await this.backUp(signal);
    this.parts.story.figure('of which new to the vault', formatBytes(result.newBytes));
  }

  async goesOn(signal: AbortSignal): Promise<void> {
    const { story } = this.parts;
    story.chapter('It goes on; the next backup takes the change only');
    const before = await this.waitForLines('shop', 0, signal);
    await this.waitForLines('shop', before.lines + LINES_PER_CHAPTER, signal);
    const { result, line } = await this.backUp(signal);
    if (result.disks.some(({ method }) => method !== 'changed-extents')) {
      throw new Error('The second backup was not incremental.');
    }
    this.good = { pointId: result.pointId, line };
    story.say(`Line ${String(line.lines)} was on its disk when this backup began. Remember it.`);
  }

  async isDamagedAndLost(signal: AbortSignal): Promise<void> {
    const { story, commands, folder } = this.parts;
    story.chapter('A bad day: it destroys its own data, then everything is lost');
    story.say(`The guest: ${(await this.inGuest('/bin/damage', [], signal)).trim()}`);
    story.say('The damage is backed up as well, as it would be at night:');
    await this.backUp(signal);
    await commands.run(['vm', 'destroy', 'shop', '--yes'], signal);
    this.vmIds = [];
    await this.service?.stop();
    this.service = undefined;
    await rm(join(folder, 'home'), { recursive: true });
    story.say('The VM and its disks are deleted. So are the service, its database and its keys.');
    story.say('What is left: the vault and the passphrase.');
  }

  async comesBack(signal: AbortSignal): Promise<void> {
    const { story, commands, folder, place, guest } = this.parts;
    const good = this.remembered();
    story.chapter('Rescue: from the vault alone, the moment before the damage');
    const vault = ['--vault', place.location, ...place.words];
    await commands.show(['rescue', 'points', ...vault], signal);
    await commands.show(['rescue', 'verify', good.pointId, ...vault], signal);
    const startedMs = performance.now();
    await commands.run(
      [
        ...['rescue', 'restore', good.pointId, ...vault, '--as', 'shop2', '--to', folder],
        ...['--kernel', guest.kernelPath, '--initrd', guest.initrdPath],
      ],
      signal,
    );
    story.figure('back on disk after', story.seconds(startedMs));
  }

  async isProven(signal: AbortSignal): Promise<void> {
    const { story, commands, folder } = this.parts;
    const good = this.remembered();
    story.chapter('Proof');
    const definition = VmDefinition.parse(
      JSON.parse(await readFile(join(folder, 'shop2.json'), 'utf8')),
    );
    const data = definition.disks.find(({ name }) => name === 'data');
    if (data === undefined) {
      throw new Error('The data disk was not restored.');
    }
    const report = await checkJournal(data.path, good.line);
    if (report.problems.length > 0) {
      throw new Error(`The restored disk is not what it was: ${report.problems.join('; ')}`);
    }
    story.say(
      `From outside: e2fsck -fn is clean; the journal is gap-free up to line ${String(report.lines)},`,
    );
    story.say(`${String(report.blobs)} files have the content that their lines promise.`);
    this.service = await commands.serve(signal);
    const boot = await this.starts('shop2', join(folder, 'shop2.json'), signal);
    await this.inGuest('/bin/writer', ['stop'], signal, 'shop2');
    const inside = await this.inGuest('/bin/check', [], signal, 'shop2');
    await this.inGuest('/bin/writer', ['start', String(WRITER_PAUSE_MS)], signal, 'shop2');
    story.say(`From inside, after boot ${String(boot)}: ${inside.trim()}`);
    const { lines } = await this.waitForLines('shop2', 0, signal);
    const next = await this.waitForLines('shop2', lines + 1, signal);
    story.say(`It goes on where it was: line ${String(next.lines)} is written.`);
    await commands.run(['vm', 'stop', 'shop2', '--force'], signal);
    this.vmIds = [];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const { commands } = this.parts;
    if (this.service !== undefined) {
      for (const vm of this.vmIds) {
        // If a VM is left, the demo has failed already, and its own error is the one to show.
        await commands
          .runSilently(['vm', 'stop', vm, '--force'], new AbortController().signal)
          .catch(() => undefined);
      }
      await this.service.stop();
    }
  }

  private async starts(name: string, file: string, signal: AbortSignal): Promise<number> {
    const { story, commands } = this.parts;
    const startedMs = performance.now();
    Vm.parse(await commands.run(['vm', 'start', file], signal));
    this.vmIds = [name];
    const log = await this.log(name);
    const { boot } = await log.waitForReady(within(GUEST_TIMEOUT_MS, signal));
    story.figure('guest up after', story.seconds(startedMs));
    return boot;
  }

  private async backUp(signal: AbortSignal): Promise<{ result: BackupResult; line: JournalLine }> {
    const { story, commands } = this.parts;
    const line = await this.waitForLines('shop', 0, signal).catch(() => ({ lines: 0, chain: '' }));
    const { result } = Job.parse(await commands.run(['backup', 'shop'], signal));
    if (result?.kind !== 'backup') {
      throw new Error('The backup has no result.');
    }
    for (const disk of result.disks) {
      const how = disk.reason === undefined ? disk.method : `${disk.method}: ${disk.reason}`;
      story.figure(`disk ${disk.name}`, `${formatBytes(disk.readBytes)} read (${how})`);
    }
    story.size('stored in the vault', result.storedBytes);
    story.figure('took', `${(result.durationMs / 1000).toFixed(1)} s`);
    story.figure(
      'guest frozen for',
      `${result.guestFrozenMs.toFixed(0)} ms (snapshot ${result.transactionMs.toFixed(1)} ms)`,
    );
    story.figure('consistency', [result.consistency, ...result.notes].join('; '));
    return { result, line };
  }

  private async waitForLines(
    name: string,
    lines: number,
    signal: AbortSignal,
  ): Promise<JournalLine> {
    return (await this.log(name)).waitForJournal(lines, within(GUEST_TIMEOUT_MS, signal));
  }

  private async inGuest(
    program: string,
    parameters: readonly string[],
    signal: AbortSignal,
    name = 'shop',
  ): Promise<string> {
    const socket = join(await this.runFolder(name), 'agent');
    await using agent = await GuestAgent.connect(socket, AGENT_TIMEOUT_MS, signal);
    const result = await agent.run(program, parameters, GUEST_TIMEOUT_MS, signal);
    if (result.exitCode !== 0) {
      throw new Error(`${program} failed in the guest: ${result.stdout}${result.stderr}`);
    }
    return result.stdout;
  }

  private async log(name: string): Promise<SerialLog> {
    return new SerialLog(join(await this.runFolder(name), 'serial.log'));
  }

  private async runFolder(name: string): Promise<string> {
    const { commands, folder } = this.parts;
    const { vms } = (await commands.runSilently(['vm', 'list'], new AbortController().signal)) as {
      vms: Vm[];
    };
    const vm = vms.find((candidate) => candidate.name === name);
    if (vm === undefined) {
      throw new Error(`There is no VM ${name}.`);
    }
    return join(folder, 'home', 'run', vm.id);
  }

  private remembered(): { readonly pointId: string; readonly line: JournalLine } {
    if (this.good === undefined) {
      throw new Error('There is no good recovery point.');
    }
    return this.good;
  }
}

function within(timeoutMs: number, signal: AbortSignal): AbortSignal {
  return AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]);
}
