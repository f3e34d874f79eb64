import { z } from 'zod';
import { VmName } from '../../vm/definition.ts';

/** A VM by its id, the beginning of it, or its name. */
export const VmReference = z.union([z.uuid(), VmName]);

/** Name of a registered vault: shown and typed by people, never part of an object key. */
export const VaultName = z
  .string()
  .regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/, 'letters, digits, dot, dash, underscore; at most 63')
  .refine((name) => !name.includes('..'), 'must not contain ..');

/** A vault's own id: 128 random bits in hex. */
export const VaultId = z.string().regex(/^[0-9a-f]{32}$/, 'the id of a vault');

/** A vault by its id, the beginning of it, or its name. */
export const VaultReference = z.union([VaultId, VaultName]);

/** A recovery point's ULID. */
export const PointId = z.string().regex(/^[0-9A-HJKMNP-TV-Z]{26}$/, 'a recovery point id (ULID)');

/** A recovery point by its id, or by a beginning of it that no other id has. */
export const PointReference = z
  .string()
  .toUpperCase()
  .regex(/^[0-9A-HJKMNP-TV-Z]{4,26}$/, 'a recovery point id (ULID) or the beginning of one');

/** The id of a VM, or the beginning of one. */
export const VmIdReference = z
  .string()
  .toLowerCase()
  .regex(/^[0-9a-f-]{4,36}$/, 'the id of a VM or the beginning of one');

/** A path on the server's host, for reading or writing disks. */
export const HostPath = z
  .string()
  .max(1024)
  .regex(/^\/[^\0\n,]*$/, 'an absolute path without commas or line breaks')
  .refine((path) => !path.split('/').includes('..'), 'must not contain ..');

/** Milliseconds since the Unix epoch, UTC. */
export const TimeMs = z.int().nonnegative();

/** A count of bytes. */
export const ByteCount = z.int().nonnegative();

/**
 * Where objects are: `s3://bucket/prefix` or an absolute folder on the server's host. The service
 * runs in another folder than the client, so a relative one would mean something else to it.
 */
export const StoreLocation = z
  .string()
  .max(1024)
  .regex(/^(\/|[A-Za-z][A-Za-z0-9+.-]*:\/\/)[^\0\n]*$/, 'an absolute folder or s3://bucket/prefix');
