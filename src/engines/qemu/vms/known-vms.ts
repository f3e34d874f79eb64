import { isFault } from '../../../kernel/fault.ts';
import type { VmId } from '../../engine.ts';
import type { EngineParts } from './engine-parts.ts';
import { loadDefinition } from './managed-vm.ts';
import { imagesOf } from '../state/vm-images.ts';
import { vmPaths, type VmPaths } from '../state/vm-paths.ts';
import { loadVmState } from '../state/vm-state.ts';

/** What other VMs must not use, of a VM that is known. */
export interface KnownVm {
  readonly id: VmId;
  /** The id, if the definition cannot be read. */
  readonly name: string;
  /** Its images, and the layers on them. */
  readonly files: ReadonlySet<string>;
}

/**
 * Returns what each of `vms` uses. If one of a VM's files is damaged, uses the other: the VM must
 * not block the others.
 */
export async function knownVms(
  { folders, log }: Pick<EngineParts, 'folders' | 'log'>,
  vms: readonly VmId[],
): Promise<KnownVm[]> {
  const known: KnownVm[] = [];
  for (const id of vms) {
    const paths = vmPaths(folders, id);
    const [definition, layers] = await Promise.allSettled([
      loadDefinition(paths, id),
      layerPaths(paths, id),
    ]);
    const failures = [definition, layers].flatMap((read) =>
      read.status === 'rejected' ? [read.reason as unknown] : [],
    );
    const unclear = failures.filter((error) => !isFault(error, 'engine.vm-not-found'));
    for (const error of unclear) {
      log.warn('engine.files-unknown', { vmId: id, error });
    }
    if (failures.length === 2 && unclear.length === 0) {
      // The VM was removed just now.
      continue;
    }
    const described = definition.status === 'fulfilled' ? definition.value : undefined;
    const images = described === undefined ? [] : imagesOf(described).map(({ path }) => path);
    const files = new Set([...images, ...(layers.status === 'fulfilled' ? layers.value : [])]);
    known.push({ id, name: described?.name ?? id, files });
  }
  return known;
}

async function layerPaths({ state: path }: VmPaths, id: VmId): Promise<string[]> {
  const { disks } = await loadVmState(path, id);
  return disks.flatMap(({ layers }) => layers.map((layer) => layer.path));
}
