import {
  HOST_LATE_MS,
  type InventoryRows,
  type StoredHost,
  type StoredInventory,
  type StoredVm,
} from '../catalog/inventory-rows.ts';
import type { Engine, VmSummary } from '../engines/engine.ts';
import type { Clock } from '../kernel/clock.ts';
import { Fault, isFault } from '../kernel/fault.ts';
import type { HostIdentity } from '../kernel/host-identity.ts';
import type { Log } from '../kernel/log.ts';
import { findNamed } from '../kernel/text/by-prefix.ts';
import { Semaphore } from '../kernel/waiting/semaphore.ts';
import { VM_TAGS_MAX } from '../vm/tag.ts';
import { planLook, type VmEvent, type VmEventKind } from './look.ts';

const LOG_EVENTS: Readonly<Record<Exclude<VmEventKind, 'elsewhere'>, string>> = {
  found: 'vm.found',
  renamed: 'vm.renamed',
  moved: 'vm.moved',
  returned: 'vm.returned',
  gone: 'vm.gone',
};

/** Characters of an id that tell hosts apart. */
const SHORT_ID = 8;

/** The host of a VM, for people and for whoever sends jobs there. */
export interface VmHost {
  readonly id: string;
  /** With the beginning of its id if several hosts have one name. */
  readonly name: string;
  readonly address?: string;
  /** Of Hyperkeep, when it was last seen. */
  readonly version: string;
  /** Whether it is this one: jobs on its VMs run here and nowhere else. */
  readonly isThis: boolean;
  readonly lastSeenMs: number;
  /** Whether nobody has heard of it for a while: then its VMs are as they were last seen. */
  readonly isLate: boolean;
}

/** A VM of any host that shares the database. */
export interface KnownVm {
  readonly id: string;
  readonly name: string;
  readonly status: string;
  readonly host: VmHost;
  /** In their order. */
  readonly tags: readonly string[];
  readonly firstSeenMs: number;
  readonly lastSeenMs: number;
  /** Since when its host no longer has it; undefined while it does. */
  readonly goneAtMs?: number;
  /** What the engine says now; only of VMs of this host. */
  readonly summary?: VmSummary;
}

/** Tags to give a VM and to take from it. */
export interface TagChange {
  readonly add: readonly string[];
  readonly remove: readonly string[];
}

export interface KnownVmsParts {
  readonly engine: Pick<Engine, 'kind' | 'ids' | 'list' | 'get'>;
  readonly rows: InventoryRows;
  readonly host: HostIdentity;
  readonly clock: Clock;
  readonly log: Log;
}

/** The memory of the inventory: the VMs of all hosts, by their ids, with their tags. */
export class KnownVms {
  private readonly parts: KnownVmsParts;
  /** A later look must not be overwritten by an earlier one. */
  private readonly one = new Semaphore(1);
  private elsewhere: ReadonlySet<string> = new Set();

  constructor(parts: KnownVmsParts) {
    this.parts = parts;
  }

  /**
   * Asks the engine for the VMs of this host and writes down what it says. If it cannot be asked,
   * nothing is written: no VM is gone because nobody answered.
   * @returns what the engine said
   */
  async look(signal: AbortSignal): Promise<VmSummary[]> {
    return this.one.run(async () => this.lookOnce(signal), signal);
  }

  /** Looks, and lists by name the VMs of all hosts that are not gone. */
  async list(signal: AbortSignal): Promise<KnownVm[]> {
    return present(await this.listAll(signal));
  }

  /**
   * Lists by name the VMs of all hosts that are not gone, for whoever chooses among them. It looks
   * only if the engine has other VMs than the ones remembered: names and statuses may be half a
   * minute old, no VM is left out. Those of an engine that cannot be asked are as they were.
   */
  async remembered(signal: AbortSignal): Promise<KnownVm[]> {
    const vms = present(await this.read([]));
    try {
      return this.areAll(vms, await this.parts.engine.ids(signal)) ? vms : await this.list(signal);
    } catch (error) {
      signal.throwIfAborted();
      this.parts.log.warn('inventory.remembered', { error });
      return vms;
    }
  }

