import { isFault } from '../../../kernel/fault.ts';
import type { FreezeOptions, FrozenVm } from '../../engine.ts';
import { plannedLayer } from '../state/disk-changes.ts';
import { withSizes } from '../layers/disk-sizes.ts';
import type { EngineParts } from '../vms/engine-parts.ts';
import type { FrozenChain } from '../layers/frozen-chain.ts';
import { openFrozenDisks } from './frozen-vm.ts';
import { freezeRunning, type Instant } from './freeze-running.ts';
import { freezeStopped } from '../layers/freeze-stopped.ts';
import type { HeldClaim } from '../vms/held-claim.ts';
import { ManagedVm } from '../vms/managed-vm.ts';
import { removeLeftovers } from '../layers/layer-files.ts';
import { frozenNvram } from '../layers/nvram-image.ts';
import { assertNoQuestion, assertUnwritten } from '../layers/outside-changes.ts';
import { assertRoom } from '../layers/overlay-files.ts';
import { OverlayWatch } from './overlay-watch.ts';
import { settle } from '../merge/settle.ts';
import type { VmPaths } from '../state/vm-paths.ts';

/** How many layer numbers to try if files of others have their names. */
const LAYERS_TRIED = 16;

/** Cancelling the job must not cut off giving a frozen state back. */
const DISPOSE_MS_MAX = 6 * 60 * 60 * 1000;

interface Freezing {
  readonly parts: EngineParts;
  readonly paths: VmPaths;
  readonly options: FreezeOptions;
  /** Lives as long as the frozen state is in use. */
  readonly claim: HeldClaim;
  /** Called when the frozen state is no longer in use. */
  readonly done: () => Promise<void>;
}

/** Freezes a VM and opens what was frozen. Calls `done` even if it fails. */
export async function freezeVm(
  freezing: Freezing,
  vmId: string,
  signal: AbortSignal,
): Promise<FrozenVm> {
  const { parts, paths, options, claim } = freezing;
  try {
    await using vm = await ManagedVm.open(paths, vmId, parts.limits.actionWaitMs, signal);
    claim.assertNewest(vm);
    const { session, questions } = await settle(parts, vm, { mayMerge: true }, signal);
    assertNoQuestion(vm, questions);
    if (session !== undefined) {
      await assertRoom(parts, vm);
    }
    const watch = new OverlayWatch(parts, vm.definition);
    try {
      const instant =
        session === undefined
          ? await stoppedInstant(freezing, vm, watch, signal)
          : await freezeRunning(
              parts,
              vm,
              {
                qmp: session.qmp,
                watch,
                options: {
                  jobToken: options.jobToken,
                  crashConsistent: options.crashConsistent === true,
                },
              },
              signal,
            );
      return await frozenVm(freezing, vm, { instant, watch }, signal);
    } catch (error) {
      watch.stop();
      throw error;
    }
  } catch (error) {
    await freezing.done();
    throw error;
  }
}

async function stoppedInstant(
  { parts, options }: Freezing,
  vm: ManagedVm,
  watch: OverlayWatch,
  signal: AbortSignal,
): Promise<Instant | undefined> {
  await freezeStopped(parts, vm, options.jobToken, signal);
  // A start puts a layer on each disk, with the first number that no file has.
  await watch.expect(
    vm.tracked.flatMap((disk) =>
      Array.from({ length: LAYERS_TRIED }, (_, ahead) => {
        return { disk, layer: plannedLayer(disk, disk.nextLayer + ahead) };
      }),
    ),
  );
  await removeLeftovers(vm);
  return undefined;
}

async function frozenVm(
  freezing: Freezing,
  vm: ManagedVm,
  { instant, watch }: { readonly instant: Instant | undefined; readonly watch: OverlayWatch },
  signal: AbortSignal,
): Promise<FrozenVm> {
  const { parts, options } = freezing;
  const opened = await openFrozenDisks(vm, options.neededGenerations ?? {}, signal);
  await parts.step('changes-logged');
  try {
    const nvram = await frozenNvram(vm, signal);
    const sizes = opened.disks.map(({ diskId, sizeBytes }) => [diskId, sizeBytes] as const);
    const definition = await withSizes(vm, new Map(sizes));
    const warnings = [...vm.state.warnings];
    if (warnings.length > 0) {
      await vm.save({ warnings: [] });
    }
    const giveUp = once(async () => {
      watch.revoke();
      await Promise.all(opened.chains.map(async (chain) => chain.close()));
      await freezing.claim.release();
    });
    parts.frozen.add(giveUp);
    const frozenDisks = vm.tracked;
    return {
      takenAtMs: instant?.takenAtMs ?? parts.clock.nowMs(),
      ...consistencyOf(instant),
      transactionMs: instant?.transactionMs ?? 0,
      definition,
      ...(nvram === undefined ? {} : { nvram }),
      disks: opened.disks.map((disk) => ({ ...disk, reader: watch.guard(disk.reader) })),
      warnings,
      assertUnchanged: async () => assertUnwritten(vm, frozenDisks),
      [Symbol.asyncDispose]: once(async () => {
        watch.stop();
        parts.frozen.delete(giveUp);
        await dispose(freezing, vm.definition.id, opened.chains);
      }),
    };
  } catch (error) {
    await Promise.all(opened.chains.map(async (chain) => chain.close()));
    throw error;
  }
}

type HowFrozen = Pick<FrozenVm, 'consistency' | 'consistencyReason' | 'guestFrozenMs'>;

function consistencyOf(instant: Instant | undefined): HowFrozen {
  if (instant === undefined) {
    return {
      consistency: 'powered-off',
      consistencyReason: 'the VM is powered off',
      guestFrozenMs: 0,
    };
  }
  const { isConsistent, frozenMs, reason } = instant.guest;
  return {
    consistency: isConsistent ? 'filesystem' : 'crash',
    ...(reason === undefined ? {} : { consistencyReason: reason }),
    guestFrozenMs: frozenMs,
  };
}

/**
 * Gives the frozen state back: nobody reads it any more, so its layers are merged. If merging
 * fails, the next action on the VM tries again.
 */
async function dispose(
  { parts, paths, claim, done }: Freezing,
  vmId: string,
  chains: readonly FrozenChain[],
): Promise<void> {
  const signal = AbortSignal.any([AbortSignal.timeout(DISPOSE_MS_MAX), parts.mergeSignal(vmId)]);
  try {
    await Promise.all(chains.map(async (chain) => chain.close()));
    await using vm = await ManagedVm.open(paths, vmId, parts.limits.actionWaitMs, signal);
    claim.assertNewest(vm);
    await vm.dropHolder();
    await settle(parts, vm, { mayMerge: true }, signal);
  } catch (error) {
    if (!isFault(error) && !signal.aborted) {
      throw error;
    }
    parts.log.warn('engine.merge-postponed', { vmId, error });
  } finally {
    await done();
  }
}

function once(run: () => Promise<void>): () => Promise<void> {
  let running: Promise<void> | undefined;
  return async () => (running ??= run());
}
