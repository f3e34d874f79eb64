import { isFault, type Fault } from '../../kernel/fault.ts';

/** `known`: what was found was weighed after the look had ended. */
type LookState = 'running' | 'ended' | 'known';

/**
 * Looks once at each vault before the first run of this process writes into it: a database that was
 * restored from an older dump is found by what the vaults know more.
 */
export class VaultLooks {
  private readonly looks = new Map<string, { state: LookState; error?: Fault }>();
  private readonly running = new Set<Promise<void>>();
  private readonly stopping = new AbortController();

  private ended: () => void = () => undefined;

  constructor(
    private readonly vaults: { sync(vaultId: string, signal: AbortSignal): Promise<void> },
  ) {}

  /** Sets what is called when a look has ended. */
  onEnd(ended: () => void): void {
    this.ended = ended;
  }

  /**
   * Says that what the looks have found is weighed now. A look that ends later counts only after
   * the next call: else a run could begin on what nobody has seen yet.
   */
  weigh(): void {
    for (const look of this.looks.values()) {
      if (look.state === 'ended') {
        look.state = 'known';
      }
    }
  }

  /**
   * Returns whether the vault was looked at and that was weighed; if not, a look begins.
   * @throws Fault why the last look failed, if the store is away; the next call looks again
   */
  isDone(vaultId: string): boolean {
    const look = this.looks.get(vaultId);
    if (look === undefined) {
      this.begin(vaultId);
      return false;
    }
    if (look.error !== undefined) {
      this.looks.delete(vaultId);
      throw look.error;
    }
    return look.state === 'known';
  }

  /** Looks at the vault soon, if this process has not. */
  want(vaultId: string): void {
    if (!this.looks.has(vaultId)) {
      this.begin(vaultId);
    }
  }

  /** Ends the looks under way. */
  async stop(): Promise<void> {
    this.stopping.abort();
    await Promise.all(this.running);
  }

  private begin(vaultId: string): void {
    const look: { state: LookState; error?: Fault } = { state: 'running' };
    this.looks.set(vaultId, look);
    const running = this.vaults
      .sync(vaultId, this.stopping.signal)
      .catch((error: unknown) => {
        // What else is wrong with the vault, the attempt finds as well and says better.
        if (isFault(error) && error.code.startsWith('store.')) {
          look.error = error;
        }
      })
      .then(() => {
        look.state = 'ended';
        this.running.delete(running);
        if (!this.stopping.signal.aborted) {
          this.ended();
        }
      });
    this.running.add(running);
  }
}
