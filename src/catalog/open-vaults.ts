import { abortable } from '../kernel/waiting/abortable.ts';
import { Idleness } from '../kernel/memory/idleness.ts';
import type { Log } from '../kernel/log.ts';
import type { Vault } from '../vault/vault.ts';
import { closeAll, type OpenVault } from './stored-vaults.ts';

/**
 * A vault that several callers use. It stays open until all have disposed of it, and a while
 * longer.
 */
export interface HeldVault extends Disposable {
  readonly vault: Vault;
}

interface Entry {
  readonly opening: Promise<OpenVault>;
  readonly holders: Idleness;
}

/** The vaults that are open for all callers, each until nobody has used it for a while. */
export class OpenVaults {
  /** Entries for new callers. */
  private readonly current = new Map<string, Entry>();
  /** These entries, and those that were given up and are still used. */
  private readonly open = new Set<Entry>();
  private readonly closing = new Set<Promise<void>>();

  /** @param openVault called if the vault is not open */
  constructor(
    private readonly openVault: (vaultId: string) => Promise<OpenVault>,
    private readonly unusedMs: number,
    private readonly log: Log,
  ) {}

  /** Opens the vault again if it turned out to differ from what its store holds now. */
  async hold(vaultId: string, signal: AbortSignal): Promise<HeldVault> {
    const entry = this.current.get(vaultId) ?? this.begin(vaultId);
    const holder = entry.holders.enter();
    try {
      const { vault } = await abortable(entry.opening, signal);
      if (!vault.isOutdated) {
        return Object.assign(holder, { vault });
      }
    } catch (error) {
      holder[Symbol.dispose]();
      throw error;
    }
    // A restore that began before reads from it to its end.
    this.giveUp(vaultId, entry);
    holder[Symbol.dispose]();
    return this.hold(vaultId, signal);
  }

  /** Takes over a vault that was opened elsewhere. */
  adopt(vaultId: string, open: OpenVault): void {
    const entry = this.add(vaultId, Promise.resolve(open));
    entry.holders.enter()[Symbol.dispose]();
  }

  /** Ends the idle threads of all vaults. */
  async rest(): Promise<void> {
    for (const { opening } of this.open) {
      const open = await opening.catch(() => undefined);
      await open?.vault.rest();
    }
  }

  /** Closes a vault; whoever is using it fails. */
  async close(vaultId: string): Promise<void> {
    const entry = this.current.get(vaultId);
    if (entry !== undefined) {
      await this.end(vaultId, entry);
    }
  }

  /** Closes all vaults; whoever is using one fails. */
  async closeAll(): Promise<void> {
    this.current.clear();
    await Promise.allSettled([...this.open].map(async (entry) => this.end('', entry)));
    await Promise.allSettled(this.closing);
  }

  private begin(vaultId: string): Entry {
    const entry = this.add(vaultId, this.openVault(vaultId));
    // Rejects everyone who is waiting; the next call opens it again.
    entry.opening.catch(() => {
      this.giveUp(vaultId, entry);
    });
    return entry;
  }

  private add(vaultId: string, opening: Promise<OpenVault>): Entry {
    const before = this.current.get(vaultId);
    const holders = new Idleness(this.unusedMs, () => {
      this.end(vaultId, entry).catch((error: unknown) => {
        this.log.warn('vault.not-closed', { vaultId, error });
      });
    });
    const entry: Entry = { opening, holders };
    this.current.set(vaultId, entry);
    this.open.add(entry);
    before?.holders.hurry();
    return entry;
  }

  private giveUp(vaultId: string, entry: Entry): void {
    if (this.current.get(vaultId) === entry) {
      this.current.delete(vaultId);
    }
    entry.holders.hurry();
  }

  private async end(vaultId: string, entry: Entry): Promise<void> {
    if (this.current.get(vaultId) === entry) {
      this.current.delete(vaultId);
    }
    entry.holders.stop();
    if (!this.open.delete(entry)) {
      return;
    }
    const closed = entry.opening.then(closeAll, () => undefined);
    this.closing.add(closed);
    try {
      await closed;
    } finally {
      this.closing.delete(closed);
    }
  }
}
