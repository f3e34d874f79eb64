import { HOST_LATE_MS, type StoredInventory, type StoredVm } from '../catalog/inventory-rows.ts';
import type { VmSummary } from '../engines/engine.ts';

/** A VM at which nothing changed is written again after this time. */
const SEEN_MS = 300_000;

type ListedVm = Pick<VmSummary, 'id' | 'name' | 'status' | 'definition'>;

/** What a host saw of its engine. */
export interface Look {
  readonly hostId: string;
  /** Kind of the engine. */
  readonly engine: string;
  readonly nowMs: number;
  readonly vms: readonly ListedVm[];
  /** VMs that were not listed and that the engine, asked for each, does not have. */
  readonly missing: ReadonlySet<string>;
}

/**
 * `elsewhere`: another host that goes on looking at its VMs has it too, and keeps it in the list.
 */
export type VmEventKind = 'found' | 'renamed' | 'moved' | 'returned' | 'gone' | 'elsewhere';

export interface VmEvent {
  readonly kind: VmEventKind;
  readonly vm: StoredVm;
}

export interface LookPlan {
  /** VMs to write. */
  readonly rows: readonly StoredVm[];
  readonly events: readonly VmEvent[];
}

/**
 * Compares what a host saw with what is known. A VM is the same by its id, also when it comes back
 * or another host has it now.
 */
export function planLook(look: Look, { hosts, vms }: StoredInventory): LookPlan {
  const known = new Map(vms.map((vm) => [vm.id, vm]));
  const others = new Set(
    hosts.filter(({ lastSeenMs }) => look.nowMs - lastSeenMs <= HOST_LATE_MS).map(({ id }) => id),
  );
  others.delete(look.hostId);
  const rows: StoredVm[] = [];
  const events: VmEvent[] = [];
  for (const listed of look.vms) {
    const old = known.get(listed.id);
    if (old?.goneAtMs === null && others.has(old.hostId)) {
      events.push({ kind: 'elsewhere', vm: old });
    } else {
      const vm = seen(look, listed, old);
      const kinds = old === undefined ? (['found'] as const) : changes(old, vm);
      events.push(...kinds.map((kind) => ({ kind, vm })));
      if (kinds.length > 0 || old?.status !== vm.status || isLongAgo(old, vm)) {
        rows.push(vm);
      }
    }
  }
  const gone = vms
    .filter(({ id, hostId, goneAtMs }) => {
      return hostId === look.hostId && goneAtMs === null && look.missing.has(id);
    })
    .map((vm) => ({ ...vm, goneAtMs: look.nowMs }));
  return {
    rows: [...rows, ...gone],
    events: [...events, ...gone.map((vm) => ({ kind: 'gone', vm }) as const)],
  };
}

function seen({ hostId, engine, nowMs }: Look, listed: ListedVm, old?: StoredVm): StoredVm {
  const { id, name, status, definition } = listed;
  return {
    id,
    hostId,
    engine,
    // Without a definition the name is not known.
    name: definition === undefined ? (old?.name ?? name) : name,
    status,
    tags: old?.tags ?? [],
    firstSeenMs: old?.firstSeenMs ?? nowMs,
    lastSeenMs: nowMs,
    goneAtMs: null,
  };
}

function changes(old: StoredVm, vm: StoredVm): VmEventKind[] {
  return [
    ...(old.goneAtMs === null ? [] : (['returned'] as const)),
    ...(old.hostId === vm.hostId ? [] : (['moved'] as const)),
    ...(old.name === vm.name ? [] : (['renamed'] as const)),
  ];
}

function isLongAgo(old: StoredVm, vm: StoredVm): boolean {
  // A clock that was set back writes too.
  return Math.abs(vm.lastSeenMs - old.lastSeenMs) >= SEEN_MS;
}
