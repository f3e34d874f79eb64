import { Body, Controller, Delete, Get, HttpCode, Param, Post, Query } from '@nestjs/common';
import { ApiCreatedResponse, ApiOkResponse, ApiTags } from '@nestjs/swagger';
import type { VmSummary } from '../../engines/engine.ts';
import { InventoryService } from '../../inventory/inventory.service.ts';
import { isFault } from '../../kernel/fault.ts';
import { Protection } from '../../policies/status/protection.service.ts';
import { VmReference } from '../contract/references.ts';
import {
  AcceptDisks,
  AcceptedDisks,
  AddVm,
  DestroyVm,
  StopVm,
  Vm,
  VmList,
  VmQuery,
  VmReleased,
} from '../contract/vms.ts';
import { RequestSignal } from '../request-signal.ts';

@ApiTags('vms')
@Controller('vms')
export class VmsController {
  constructor(
    private readonly inventory: InventoryService,
    private readonly protection: Protection,
  ) {}

  /** Lists the VMs by name, each with the policies that protect it. */
  @Get()
  @ApiOkResponse({ standardSchema: VmList })
  async list(
    @Query({ schema: VmQuery }) { unprotected }: VmQuery,
    @RequestSignal() signal: AbortSignal,
  ): Promise<VmList> {
    const vms = (await this.inventory.list(signal)).map(view);
    const policies = await this.policiesByVm(unprotected === 'true', signal);
    if (policies === undefined) {
      return { vms };
    }
    const listed = vms.map((vm) => ({ ...vm, policies: [...(policies.get(vm.id) ?? [])] }));
    return {
      vms: unprotected === 'true' ? listed.filter((vm) => vm.policies.length === 0) : listed,
    };
  }

  @Get(':vm')
  @ApiOkResponse({ standardSchema: Vm })
  async get(
    @Param('vm', { schema: VmReference }) idOrName: string,
    @RequestSignal() signal: AbortSignal,
  ): Promise<Vm> {
    return view(await this.inventory.find(idOrName, signal));
  }

  /** Takes a VM over. Examines its images and changes nothing on them. */
  @Post()
  @ApiCreatedResponse({ standardSchema: Vm })
  async add(
    @Body({ schema: AddVm }) body: AddVm,
    @RequestSignal() signal: AbortSignal,
  ): Promise<Vm> {
    return view(await this.inventory.add(body, signal));
  }

  @Post(':vm/start')
  @HttpCode(200)
  @ApiOkResponse({ standardSchema: Vm })
  async start(
    @Param('vm', { schema: VmReference }) idOrName: string,
    @RequestSignal() signal: AbortSignal,
  ): Promise<Vm> {
    return view(await this.inventory.start(idOrName, signal));
  }

  /** Answers once the VM is off or, with `wait`, once each of its disks is one file. */
  @Post(':vm/stop')
  @HttpCode(200)
  @ApiOkResponse({ standardSchema: Vm })
  async stop(
    @Param('vm', { schema: VmReference }) idOrName: string,
    @Body({ schema: StopVm.prefault({}) }) options: StopVm,
    @RequestSignal() signal: AbortSignal,
  ): Promise<Vm> {
    return view(await this.inventory.stop(idOrName, options, signal));
  }

  /** Goes on with disks whose image was replaced or written under their overlays. */
  @Post(':vm/accept')
  @HttpCode(200)
  @ApiOkResponse({ standardSchema: AcceptedDisks })
  async accept(
    @Param('vm', { schema: VmReference }) idOrName: string,
    @Body({ schema: AcceptDisks }) { keep = 'chain', dryRun }: AcceptDisks,
    @RequestSignal() signal: AbortSignal,
  ): Promise<AcceptedDisks> {
    const disks = await this.inventory.accept(idOrName, { keep, dryRun }, signal);
    return {
      dryRun,
      disks: disks.map((disk) => ({
        ...disk,
        signs: [...disk.signs],
        overlays: disk.overlays.map((overlay) => ({ ...overlay })),
      })),
    };
  }

  /** Turns the VM back into plain disks; returns what is needed to start it without Hyperkeep. */
  @Post(':vm/release')
  @HttpCode(200)
  @ApiOkResponse({ standardSchema: VmReleased })
  async release(
    @Param('vm', { schema: VmReference }) idOrName: string,
    @RequestSignal() signal: AbortSignal,
  ): Promise<VmReleased> {
    return { definition: await this.inventory.release(idOrName, signal) };
  }

  /** Removes the VM with its disks. Its recovery points stay. */
  @Delete(':vm')
  @HttpCode(204)
  async destroy(
    @Param('vm', { schema: VmReference }) idOrName: string,
    @Query({ schema: DestroyVm }) { confirm }: DestroyVm,
    @RequestSignal() signal: AbortSignal,
  ): Promise<void> {
    await this.inventory.destroy(idOrName, confirm, signal);
  }

  /** VMs can be listed while the database is away, but nobody knows then which are unprotected. */
  private async policiesByVm(
    needed: boolean,
    signal: AbortSignal,
  ): Promise<ReadonlyMap<string, readonly string[]> | undefined> {
    try {
      return await this.protection.policiesByVm(signal);
    } catch (error) {
      if (!needed && isFault(error, 'database.unavailable')) {
        return undefined;
      }
      throw error;
    }
  }
}

function view({ id, name, status, definition, warnings, unmerged }: VmSummary): Vm {
  return {
    id,
    name,
    status,
    ...(definition === undefined ? {} : { definition }),
    warnings: [...warnings],
    unmerged: unmerged.map((disk) => ({ ...disk, files: [...disk.files] })),
  };
}
