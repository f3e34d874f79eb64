import { abortable } from '../kernel/waiting/abortable.ts';
import { Idleness } from '../kernel/memory/idleness.ts';
import type { Log } from '../kernel/log.ts';
import type { Vault } from '../vault/vault.ts';
import { closeAll, type OpenVault } from './stored-vaults.ts';
import type { CredentialsFor } from './vault-credentials.ts';

/**
 * A vault that several callers use. It stays open until all have disposed of it, and a while
 * longer.
 */
export interface HeldVault extends Disposable {
  readonly vault: Vault;
}

/** A vault, and whose credentials it is opened with. */
export interface VaultUse {
  readonly vaultId: string;
  readonly used: CredentialsFor;
}

interface Entry {
  readonly use: VaultUse;
  readonly opening: Promise<OpenVault>;
  readonly holders: Idleness;
}

/** The vaults that are open for all callers, each until nobody has used it for a while. */
export class OpenVaults {
  /** Entries for new callers, by `keyOf`. */
  private readonly current = new Map<string, Entry>();
  /** These entries, and those that were given up and are still used. */
  private readonly open = new Set<Entry>();
  private readonly closing = new Set<Promise<void>>();

  /** @param openVault called if the vault is not open */
  constructor(
    private readonly openVault: (use: VaultUse) => Promise<OpenVault>,
    private readonly unusedMs: number,
    private readonly log: Log,
  ) {}

  /** Opens the vault again if it turned out to differ from what its store holds now. */
  async hold(use: VaultUse, signal: AbortSignal): Promise<HeldVault> {
    const entry = this.current.get(keyOf(use)) ?? this.begin(use);
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
    this.giveUp(entry);
    holder[Symbol.dispose]();
    return this.hold(use, signal);
  }

  /** Takes over a vault that was opened elsewhere. */
  adopt(use: VaultUse, open: OpenVault): void {
    const entry = this.add(use, Promise.resolve(open));
    entry.holders.enter()[Symbol.dispose]();
  }

  /** Ends the idle threads of all vaults. */
  async rest(): Promise<void> {
    for (const { opening } of this.open) {
      const open = await opening.catch(() => undefined);
      await open?.vault.rest();
    }
  }

  /** Opens the vault again for new callers; who is using it goes on with what is open. */
  renew(vaultId: string): void {
    for (const entry of this.entriesOf(vaultId)) {
      this.giveUp(entry);
    }
  }

  /** Closes a vault; whoever is using it fails. */
  async close(vaultId: string): Promise<void> {
    await Promise.all(this.entriesOf(vaultId).map(async (entry) => this.end(entry)));
  }

  /** Closes all vaults; whoever is using one fails. */
  async closeAll(): Promise<void> {
    this.current.clear();
    await Promise.allSettled([...this.open].map(async (entry) => this.end(entry)));
    await Promise.allSettled(this.closing);
  }

  private entriesOf(vaultId: string): Entry[] {
    return [...this.current.values()].filter(({ use }) => use.vaultId === vaultId);
  }

  private begin(use: VaultUse): Entry {
    const entry = this.add(use, this.openVault(use));
    // Rejects everyone who is waiting; the next call opens it again.
    entry.opening.catch(() => {
      this.giveUp(entry);
    });
    return entry;
  }

  private add(use: VaultUse, opening: Promise<OpenVault>): Entry {
    const before = this.current.get(keyOf(use));
    const holders = new Idleness(this.unusedMs, () => {
      this.end(entry).catch((error: unknown) => {
        this.log.warn('vault.not-closed', { vaultId: use.vaultId, error });
      });
    });
    const entry: Entry = { use, opening, holders };
    this.current.set(keyOf(use), entry);
    this.open.add(entry);
    before?.holders.hurry();
    return entry;
  }

  private giveUp(entry: Entry): void {
    this.forget(entry);
    entry.holders.hurry();
  }

  private forget(entry: Entry): void {
    if (this.current.get(keyOf(entry.use)) === entry) {
      this.current.delete(keyOf(entry.use));
    }
  }

  private async end(entry: Entry): Promise<void> {
    this.forget(entry);
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

function keyOf({ vaultId, used }: VaultUse): string {
  return `${vaultId} ${used}`;
}
