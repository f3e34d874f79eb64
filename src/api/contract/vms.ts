import { z } from 'zod';
import { FirmwareDefinition, VmDefinition, VmName } from '../../vm/definition.ts';
import { VM_TAGS_MAX, VmTag } from '../../vm/tag.ts';
import { HostPath, TimeMs } from './references.ts';

const { machine, cpuModel, cpus, memoryMib, guestAgent } = VmDefinition.shape;

/** A disk as a person describes it; the service makes or measures what is missing. */
const NewDisk = z.strictObject({
  id: z.uuid().optional(),
  name: VmName,
  path: HostPath,
  format: z.enum(['raw', 'qcow2']),
  /** If given, it must equal the image's size. */
  sizeBytes: z.int().positive().optional(),
  bus: z.enum(['virtio-blk']).default('virtio-blk'),
  excluded: z.boolean().default(false),
});

const NewNic = z.strictObject({
  mac: z
    .string()
    .regex(/^([0-9a-f]{2}:){5}[0-9a-f]{2}$/, 'like 52:54:00:12:34:56')
    .optional(),
  model: z.enum(['virtio-net-pci', 'e1000']).default('virtio-net-pci'),
  network: z.enum(['none', 'user', 'user-isolated']).default('user'),
});

/** POST /api/v1/vms. A whole VmDefinition fits too, so a restored one can be added unchanged. */
export const AddVm = z
  .strictObject({
    version: z.literal(1).default(1),
    id: z.uuid().optional(),
    name: VmName,
    machine,
    cpuModel,
    cpus,
    memoryMib,
    firmware: FirmwareDefinition.default({ kind: 'bios' }),
    disks: z.array(NewDisk).min(1).max(24),
    nics: z.array(NewNic).max(8).default([]),
    guestAgent,
  })
  .meta({ id: 'AddVm' });
export type AddVm = z.infer<typeof AddVm>;
export type AddVmInput = z.input<typeof AddVm>;

export const VmStatus = z.enum([
  'running',
  'starting',
  'stopped',
  'paused',
  'io-error',
  'not-ours',
  'damaged',
  'unknown',
]);

const UnmergedDisk = z
  .object({
    name: z.string(),
    /** The image that the definition names. */
    path: z.string(),
    /** All files of the disk, lowest first. */
    files: z.array(z.string()),
    /** Whether they are being merged into one file now. */
    isMerging: z.boolean(),
    why: z.string(),
    /** Command that copies the whole disk to the file COPY.qcow2. */
    copyCommand: z.string(),
  })
  .meta({ id: 'UnmergedDisk' });

export const VmHost = z
  .object({
    id: z.uuid(),
    /** With the beginning of its id if several hosts have one name. */
    name: z.string(),
    address: z.string().optional(),
    /** Whether it is the host of this service: only its VMs can be started or backed up here. */
    isThis: z.boolean(),
    lastSeenMs: TimeMs,
    /** Whether nobody has heard of it for two minutes. */
    isLate: z.boolean(),
  })
  .meta({ id: 'VmHost' });

export const Vm = z
  .object({
    id: z.uuid(),
    name: z.string(),
    status: VmStatus,
    /** Missing if it cannot be read, and of a VM that is not on this host. */
    definition: VmDefinition.optional(),
    /** What an operator should know; empty if all is well. */
    warnings: z.array(z.string()),
    /** Disks of a powered-off VM whose image is not the whole disk yet; empty if all are. */
    unmerged: z.array(UnmergedDisk),
    /**
     * Names of the policies that protect it; empty: nothing takes its points by itself. Only in
     * lists, and missing there while the database is away.
     */
    policies: z.array(z.string()).optional(),
    /** Missing while the database is away, as is what follows. */
    host: VmHost.optional(),
    tags: z.array(z.string()).optional(),
    firstSeenMs: TimeMs.optional(),
    /** When its host last said that it is there, to five minutes. */
    lastSeenMs: TimeMs.optional(),
    /** Since when its host no longer has it; missing while it does. */
    goneAtMs: TimeMs.optional(),
  })
  .meta({ id: 'Vm' });
export type Vm = z.infer<typeof Vm>;

/** GET /api/v1/vms */
export const VmQuery = z
  .strictObject({
    /** Only VMs that no policy protects. */
    unprotected: z.enum(['true', 'false']).default('false'),
    /** Also the VMs that their hosts no longer have. */
    gone: z.enum(['true', 'false']).default('false'),
  })
  .meta({ id: 'VmQuery' });
export type VmQuery = z.infer<typeof VmQuery>;

/** 200 of GET /api/v1/vms */
export const VmList = z.object({ vms: z.array(Vm) }).meta({ id: 'VmList' });
export type VmList = z.infer<typeof VmList>;

const Tags = z.array(VmTag).max(VM_TAGS_MAX).default([]);

/** POST /api/v1/vms/:vm/tags: takes some tags from a VM, and gives it others. */
export const ChangeTags = z.strictObject({ add: Tags, remove: Tags }).meta({ id: 'ChangeTags' });
export type ChangeTags = z.infer<typeof ChangeTags>;

/** POST /api/v1/vms/:vm/stop */
export const StopVm = z
  .strictObject({
    force: z.boolean().default(false),
    /** Answers once the image of each disk is the whole disk, or cannot become it now. */
    wait: z.boolean().default(false),
  })
  .meta({ id: 'StopVm' });
export type StopVm = z.infer<typeof StopVm>;

/**
 * POST /api/v1/vms/:vm/accept: decides what disks are whose image was changed under their overlays.
 */
export const AcceptDisks = z
  .strictObject({
    /**
     * `image` keeps the image as it is and sets overlays aside; `chain` keeps the image with its
     * overlays.
     */
    keep: z.enum(['image', 'chain']).optional(),
    /** Only returns what there is to decide. */
    dryRun: z.boolean().default(false),
  })
  .refine(({ keep, dryRun }) => keep !== undefined || dryRun, 'say what to keep, or dryRun')
  .meta({ id: 'AcceptDisks' });
export type AcceptDisks = z.infer<typeof AcceptDisks>;

/** 200 of POST /api/v1/vms/:vm/accept; empty if there was nothing to decide. */
export const AcceptedDisks = z
  .object({
    dryRun: z.boolean(),
    disks: z.array(
      z.object({
        diskId: z.string(),
        name: z.string(),
        imagePath: z.string(),
        signs: z.array(z.string()),
        overlays: z.array(
          z.object({ path: z.string(), bytes: z.number(), setAsideAs: z.string() }),
        ),
      }),
    ),
  })
  .meta({ id: 'AcceptedDisks' });
export type AcceptedDisks = z.infer<typeof AcceptedDisks>;

/** DELETE /api/v1/vms/:vm?confirm=NAME: the name is required, because the disks go with the VM. */
export const DestroyVm = z.strictObject({ confirm: VmName }).meta({ id: 'DestroyVm' });
export type DestroyVm = z.infer<typeof DestroyVm>;

/** 200 of POST /api/v1/vms/:vm/release: the plain VM, which starts without Hyperkeep. */
export const VmReleased = z.object({ definition: VmDefinition }).meta({ id: 'VmReleased' });
export type VmReleased = z.infer<typeof VmReleased>;
