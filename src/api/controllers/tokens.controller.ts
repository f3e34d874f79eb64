import { Body, Controller, Delete, Get, Param, Post } from '@nestjs/common';
import { ApiCreatedResponse, ApiOkResponse, ApiTags } from '@nestjs/swagger';
import { ApiTokens } from '../../access/api-tokens.ts';
import { CreateToken, Token, TokenCreated, TokenList, TokenReference } from '../contract/tokens.ts';

@ApiTags('tokens')
@Controller('tokens')
export class TokensController {
  constructor(private readonly tokens: ApiTokens) {}

  @Get()
  @ApiOkResponse({ standardSchema: TokenList })
  async list(): Promise<TokenList> {
    return { tokens: await this.tokens.list() };
  }

  /** Makes a named token. Its secret is in this answer and nowhere else. */
  @Post()
  @ApiCreatedResponse({ standardSchema: TokenCreated })
  async create(@Body({ schema: CreateToken }) body: CreateToken): Promise<TokenCreated> {
    return this.tokens.create(body);
  }

  /** Revokes a token; the next request with it is refused. */
  @Delete(':token')
  @ApiOkResponse({ standardSchema: Token })
  async revoke(@Param('token', { schema: TokenReference }) idOrName: string): Promise<Token> {
    return this.tokens.revoke(idOrName);
  }
}
