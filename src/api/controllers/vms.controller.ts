import { Body, Controller, Delete, Get, HttpCode, Param, Post, Query } from '@nestjs/common';
import { ApiCreatedResponse, ApiOkResponse, ApiTags } from '@nestjs/swagger';
import { InventoryService } from '../../inventory/inventory.service.ts';
import { KnownVms, type KnownVm } from '../../inventory/known-vms.ts';
import { isFault } from '../../kernel/fault.ts';
import { Protection } from '../../policies/status/protection.service.ts';
import { VmReference } from '../contract/references.ts';
import {
  AcceptDisks,
  AcceptedDisks,
  AddVm,
  ChangeTags,
  DestroyVm,
  StopVm,
  Vm,
  VmList,
  VmQuery,
  VmReleased,
} from '../contract/vms.ts';
import { RequestSignal } from '../request-signal.ts';
import { viewOfKnownVm, viewOfVm } from '../vm-view.ts';

@ApiTags('vms')
@Controller('vms')
export class VmsController {
  constructor(
    private readonly inventory: InventoryService,
    private readonly known: KnownVms,
    private readonly protection: Protection,
  ) {}

  /**
   * Lists the VMs of all hosts by name, each with the policies that protect it; without the
   * database, those of this host.
   */
  @Get()
  @ApiOkResponse({ standardSchema: VmList })
  async list(
    @Query({ schema: VmQuery }) query: VmQuery,
    @RequestSignal() signal: AbortSignal,
  ): Promise<VmList> {
    const unprotected = query.unprotected === 'true';
    const ask = async () => this.withPolicies(query.gone === 'true', signal);
    const vms = unprotected ? await ask() : await withoutDatabase(ask);
    if (vms === undefined) {
      return { vms: (await this.inventory.list(signal)).map(viewOfVm) };
    }
    return { vms: unprotected ? vms.filter(({ policies }) => policies.length === 0) : vms };
  }

  @Get(':vm')
  @ApiOkResponse({ standardSchema: Vm })
  async get(
    @Param('vm', { schema: VmReference }) idOrName: string,
    @RequestSignal() signal: AbortSignal,
  ): Promise<Vm> {
    const known = await withoutDatabase(async () => this.known.find(idOrName, signal));
    return known === undefined
      ? viewOfVm(await this.inventory.find(idOrName, signal))
      : viewOfKnownVm(known);
  }

  /** Changes the tags by which policies choose VMs. */
  @Post(':vm/tags')
  @HttpCode(200)
  @ApiOkResponse({ standardSchema: Vm })
  async changeTags(
    @Param('vm', { schema: VmReference }) idOrName: string,
    @Body({ schema: ChangeTags }) change: ChangeTags,
    @RequestSignal() signal: AbortSignal,
  ): Promise<Vm> {
    return viewOfKnownVm(await this.known.tag(idOrName, change, signal));
  }

  /** Takes a VM over. Examines its images and changes nothing on them. */
  @Post()
  @ApiCreatedResponse({ standardSchema: Vm })
  async add(
    @Body({ schema: AddVm }) body: AddVm,
    @RequestSignal() signal: AbortSignal,
  ): Promise<Vm> {
    return viewOfVm(await this.inventory.add(body, signal));
  }

  @Post(':vm/start')
  @HttpCode(200)
  @ApiOkResponse({ standardSchema: Vm })
  async start(
    @Param('vm', { schema: VmReference }) idOrName: string,
    @RequestSignal() signal: AbortSignal,
  ): Promise<Vm> {
    return viewOfVm(await this.inventory.start(idOrName, signal));
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
    return viewOfVm(await this.inventory.stop(idOrName, options, signal));
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

  private async withPolicies(gone: boolean, signal: AbortSignal) {
    const known = await (gone ? this.known.listAll(signal) : this.known.list(signal));
    const policies = await this.protection.policiesByVm(known.filter(isThere));
    return known.map((vm) => ({
      ...viewOfKnownVm(vm),
      policies: [...(policies.get(vm.id) ?? [])],
    }));
  }
}

/** Policies protect no VM that is gone. */
function isThere({ goneAtMs }: KnownVm): boolean {
  return goneAtMs === undefined;
}

/**
 * Returns undefined while the database is away: VMs can be listed all the same, but nobody knows
 * then which are unprotected.
 */
async function withoutDatabase<T>(work: () => Promise<T>): Promise<T | undefined> {
  try {
    return await work();
  } catch (error) {
    if (isFault(error, 'database.unavailable')) {
      return undefined;
    }
    throw error;
  }
}
