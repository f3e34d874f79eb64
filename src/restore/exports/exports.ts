import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { Injectable } from '@nestjs/common';
import { z } from 'zod';
import type { RegisteredVaults } from '../../catalog/registered-vaults.ts';
import type { VaultCredentials } from '../../catalog/vault-credentials.ts';
import type { Clock } from '../../kernel/clock.ts';
import { Fault, systemCode } from '../../kernel/fault.ts';
import { PRIVATE_FILE_MODE, PRIVATE_FOLDER_MODE } from '../../kernel/files/durable-file.ts';
import { chmod, readdir, readFile, rm, writeFile } from '../../kernel/files/files.ts';
import { makeFolders } from '../../kernel/files/folders.ts';
import { ID_CHARACTERS_MIN, onlyStarting } from '../../kernel/text/by-prefix.ts';
import type { HostIdentity } from '../../kernel/host-identity.ts';
import { Spending } from '../../vault/budget/spending.ts';
import type { StoreAddress } from '../../vault/store/store-access.ts';
import { disksOf } from '../../vault/restoring/restore-plan.ts';
import { EXPORT_SOCKET, type ExportOrder } from './export-order.ts';
import { endExport, exportPid, startExport } from './export-process.ts';

const FACTS_FILE = 'export.json';

/** What the folder of an export says of it. */
const Facts = z.object({
  id: z.uuid(),
  vaultId: z.string(),
  vaultName: z.string(),
  pointId: z.string(),
  vmName: z.string(),
  disks: z.array(z.object({ name: z.string(), sizeBytes: z.int().nonnegative() })),
  startedAtMs: z.int().nonnegative(),
});

/** Disks of a recovery point that NBD clients of this host can read. */
export interface Export extends z.infer<typeof Facts> {
  /** `ended`: its process is gone, and nobody asked for that. */
  readonly state: 'serving' | 'ended';
  readonly socketPath: string;
}

export interface ExportRequest {
  readonly vaultId: string;
  readonly pointId: string;
  /** Name or id; default: all disks. */
  readonly disk?: string | undefined;
  /** Whether clients may ask which ranges hold data: not for a QEMU that streams from a disk. */
  readonly blockStatus: boolean;
}

export interface ExportsParts {
  readonly vaults: Pick<RegisteredVaults, 'openApart'>;
  readonly credentials: Pick<VaultCredentials, 'applied'>;
  readonly host: Pick<HostIdentity, 'id' | 'name'>;
  readonly clock: Clock;
  /** With a folder for each export; short, because the path of a socket is. */
  readonly folder: string;
}

/** Serves disks of recovery points on this host; each export has a process that outlives us. */
@Injectable()
export class Exports {
  constructor(private readonly parts: ExportsParts) {}

  /** @throws Fault `point.disk-unknown`, `vault.*`, `export.failed` */
  async open(request: ExportRequest, signal: AbortSignal): Promise<Export> {
    const { clock, folder: all } = this.parts;
    const { order, facts } = await this.prepare(request, signal);
    const id = randomUUID();
    const folder = join(all, id);
    await makeFolders(folder);
    await chmod(folder, PRIVATE_FOLDER_MODE);
    try {
      const made = { id, ...facts, startedAtMs: clock.nowMs() };
      const file = join(folder, FACTS_FILE);
      await writeFile(file, JSON.stringify(made), { mode: PRIVATE_FILE_MODE });
      await startExport(folder, order, signal);
      return { ...made, state: 'serving', socketPath: join(folder, EXPORT_SOCKET) };
    } catch (error) {
      await rm(folder, { recursive: true, force: true });
      throw error;
    }
  }

  /** Returns the exports of this host, oldest first. */
  async list(): Promise<Export[]> {
    const names = await readdir(this.parts.folder).catch((error: unknown) => {
      if (systemCode(error) === 'ENOENT') {
        return [];
      }
      throw error;
    });
    const found = await Promise.all(names.map(async (name) => this.read(name)));
    return found.filter((each) => each !== undefined).sort((a, b) => a.startedAtMs - b.startedAtMs);
  }

  /**
   * Ends an export: its clients get answers to what they asked, and no more.
   * @param prefix its id or the beginning
   * @throws Fault `export.unknown`
   */
  async close(prefix: string, signal: AbortSignal): Promise<Export> {
    const found = onlyStarting(await this.list(), prefix, ID_CHARACTERS_MIN);
    if (found === undefined) {
      throw new Fault('export.unknown', `This host exports nothing under the id ${prefix}.`);
    }
    const folder = join(this.parts.folder, found.id);
    await endExport(folder, signal);
    await rm(folder, { recursive: true, force: true });
    return { ...found, state: 'ended' };
  }

  /** Opens the vault once, so that what does not work is said before a process is started. */
  private async prepare(request: ExportRequest, signal: AbortSignal) {
    const { vaults, credentials, host } = this.parts;
    const { vaultId, pointId, blockStatus } = request;
    const apart = { spending: new Spending({}), role: 'restorer' } as const;
    await using opened = await vaults.openApart(vaultId, apart, signal);
    const { vault, registration, cacheFolder } = opened;
    const point = await vault.point(pointId, signal);
    const disks = disksOf(point, request.disk);
    const known: StoreAddress & { readonly id: string } = registration;
    const place = await credentials.applied(known, 'restorer');
    const { location, endpoint, region, profile, singleWriter } = place;
    const order: ExportOrder = {
      place: { location, endpoint, region, profile, singleWriter, credentials: place.credentials },
      key: Buffer.from(vault.exportKey()).toString('base64'),
      pointId,
      disks: disks.map(({ name, diskId }) => ({ name, diskId })),
      blockStatus,
      cacheFolder,
      reader: { service: host.id, name: host.name },
    };
    const facts = {
      ...{ vaultId, vaultName: registration.name, pointId, vmName: point.vmName },
      disks: disks.map(({ name, sizeBytes }) => ({ name, sizeBytes })),
    };
    return { order, facts };
  }

  private async read(name: string): Promise<Export | undefined> {
    const folder = join(this.parts.folder, name);
    try {
      const facts = Facts.parse(JSON.parse(await readFile(join(folder, FACTS_FILE), 'utf8')));
      const isServing = (await exportPid(folder)) !== undefined;
      const state = isServing ? 'serving' : 'ended';
      return { ...facts, state, socketPath: join(folder, EXPORT_SOCKET) };
    } catch (error) {
      // It ends now, or its start was cut off: nothing serves there.
      if (systemCode(error) === 'ENOENT' || error instanceof SyntaxError) {
        return undefined;
      }
      throw error;
    }
  }
}