  /** A VM of this engine that another host keeps in the list is no other VM. */
  private areAll(vms: readonly KnownVm[], ids: readonly string[]): boolean {
    const remembered = new Set(vms.map(({ id }) => id));
    const there = new Set(ids);
    return (
      ids.every((id) => remembered.has(id)) &&
      vms.every(({ id, host }) => !host.isThis || there.has(id))
    );
  }

  /** Looks, and lists also the VMs that are gone. */
  async listAll(signal: AbortSignal): Promise<KnownVm[]> {
    return this.read(await this.look(signal));
  }

  /** Lists what is remembered of the VMs of all hosts, also of those that are gone. */
  async everything(): Promise<KnownVm[]> {
    return this.read([]);
  }

  private async read(looked: readonly VmSummary[]): Promise<KnownVm[]> {
    const summaries = new Map(looked.map((vm) => [vm.id, vm]));
    const { hosts, vms } = await this.parts.rows.list();
    const hostOf = new Map(this.viewsOfHosts(hosts).map((host) => [host.id, host]));
    return vms.flatMap((vm) => {
      const host = hostOf.get(vm.hostId);
      return host === undefined ? [] : [viewOfVm(vm, host, summaries.get(vm.id))];
    });
  }

  /**
   * Looks, and returns the VM with this name or id, or the only one whose id begins so.
   * @throws Fault `engine.vm-not-found`, `vm.ambiguous`, `request.invalid` if several ids begin so
   */
  async find(idOrName: string, signal: AbortSignal): Promise<KnownVm> {
    return find(await this.list(signal), idOrName);
  }

  /**
   * Returns a VM that another host has. Undefined also while the database is away, or
   * if several VMs are meant: then the VMs of this host are all that is known.
   */
  async onOtherHost(idOrName: string, signal: AbortSignal): Promise<KnownVm | undefined> {
    try {
      const found = find(await this.remembered(signal), idOrName);
      return found.host.isThis ? undefined : found;
    } catch (error) {
      if (isFault(error)) {
        return undefined;
      }
      throw error;
    }
  }

  /** Lists the hosts that use the database, or did, by name. */
  async hosts(): Promise<VmHost[]> {
    return this.viewsOfHosts(await this.parts.rows.hosts());
  }

  /** Returns the names of all hosts by their ids. */
  async hostNames(): Promise<ReadonlyMap<string, string>> {
    return new Map((await this.hosts()).map(({ id, name }) => [id, name]));
  }

  /**
   * Changes the tags of the VM with this name or id, also of one that is gone (by its id) or of
   * another host.
   * @throws Fault `engine.vm-not-found`, `vm.ambiguous`, `request.invalid`
   */
  async tag(idOrName: string, { add, remove }: TagChange, signal: AbortSignal): Promise<KnownVm> {
    const vm = find(await this.listAll(signal), idOrName);
    const tags = await this.parts.rows.changeTags(vm.id, (old) => {
      const removed = new Set(remove);
      const all = new Set([...old.filter((tag) => !removed.has(tag)), ...add]);
      if (all.size > VM_TAGS_MAX) {
        throw new Fault(
          'request.invalid',
          `${vm.name} would have ${String(all.size)} tags; a VM has at most ${String(VM_TAGS_MAX)}. Nothing was changed.`,
        );
      }
      return [...all].sort();
    });
    this.parts.log.info('vm.tagged', { vmId: vm.id, tags: (tags ?? []).join(' ') });
    return { ...vm, tags: tags ?? [] };
  }

