import { Body, Controller, Get, HttpCode, Param, Post } from '@nestjs/common';
import { ApiOkResponse, ApiTags } from '@nestjs/swagger';
import { Hosts, type KnownHost } from '../../inventory/hosts.ts';
import {
  ForgetHost,
  HostForgotten,
  HostList,
  HostReference,
  type Host,
} from '../contract/hosts.ts';

/** The hosts whose services share the database. */
@ApiTags('hosts')
@Controller('hosts')
export class HostsController {
  constructor(private readonly hosts: Hosts) {}

  @Get()
  @ApiOkResponse({ standardSchema: HostList })
  async list(): Promise<HostList> {
    return { hosts: (await this.hosts.list()).map(viewOfHost) };
  }

  /** Removes a host that is gone for good, and its VMs from the lists. Recovery points stay. */
  @Post(':host/forget')
  @HttpCode(200)
  @ApiOkResponse({ standardSchema: HostForgotten })
  async forget(
    @Param('host', { schema: HostReference }) idOrName: string,
    @Body({ schema: ForgetHost }) { dryRun }: ForgetHost,
  ): Promise<HostForgotten> {
    return { dryRun, host: viewOfHost(await this.hosts.forget(idOrName, { dryRun })) };
  }
}

function viewOfHost({ vms, ...host }: KnownHost): Host {
  return { ...host, vms: vms.map(({ id, name, tags }) => ({ id, name, tags: [...tags] })) };
}
