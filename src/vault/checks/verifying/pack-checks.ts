import { HEADER_BYTES } from '../../format/pack-ends.ts';
import { parsePackKey, PREFIXES, type PackName } from '../../format/object-names.ts';
import type { Ulid } from '../../bytes/ulid.ts';
import type { OpenPack } from '../../packs/open-pack.ts';
import { corrupt } from '../../packs/pack-faults.ts';
import type { Packs } from '../../packs/packs.ts';
import type { VerifyProblem } from '../verify-report.ts';
import type { VerifyProblems } from './verify-problems.ts';

/**
 * Knows which packs are in the store, and checks each once, however many disks it serves: what is
 * wrong with it is a problem of each of them.
 */
export class PackChecks {
  readonly #packs: Packs;
  readonly #problems: VerifyProblems;
  readonly #signal: AbortSignal;
  /** Logical packs in the store, each with its newest generation. */
  readonly #present = new Map<Ulid, PackName>();
  readonly #checked = new Map<string, VerifyProblem | undefined>();

  constructor(packs: Packs, problems: VerifyProblems, signal: AbortSignal) {
    this.#packs = packs;
    this.#problems = problems;
    this.#signal = signal;
  }

  /** How many were checked. */
  get count(): number {
    return this.#checked.size;
  }

  async list(): Promise<void> {
    for (const prefix of [PREFIXES.data, PREFIXES.metadata]) {
      for await (const { key } of this.#packs.base.store.list(prefix, this.#signal)) {
        const name = parsePackKey(key);
        if (name !== undefined && name.generation >= (this.newest(name.ulid)?.generation ?? 0)) {
          this.#present.set(name.ulid, name);
        }
      }
    }
  }

  /** Returns the newest generation that is in the store. */
  newest(ulid: Ulid): PackName | undefined {
    return this.#present.get(ulid);
  }

  /** Checks by its trailer alone that a pack is as long as it was written. */
  async length(diskId: string, name: PackName): Promise<void> {
    await this.#once(diskId, name.ulid, async () => this.#packs.checkLength(name, this.#signal));
  }

  /**
   * Checks the header. Readers rebuild it, but it counts as damage while there is no other
   * generation.
   * @returns whether it is whole
   */
  async header(diskId: string, open: OpenPack): Promise<boolean> {
    return this.#once(diskId, open.objectKey, async () => {
      const range = { offset: 0, length: HEADER_BYTES };
      const header = await this.#packs.range(open, range, this.#signal);
      const isNewest = this.newest(open.name.ulid)?.generation === open.name.generation;
      if (isNewest && !Buffer.from(open.header).equals(header)) {
        throw corrupt(open.name, 'its header is not what was written');
      }
    });
  }

  async #once(diskId: string, what: string, check: () => Promise<void>): Promise<boolean> {
    const known = this.#checked.get(what);
    if (known !== undefined) {
      this.#problems.note({ ...known, diskId });
    } else if (!this.#checked.has(what)) {
      this.#checked.set(what, await this.#problems.noting(diskId, check));
    }
    return this.#checked.get(what) === undefined;
  }
}
