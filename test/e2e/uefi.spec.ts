import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { GuestAgent } from '../../src/engines/qemu/guest/guest-agent.ts';
import { createImage } from '../../src/formats/image.ts';
import { SystemClock } from '../../src/kernel/clock.ts';
import { RestoreJournal } from '../../src/restore/restore-journal.ts';
import { RestoreService } from '../../src/restore/restore.service.ts';
import { BackupLab, type LabVault } from '../support/guest/backup-lab.ts';
import { SerialLog } from '../support/guest/guest.ts';
import { heldVault } from '../support/vault/held-vault.ts';
import { OVMF } from '../support/guest/uefi-guest.ts';

const TIMEOUT_MS = 900_000;
const AGENT_TIMEOUT_MS = 300_000;
const EFI_VARIABLES = '/sys/firmware/efi/efivars';
const OWNER = '6c1f7c7e-0001-4000-8000-686b726f6f74';

describe('A VM that boots by UEFI', () => {
  let lab: BackupLab;
  let target: LabVault;

  const inGuest = async (vm: string, script: string): Promise<string> => {
    const { agent } = lab.engine.paths(vm);
    await using connection = await GuestAgent.connect(agent, AGENT_TIMEOUT_MS, lab.signal);
    const words = ['-c', script];
    const { exitCode, stdout, stderr } = await connection.run(
      '/bin/sh',
      words,
      AGENT_TIMEOUT_MS,
      lab.signal,
    );
    expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: '' });
    return stdout;
  };

  /** A variable that the running system sets, as an installer sets its boot entry. */
  const setVariable = async (name: string, value: string): Promise<void> => {
    // The first four bytes are attributes: non-volatile, boot services, run time.
    const content = String.raw`\007\000\000\000${value}`;
    await inGuest(
      lab.definition.id,
      `printf '${content}' >${EFI_VARIABLES}/${name}-${OWNER} && sync`,
    );
  };

  const restores = (): RestoreService =>
    new RestoreService(
      {
        engine: lab.engine,
        vaults: { open: async () => heldVault(target.vault) },
        createImage,
        journal: new RestoreJournal(join(lab.folder, 'restores')),
        folder: join(lab.folder, 'restored'),
      },
      new SystemClock(),
    );

  beforeAll(async () => {
    lab = await BackupLab.create({
      uefi: true,
      dataBytes: 128 * 1024 * 1024,
      writerPauseMs: 150,
    });
    target = await lab.addVault();
    await lab.engine.start(lab.definition.id, lab.signal);
    await lab.serial.waitForReady();
    await lab.serial.waitForJournal(2);
  }, TIMEOUT_MS);

  afterAll(async () => {
    for (const { id } of await lab.engine.list(lab.signal)) {
      await lab.engine.stop(id, { force: true }, lab.signal);
    }
    await lab[Symbol.asyncDispose]();
  }, TIMEOUT_MS);

  it(
    'comes back under another name with a variable store of its own, as it was when it was frozen',
    async () => {
      await lab.backUp(target);
      await setVariable('HkBefore', 'set before the backup');
      const { lines } = await lab.serial.lastJournalLine();
      const { point } = await lab.backUp(target);
      await setVariable('HkAfter', 'set after the backup');
      await lab.engine.stop(lab.definition.id, { force: true }, lab.signal);
      await lab.engine.destroy(lab.definition.id, lab.signal);
      const { firmware: lost } = lab.definition;
      expect(lost.kind === 'uefi' && existsSync(lost.nvramPath)).toBe(false);

      const { definition, started } = await restores().restoreVm(
        {
          vaultId: target.id,
          pointId: point.id,
          newName: 'second',
          format: 'qcow2',
          bootFiles: { codePath: OVMF.code },
          add: true,
          start: true,
        },
        { signal: lab.signal, report: () => undefined },
      );
      if (definition?.firmware.kind !== 'uefi') {
        throw new Error('no definition with UEFI came back');
      }
      const serial = new SerialLog(lab.engine.paths(definition.id).serialLog);
      const { boot } = await serial.waitForReady();

      expect({ started, boot }).toEqual({ started: true, boot: 2 });
      expect(definition.firmware.nvramPath).toBe(
        join(lab.folder, 'restored/second/second-nvram.qcow2'),
      );
      expect(definition.id).not.toBe(lab.definition.id);
      expect(definition.nics[0]?.mac).not.toBe(lab.definition.nics[0]?.mac);
      const ids = lab.definition.disks.map(({ id }) => id);
      expect(definition.disks.map(({ id }) => ids.includes(id))).toEqual([false, false, false]);
      expect(await inGuest(definition.id, 'cat /proc/cmdline')).toContain('initrd=');
      const variables = await inGuest(
        definition.id,
        `ls ${EFI_VARIABLES} | grep Hk; tail -c +5 ${EFI_VARIABLES}/HkBefore-*`,
      );
      expect(variables).toBe(`HkBefore-${OWNER}\nset before the backup`);
      const inside = await inGuest(definition.id, '/bin/writer stop && /bin/check');
      expect(Number(/ok lines=(\d+)/.exec(inside)?.[1])).toBeGreaterThanOrEqual(lines);
    },
    TIMEOUT_MS,
  );
});
