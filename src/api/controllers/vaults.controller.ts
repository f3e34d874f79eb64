import { Body, Controller, Delete, Get, HttpCode, Param, Post } from '@nestjs/common';
import { ApiCreatedResponse, ApiOkResponse, ApiTags } from '@nestjs/swagger';
import { PointCatalog } from '../../catalog/point-catalog.ts';
import { RegisteredVaults, type RegisterVault } from '../../catalog/registered-vaults.ts';
import type { VaultRegistration } from '../../catalog/vault-registrations.ts';
import { Fault } from '../../kernel/fault.ts';
import type { VaultUnlock } from '../../vault/keys/vault-unlock.ts';
import { storeTrial } from '../../vault/probe/store-trial.ts';
import { VaultReference } from '../contract/references.ts';
import { CreateVault, VaultCreated, VaultList, VaultSummary } from '../contract/vaults.ts';
import { RequestSignal } from '../request-signal.ts';

@ApiTags('vaults')
@Controller('vaults')
export class VaultsController {
  constructor(
    private readonly vaults: RegisteredVaults,
    private readonly points: PointCatalog,
  ) {}

  @Get()
  @ApiOkResponse({ standardSchema: VaultList })
  async list(): Promise<VaultList> {
    const registrations = await this.vaults.list();
    return { vaults: await Promise.all(registrations.map((vault) => this.view(vault))) };
  }

  @Get(':vault')
  @ApiOkResponse({ standardSchema: VaultSummary })
  async get(@Param('vault', { schema: VaultReference }) idOrName: string): Promise<VaultSummary> {
    return this.view(await this.vaults.choose(idOrName));
  }

  /** Makes a vault, or registers an existing one. The secrets in the answer are shown once. */
  @Post()
  @ApiCreatedResponse({ standardSchema: VaultCreated })
  async create(
    @Body({ schema: CreateVault }) body: CreateVault,
    @RequestSignal() signal: AbortSignal,
  ): Promise<VaultCreated> {
    const { passphrase, recoveryFile, existing, endpoint, region, ...others } = body;
    const { lock, retentionPassphrase, credentials, ...rest } = others;
    const request: RegisterVault = {
      ...rest,
      ...(endpoint === undefined ? {} : { endpoint }),
      ...(region === undefined ? {} : { region }),
      ...(credentials === undefined ? {} : { credentials }),
    };
    if (existing) {
      if (lock !== undefined || retentionPassphrase !== undefined) {
        throw new Fault(
          'request.invalid',
          'Locks and a retention key are for new vaults; leave them out.',
        );
      }
      const unlock = unlockOf(passphrase, recoveryFile);
      return { vault: await this.view(await this.vaults.add(request, unlock, signal)) };
    }
    if (recoveryFile !== undefined) {
      throw new Fault('request.invalid', 'A new vault makes its own recovery file; leave it out.');
    }
    const { registration, capabilities, ...secrets } = await this.vaults.create(
      request,
      { passphrase, retentionPassphrase, lock },
      signal,
    );
    return {
      vault: await this.view(registration),
      ...secrets,
      ...(capabilities === undefined ? {} : { trial: storeTrial(capabilities) }),
    };
  }

  /** Forgets the vault and its key on this host. The vault and its recovery points stay. */
  @Delete(':vault')
  @HttpCode(204)
  async forget(@Param('vault', { schema: VaultReference }) idOrName: string): Promise<void> {
    const { id } = await this.vaults.choose(idOrName);
    await this.vaults.forget(id);
  }

  private async view(vault: VaultRegistration): Promise<VaultSummary> {
    const { id, name, location, createdAtMs, syncedAtMs } = vault;
    const points = await this.points.countOf(id);
    const problem = await this.vaults.problemOf(vault);
    return {
      id,
      name,
      location,
      createdAtMs,
      points,
      ...(syncedAtMs === undefined ? {} : { syncedAtMs }),
      ...(problem === undefined ? {} : { problem }),
    };
  }
}

function unlockOf(passphrase: string | undefined, recoveryFile: string | undefined): VaultUnlock {
  if (passphrase !== undefined) {
    return { kind: 'passphrase', passphrase };
  }
  if (recoveryFile !== undefined) {
    return { kind: 'recovery-file', content: recoveryFile };
  }
  throw new Fault(
    'passphrase.missing',
    'Give the passphrase of the vault, or the content of its recovery file.',
  );
}
