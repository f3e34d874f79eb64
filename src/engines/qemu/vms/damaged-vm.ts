import { isFault } from '../../../kernel/fault.ts';
import type { VmId, VmSummary } from '../../engine.ts';
import { loadDefinition } from './managed-vm.ts';
import type { VmPaths } from '../state/vm-paths.ts';

/**
 * Returns what can be shown of a VM that cannot be read in part, so that it hides neither itself
 * nor others: `damaged` if one of its own files is, else `unknown`.
 *
 * @param error why; thrown again if it says that there is no such VM, or is a bug
 */
export async function damagedVm(paths: VmPaths, vm: VmId, error: unknown): Promise<VmSummary> {
  if (!isFault(error) || error.code === 'engine.vm-not-found') {
    throw error;
  }
  const definition = await loadDefinition(paths, vm).catch((cause: unknown) => {
    if (!isFault(cause)) {
      throw cause;
    }
    return undefined;
  });
  return {
    id: vm,
    name: definition?.name ?? vm,
    status: error.code === 'engine.state-invalid' ? 'damaged' : 'unknown',
    ...(definition === undefined ? {} : { definition }),
    warnings: [error.message],
    unmerged: [],
  };
}
