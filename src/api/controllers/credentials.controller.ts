import { Body, Controller, Delete, Get, HttpCode, Param, Post } from '@nestjs/common';
import { ApiOkResponse, ApiTags } from '@nestjs/swagger';
import { RegisteredVaults } from '../../catalog/registered-vaults.ts';
import { VaultReference } from '../contract/references.ts';
import { CredentialsList, CredentialsRole, SetCredentials } from '../contract/vault-credentials.ts';
import { RequestSignal } from '../request-signal.ts';

/** Credentials for the stores of vaults, by role. */
@ApiTags('vaults')
@Controller('vaults/:vault/credentials')
export class CredentialsController {
  constructor(private readonly vaults: RegisteredVaults) {}

  @Get()
  @ApiOkResponse({ standardSchema: CredentialsList })
  async list(@Param('vault', { schema: VaultReference }) vault: string): Promise<CredentialsList> {
    return this.listOf((await this.vaults.choose(vault)).id);
  }

  /** Sets the credentials of a role, once the store has answered to them. */
  @Post()
  @HttpCode(200)
  @ApiOkResponse({ standardSchema: CredentialsList })
  async set(
    @Param('vault', { schema: VaultReference }) vault: string,
    @Body({ schema: SetCredentials }) { role, credentials }: SetCredentials,
    @RequestSignal() signal: AbortSignal,
  ): Promise<CredentialsList> {
    const { id } = await this.vaults.choose(vault);
    await this.vaults.setCredentials(id, role, credentials, signal);
    return this.listOf(id);
  }

  @Delete(':role')
  @ApiOkResponse({ standardSchema: CredentialsList })
  async remove(
    @Param('vault', { schema: VaultReference }) vault: string,
    @Param('role', { schema: CredentialsRole }) role: CredentialsRole,
  ): Promise<CredentialsList> {
    const { id } = await this.vaults.choose(vault);
    await this.vaults.removeCredentials(id, role);
    return this.listOf(id);
  }

  private async listOf(vaultId: string): Promise<CredentialsList> {
    return { credentials: await this.vaults.credentialsOf(vaultId) };
  }
}