  private async lookOnce(signal: AbortSignal): Promise<VmSummary[]> {
    const { engine, rows, host, clock } = this.parts;
    const vms = await engine.list(signal);
    const missing = await this.missing(vms, await rows.list(), signal);
    const nowMs = clock.nowMs();
    const row = {
      id: host.id,
      name: host.name,
      address: host.address ?? null,
      version: host.version,
      lastSeenMs: nowMs,
    };
    let events: readonly VmEvent[] = [];
    await rows.note(row, (known) => {
      const plan = planLook({ hostId: host.id, engine: engine.kind, nowMs, vms, missing }, known);
      events = plan.events;
      return plan.rows;
    });
    this.tell(events);
    return vms;
  }

  /** Absence from one list is not believed: the engine is asked for each VM. */
  private async missing(
    listed: readonly VmSummary[],
    { vms }: StoredInventory,
    signal: AbortSignal,
  ): Promise<Set<string>> {
    const { engine, host, log } = this.parts;
    const there = new Set(listed.map(({ id }) => id));
    const missing = new Set<string>();
    const notListed = vms.filter(({ id, hostId, goneAtMs }) => {
      return hostId === host.id && goneAtMs === null && !there.has(id);
    });
    for (const { id } of notListed) {
      try {
        await engine.get(id, signal);
      } catch (error) {
        if (isFault(error, 'engine.vm-not-found')) {
          missing.add(id);
        } else {
          signal.throwIfAborted();
          log.warn('vm.absence-unclear', { vmId: id, error });
        }
      }
    }
    return missing;
  }

  private tell(events: readonly VmEvent[]): void {
    const elsewhere = new Set<string>();
    for (const { kind, vm } of events) {
      const fields = { vmId: vm.id, vmName: vm.name, hostId: vm.hostId };
      if (kind !== 'elsewhere') {
        this.parts.log.info(LOG_EVENTS[kind], fields);
        continue;
      }
      elsewhere.add(vm.id);
      if (!this.elsewhere.has(vm.id)) {
        this.parts.log.warn('vm.on-two-hosts', fields);
      }
    }
    this.elsewhere = elsewhere;
  }

  private viewsOfHosts(hosts: readonly StoredHost[]): VmHost[] {
    const nowMs = this.parts.clock.nowMs();
    return hosts.map(({ id, name: own, address, version, lastSeenMs }) => {
      const isOnly = hosts.every((host) => host.id === id || host.name !== own);
      const isThis = id === this.parts.host.id;
      return {
        id,
        name: isOnly ? own : `${own} (${id.slice(0, SHORT_ID)})`,
        ...(address === null ? {} : { address }),
        version,
        isThis,
        lastSeenMs,
        isLate: !isThis && nowMs - lastSeenMs > HOST_LATE_MS,
      };
    });
  }
}

function present(vms: readonly KnownVm[]): KnownVm[] {
  return vms.filter(({ goneAtMs }) => goneAtMs === undefined);
}

function viewOfVm(vm: StoredVm, host: VmHost, summary: VmSummary | undefined): KnownVm {
  const { id, name, status, tags, firstSeenMs, lastSeenMs, goneAtMs } = vm;
  return {
    ...{ id, name, status, host, tags, firstSeenMs, lastSeenMs },
    ...(goneAtMs === null ? {} : { goneAtMs }),
    ...(summary === undefined || !host.isThis ? {} : { summary }),
  };
}

function find(vms: readonly KnownVm[], idOrName: string): KnownVm {
  const there = present(vms);
  const named = there.filter(({ name }) => name === idOrName);
  if (named.length > 1) {
    const where = named.map(({ id, host }) => `${id} on ${host.name}`).join(', ');
    throw new Fault(
      'vm.ambiguous',
      `Several VMs are called ${idOrName}: ${where}. Name one by its id.`,
      { vms: named.length },
    );
  }
  const found = findNamed(there, idOrName) ?? vms.find(({ id }) => id === idOrName);
  if (found === undefined) {
    throw new Fault(
      'engine.vm-not-found',
      `There is no VM ${idOrName}; vm list shows those there are.`,
      { vm: idOrName },
    );
  }
  return found;
}
