import { blankImage, type Image } from '../lab.ts';

/** A point whose backup reported success. */
export interface Promised {
  readonly vmId: string;
  readonly id: string;
  readonly image: Image;
}

/** What the clients of a schedule did, and what went wrong: everything is judged by it. */
export class Ledger {
  readonly problems: string[] = [];
  readonly happened = new Map<string, number>();
  readonly #promised = new Map<string, Promised>();
  /** What every attempt wanted to store, by its note: sealed points may come from dead writers. */
  readonly #attempts = new Map<string, Image>();
  /** Points that somebody began to retire. */
  readonly #retired = new Set<string>();

  count(event: string, count = 1): void {
    if (count > 0) {
      this.happened.set(event, (this.happened.get(event) ?? 0) + count);
    }
  }

  problem(text: string): void {
    this.problems.push(text);
  }

  /** @returns the note of the attempt, by which its point is recognized */
  attempt(image: Image): string {
    const note = `attempt ${String(this.#attempts.size)}`;
    this.#attempts.set(note, image);
    return note;
  }

  attempted(note = ''): Image | undefined {
    return this.#attempts.get(note);
  }

  promise(point: Promised): void {
    this.#promised.set(point.id, point);
  }

  retire(id: string): void {
    this.#retired.add(id);
  }

  isRetired(id: string): boolean {
    return this.#retired.has(id);
  }

  get promised(): Promised[] {
    return [...this.#promised.values()];
  }

  /** The promised points that must be there. */
  get kept(): Promised[] {
    return this.promised.filter(({ id }) => !this.#retired.has(id));
  }

  /** What the point must hold; undefined if nobody here made it. */
  imageOf(point: { readonly id: string; readonly notes: readonly string[] }): Image | undefined {
    return this.#promised.get(point.id)?.image ?? this.attempted(point.notes[0]);
  }

  /** A copy of what the VM's newest promised point holds. */
  lastImage(vmId: string): number[][] {
    const last = this.promised.findLast((point) => point.vmId === vmId);
    return last === undefined ? blankImage() : last.image.map((disk) => [...disk]);
  }
}
