/** What was seen of one limit. */
export interface SeenLimit {
  readonly what: string;
  readonly limit: number;
  readonly most: number;
}

/** Counts what is used at once, by the name of a limit, and remembers the most. */
export class LimitsWatch {
  readonly #limits: Readonly<Record<string, number>>;
  readonly #users = new Map<string, Set<string>>();
  readonly #most = new Map<string, number>();

  constructor(limits: Readonly<Record<string, number>>) {
    this.#limits = limits;
  }

  /** Somebody uses something. The same user twice counts once. */
  begin(what: string, user: string): void {
    const users = this.#users.get(what) ?? new Set();
    this.#users.set(what, users.add(user));
    this.#most.set(what, Math.max(this.#most.get(what) ?? 0, users.size));
  }

  end(what: string, user: string): void {
    this.#users.get(what)?.delete(user);
  }

  get seen(): SeenLimit[] {
    return Object.entries(this.#limits).map(([what, limit]) => {
      return { what, limit, most: this.#most.get(what) ?? 0 };
    });
  }
}
