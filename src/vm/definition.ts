import { z } from 'zod';

/** Names from people: shown, used in file names after validation, never in object keys. */
export const VmName = z
  .string()
  .regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/, 'letters, digits, dot, dash, underscore; at most 63')
  .refine((name) => !name.includes('..'), 'must not contain ..');

const MacAddress = z.string().regex(/^([0-9a-f]{2}:){5}[0-9a-f]{2}$/, 'like 52:54:00:12:34:56');
const AbsolutePath = z
  .string()
  .max(1024)
  .regex(/^\/[^\0\n,]*$/, 'an absolute path without commas or line breaks')
  .refine((path) => !path.split('/').includes('..'), 'must not contain ..');

/**
 * A disk of a VM, as it was added or restored. The engine keeps its layers; `path` is the base
 * image.
 */
export const DiskDefinition = z.strictObject({
  /** UUID made by Hyperkeep; the same through all recovery points. */
  id: z.uuid(),
  /** Name inside the VM, also the device id: `system`, `data`. */
  name: VmName,
  path: AbsolutePath,
  format: z.enum(['raw', 'qcow2']),
  sizeBytes: z.int().positive(),
  bus: z.enum(['virtio-blk']).default('virtio-blk'),
  /** An excluded disk is part of the VM but not of its recovery points. */
  excluded: z.boolean().default(false),
});
export type DiskDefinition = z.infer<typeof DiskDefinition>;

/** A network card. `none` is a card without a cable; `user` is QEMU's own NAT. */
const NicDefinition = z.strictObject({
  mac: MacAddress,
  model: z.enum(['virtio-net-pci', 'e1000']).default('virtio-net-pci'),
  network: z.enum(['none', 'user', 'user-isolated']).default('user'),
});

/** How the VM starts. `kernel` boots a kernel file directly; files are chosen on the host. */
export const FirmwareDefinition = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('bios') }),
  z.strictObject({
    kind: z.literal('uefi'),
    /** Read-only firmware code, raw. */
    codePath: AbsolutePath,
    /** The VM's own variable store (NVRAM), qcow2, so that it joins the snapshot transaction. */
    nvramPath: AbsolutePath,
  }),
  z.strictObject({
    kind: z.literal('kernel'),
    kernelPath: AbsolutePath,
    initrdPath: AbsolutePath.optional(),
    commandLine: z
      .string()
      .max(1024)
      .regex(/^[^\0\n]*$/),
  }),
]);
export type FirmwareDefinition = z.infer<typeof FirmwareDefinition>;

/**
 * A VM that Hyperkeep runs: everything needed to start it again, and nothing that the host chooses
 * (sockets, accelerator). It travels in recovery points, so it is parsed as hostile input: no raw
 * engine arguments, no relative paths.
 */
export const VmDefinition = z.strictObject({
  version: z.literal(1).default(1),
  /** UUID made by Hyperkeep. */
  id: z.uuid(),
  name: VmName,
  machine: z
    .string()
    .regex(/^pc-(q35|i440fx)-\d+\.\d+$/, 'a versioned machine type such as pc-q35-7.2')
    .default('pc-q35-7.2'),
  /** CPU model; `max` is everything the accelerator offers. */
  cpuModel: z
    .string()
    .regex(/^[A-Za-z0-9._-]{1,64}$/)
    .default('max'),
  cpus: z.int().min(1).max(256).default(1),
  memoryMib: z
    .int()
    .min(64)
    .max(4 * 1024 * 1024)
    .default(1024),
  firmware: FirmwareDefinition.default({ kind: 'bios' }),
  disks: z.array(DiskDefinition).min(1).max(24),
  nics: z.array(NicDefinition).max(8).default([]),
  /** Whether a guest agent is expected; without it points are crash-consistent. */
  guestAgent: z.boolean().default(true),
});
export type VmDefinition = z.infer<typeof VmDefinition>;
