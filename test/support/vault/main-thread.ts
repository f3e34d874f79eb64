/** How long the main thread was busy at a stretch, in CPU time: other programs do not matter. */
export class MainThreadMeter {
  private longestMs = 0;
  private lastMs = cpuMs();
  private isOver = false;

  constructor() {
    this.look();
  }

  /**
   * The most CPU that one turn of the event loop took since the last call; its tasks took no more.
   */
  takeLongestMs(): number {
    this.note();
    const longest = this.longestMs;
    this.longestMs = 0;
    return longest;
  }

  end(): void {
    this.isOver = true;
  }

  /** An immediate without a reference runs in every turn and does not keep the loop turning. */
  private look(): void {
    this.note();
    if (!this.isOver) {
      setImmediate(() => {
        this.look();
      }).unref();
    }
  }

  private note(): void {
    const now = cpuMs();
    this.longestMs = Math.max(this.longestMs, now - this.lastMs);
    this.lastMs = now;
  }
}

function cpuMs(): number {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1000;
}
