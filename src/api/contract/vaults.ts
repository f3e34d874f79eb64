import { z } from 'zod';
import { LOCK_DAYS_MAX } from '../../vault/format/limits.ts';
import { StoreLocation, TimeMs, VaultId, VaultName } from './references.ts';
import { StoreCredentials } from './vault-credentials.ts';
import { StoreTrial } from './store-trial.ts';

/** POST /api/v1/vaults */
export const CreateVault = z
  .strictObject({
    name: VaultName,
    location: StoreLocation,
    /** URL of an S3 service that is not AWS. */
    endpoint: z.url({ protocol: /^https?$/ }).optional(),
    region: z
      .string()
      .regex(/^[a-z0-9-]{1,64}$/)
      .optional(),
    /** Default: what the AWS settings of the service give. */
    credentials: StoreCredentials.optional(),
    /**
     * Opens the vault's master key. Never stored; the service keeps the master key, wrapped with
     * the host's key. If it is missing when a vault is created, the service generates one and
     * returns it once.
     */
    passphrase: z.string().min(8).max(1024).optional(),
    /** Content of the recovery file, instead of the passphrase; only with `existing`. */
    recoveryFile: z.string().max(16_384).optional(),
    /** True registers an existing vault, whose recovery points then appear. Default false. */
    existing: z.boolean().default(false),
    /**
     * Accepts a store that other writers may cache; this host is its only writer. Default false.
     */
    singleWriter: z.boolean().default(false),
    /** Locks every object of a new vault when it is put; the store must be able to. */
    lock: z
      .strictObject({
        mode: z.enum(['governance', 'compliance']),
        days: z.int().min(1).max(LOCK_DAYS_MAX).default(30),
      })
      .optional(),
    /** Makes a separate retention key for a new vault: only this passphrase can give points up. */
    retentionPassphrase: z.string().min(8).max(1024).optional(),
  })
  .meta({ id: 'CreateVault' });
export type CreateVault = z.infer<typeof CreateVault>;
export type CreateVaultInput = z.input<typeof CreateVault>;

export const VaultSummary = z
  .object({
    id: VaultId,
    name: z.string(),
    location: z.string(),
    createdAtMs: TimeMs,
    /** How many recovery points of the vault the catalog knows. */
    points: z.int().nonnegative(),
    /**
     * When the catalog was last brought up to date with the vault; undefined if not since
     * registration.
     */
    syncedAtMs: TimeMs.optional(),
    /** Why the vault cannot be used now, for people. Undefined if all is well. */
    problem: z.string().optional(),
  })
  .meta({ id: 'VaultSummary' });
export type VaultSummary = z.infer<typeof VaultSummary>;

/** 201 of POST /api/v1/vaults. The secrets are shown once and stored nowhere. */
export const VaultCreated = z
  .object({
    vault: VaultSummary,
    /** Only if the service generated it. */
    passphrase: z.string().optional(),
    /**
     * Content of the recovery file, which opens the vault without the passphrase. Only for a new
     * vault.
     */
    recoveryFile: z.string().optional(),
    /** What the store was seen to do when a new vault was made; kept in the vault. */
    trial: StoreTrial.optional(),
  })
  .meta({ id: 'VaultCreated' });
export type VaultCreated = z.infer<typeof VaultCreated>;

/** 200 of GET /api/v1/vaults */
export const VaultList = z.object({ vaults: z.array(VaultSummary) }).meta({ id: 'VaultList' });
export type VaultList = z.infer<typeof VaultList>;
