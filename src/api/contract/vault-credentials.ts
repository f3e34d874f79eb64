import { z } from 'zod';

/** Roles of docs/roles.md; `any` is for those without credentials of their own. */
export const CredentialsRole = z.enum([
  'any',
  'writer',
  'restorer',
  'collector',
  'keeper',
  'administrator',
]);
export type CredentialsRole = z.infer<typeof CredentialsRole>;

/** A profile in the AWS settings of the service's user, which may assume a role; or keys. */
export const StoreCredentials = z.union([
  z.strictObject({ profile: z.string().regex(/^[\w.@/+-]{1,128}$/, 'the name of a profile') }),
  z.strictObject({
    accessKeyId: z.string().regex(/^[\x21-\x7e]{1,128}$/, 'the id of an access key'),
    secretAccessKey: z.string().regex(/^[\x21-\x7e]{1,1024}$/, 'a secret access key'),
    sessionToken: z
      .string()
      .regex(/^[\x21-\x7e]{1,8192}$/, 'a session token')
      .exactOptional(),
  }),
]);
export type StoreCredentials = z.infer<typeof StoreCredentials>;

/** POST /api/v1/vaults/:vault/credentials. They are kept only if the store answers to them. */
export const SetCredentials = z
  .strictObject({ role: CredentialsRole.default('any'), credentials: StoreCredentials })
  .meta({ id: 'SetCredentials' });
export type SetCredentials = z.infer<typeof SetCredentials>;

/** What the routes of credentials answer. Secrets are never shown. */
export const CredentialsList = z
  .object({
    credentials: z.array(
      z.object({
        role: CredentialsRole,
        accessKeyId: z.string().optional(),
        profile: z.string().optional(),
      }),
    ),
  })
  .meta({ id: 'CredentialsList' });
export type CredentialsList = z.infer<typeof CredentialsList>;
