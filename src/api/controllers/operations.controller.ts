import { Body, Controller, HttpCode, Post } from '@nestjs/common';
import { ApiAcceptedResponse, ApiTags } from '@nestjs/swagger';
import { backupKey, type BackupParameters } from '../../backup/backup.job.ts';
import { RegisteredVaults } from '../../catalog/registered-vaults.ts';
import { InventoryService } from '../../inventory/inventory.service.ts';
import { Jobs } from '../../jobs/jobs.ts';
import type { JobSubject } from '../../jobs/job.ts';
import type { RestoreParameters } from '../../restore/restore.job.ts';
import type { VerifyParameters } from '../../restore/verify.job.ts';
import { Job, StartBackup, StartRestore, StartVerification } from '../contract/jobs.ts';
import { viewOfJob } from '../job-view.ts';
import { PointSearch, type FoundPoint } from '../point-search.ts';
import { RequestSignal } from '../request-signal.ts';

/** Starts long operations; each answer is a job to follow. */
@ApiTags('operations')
@Controller()
export class OperationsController {
  constructor(
    private readonly jobs: Jobs,
    private readonly inventory: InventoryService,
    private readonly vaults: RegisteredVaults,
    private readonly points: PointSearch,
  ) {}

  /**
   * Takes a recovery point, on the host of the VM. A second one of the same VM at the same time is
   * refused.
   */
  @Post('backups')
  @HttpCode(202)
  @ApiAcceptedResponse({ standardSchema: Job })
  async startBackup(
    @Body({ schema: StartBackup }) body: StartBackup,
    @RequestSignal() signal: AbortSignal,
  ): Promise<Job> {
    const vm = await this.inventory.locate(body.vm, signal);
    const vault = await this.vaults.choose(body.vault);
    const parameters: BackupParameters = {
      vmId: vm.id,
      vaultId: vault.id,
      crashConsistent: body.crashConsistent,
      full: body.full,
      ...(body.compressionLevel && { compressionLevel: body.compressionLevel }),
      rateLimits: body.rateLimits,
      guestLatency: body.guestLatency,
    };
    const subject = { vmId: vm.id, vmName: vm.name, vaultId: vault.id, vaultName: vault.name };
    const exclusiveKey = backupKey(vm.id);
    const request = { kind: 'backup', subject, parameters, exclusiveKey } as const;
    const place = vm.hostId === undefined ? {} : { place: { hostId: vm.hostId } };
    return viewOfJob(await this.jobs.start({ ...request, ...place }));
  }

  /** Restores a VM or one disk to new files. */
  @Post('restores')
  @HttpCode(202)
  @ApiAcceptedResponse({ standardSchema: Job })
  async startRestore(
    @Body({ schema: StartRestore }) body: StartRestore,
    @RequestSignal() signal: AbortSignal,
  ): Promise<Job> {
    const found = await this.points.find(body, signal);
    const parameters = restoreParameters(body, found);
    return viewOfJob(
      await this.jobs.start({ kind: 'restore', subject: subjectOf(found), parameters }),
    );
  }

  /** Checks a point without restoring it; by default it reads and authenticates every byte. */
  @Post('verifications')
  @HttpCode(202)
  @ApiAcceptedResponse({ standardSchema: Job })
  async startVerification(
    @Body({ schema: StartVerification }) body: StartVerification,
    @RequestSignal() signal: AbortSignal,
  ): Promise<Job> {
    const found = await this.points.find(body, signal);
    const { level, limits } = body;
    const vaultId = found.vault.id;
    const parameters: VerifyParameters = { vaultId, pointId: found.point.id, level, limits };
    return viewOfJob(
      await this.jobs.start({ kind: 'verify', subject: subjectOf(found), parameters }),
    );
  }
}

function subjectOf({ vault, point }: FoundPoint): JobSubject {
  return {
    vmId: point.vmId,
    vmName: point.vmName,
    vaultId: vault.id,
    vaultName: vault.name,
  };
}

function restoreParameters(body: StartRestore, { vault, point }: FoundPoint): RestoreParameters {
  const from = { vaultId: vault.id, pointId: point.id };
  if (body.kind === 'disk') {
    const { kind, disk, file, format, rateLimits } = body;
    return { kind, ...from, disk, file, format, rateLimits };
  }
  const { kind, name, folder, format, bootFiles, add, start, rateLimits } = body;
  const { codePath, kernelPath, initrdPath } = bootFiles;
  return {
    kind,
    ...from,
    newName: name,
    folder,
    format,
    bootFiles: {
      ...(codePath === undefined ? {} : { codePath }),
      ...(kernelPath === undefined ? {} : { kernelPath }),
      ...(initrdPath === undefined ? {} : { initrdPath }),
    },
    add,
    start: add && start,
    rateLimits,
  };
}
