import { writeDurably } from '../../../kernel/files/durable-file.ts';
import type { VmDefinition } from '../../../vm/definition.ts';
import { NVRAM } from './vm-state.ts';

export interface Image {
  readonly id: string;
  readonly path: string;
  readonly format: 'raw' | 'qcow2';
  readonly excluded: boolean;
  /** Size in the definition; undefined for the variable store. */
  readonly sizeBytes?: number;
}

/** Returns the images of a VM: its disks, and its variable store if it has one. */
export function imagesOf(definition: VmDefinition): Image[] {
  const { firmware, disks } = definition;
  const nvram: Image[] =
    firmware.kind === 'uefi'
      ? [{ id: NVRAM, path: firmware.nvramPath, format: 'qcow2', excluded: false }]
      : [];
  return [...disks, ...nvram];
}

export async function storeDefinition(path: string, definition: VmDefinition): Promise<void> {
  await writeDurably(path, `${JSON.stringify(definition, undefined, 1)}\n`);
}
