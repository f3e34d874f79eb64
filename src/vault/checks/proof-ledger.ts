import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { z } from 'zod';
import { PRIVATE_FILE_MODE } from '../../kernel/files/durable-file.ts';
import { systemCode } from '../../kernel/fault.ts';
import { readdir, readFile, rename, rm, writeFile } from '../../kernel/files/files.ts';
import { makeFolders } from '../../kernel/files/folders.ts';
import { parsePackKey, PREFIXES } from '../format/object-names.ts';
import type { ObjectKey } from '../store/object-store.ts';
import type { OptionalFolder } from '../../kernel/files/optional-folder.ts';

/** What a check covers: the checksums, each frame with the key, or also the id of each chunk. */
export const PROOF_DEPTHS = ['crc', 'frames', 'ids'] as const;
export type ProofDepth = (typeof PROOF_DEPTHS)[number];

const PackProof = z.object({
  key: z.string().refine((key) => parsePackKey(key) !== undefined),
  bytes: z.int().min(0),
  checkedAtMs: z.number(),
  depth: z.enum(PROOF_DEPTHS),
  /** What is wrong with the pack; undefined if it was whole. */
  damage: z.string().optional(),
});

/** The last check of one object that holds a pack. */
export type PackProof = z.infer<typeof PackProof>;

/**
 * Records what was checked when. Losing it is harmless: what is missing counts as never checked and
 * comes first. A folder of this machine keeps it now; a catalog could.
 */
export abstract class ProofLedger {
  abstract load(): Promise<Map<ObjectKey, PackProof>>;

  /** Adds or replaces proofs, and drops the entries of the packs in `gone`. */
  abstract record(proofs: readonly PackProof[], gone: readonly ObjectKey[]): Promise<void>;
}

const SHARD = /^[dm]-\d{6}\.json$/;

/**
 * One file per month of packs, so that a step of a scrub rewrites little. If the folder fails, it
 * keeps the proofs in memory.
 */
export class FolderProofLedger extends ProofLedger {
  readonly #place: OptionalFolder;
  readonly #folder: string;
  #memory: MemoryProofLedger | undefined;

  /**
   * @param vaultPlace folder of the vault in the cache, which also keeps footers (`folderOfVault`)
   */
  constructor(vaultPlace: OptionalFolder) {
    super();
    this.#place = vaultPlace;
    this.#folder = join(vaultPlace.path, 'proofs');
  }

  override async load(): Promise<Map<ObjectKey, PackProof>> {
    return this.#memory === undefined ? new Map(await this.#load()) : this.#memory.load();
  }

  override async record(proofs: readonly PackProof[], gone: readonly ObjectKey[]): Promise<void> {
    const isKept = await this.#place.use(false, async () => {
      await makeFolders(this.#folder);
      await this.#record(proofs, gone);
      return true;
    });
    if (!isKept) {
      if (this.#memory === undefined) {
        this.#memory = new MemoryProofLedger();
        await this.#memory.record([...(await this.#load()).values()], []);
      }
      await this.#memory.record(proofs, gone);
    }
  }

  async #load(): Promise<Map<ObjectKey, PackProof>> {
    const proofs = new Map<ObjectKey, PackProof>();
    for (const name of await this.#names()) {
      if (SHARD.test(name)) {
        for (const proof of await this.#read(name)) {
          proofs.set(proof.key, proof);
        }
      }
    }
    return proofs;
  }

  async #record(proofs: readonly PackProof[], gone: readonly ObjectKey[]): Promise<void> {
    const shards = new Set([...proofs.map(({ key }) => shardOf(key)), ...gone.map(shardOf)]);
    for (const shard of shards) {
      const known = new Map((await this.#read(shard)).map((proof) => [proof.key, proof]));
      for (const key of gone) {
        known.delete(key);
      }
      for (const proof of proofs) {
        if (shardOf(proof.key) === shard) {
          known.set(proof.key, proof);
        }
      }
      await this.#write(shard, [...known.values()]);
    }
  }

  async #names(): Promise<string[]> {
    try {
      return await readdir(this.#folder);
    } catch (error) {
      if (systemCode(error) === undefined) {
        throw error;
      }
      return [];
    }
  }

  /** Reads a shard. One that cannot be read counts as empty: its packs are checked again. */
  async #read(shard: string): Promise<PackProof[]> {
    try {
      const content: unknown = JSON.parse(await readFile(join(this.#folder, shard), 'utf8'));
      return z.array(PackProof).parse(content);
    } catch {
      return [];
    }
  }

  async #write(shard: string, proofs: readonly PackProof[]): Promise<void> {
    const temporary = join(this.#folder, `${randomBytes(8).toString('hex')}.tmp`);
    try {
      await writeFile(temporary, JSON.stringify(proofs), { mode: PRIVATE_FILE_MODE });
      // Not synced: proofs that a power loss takes away are made again.
      await rename(temporary, join(this.#folder, shard));
    } catch (error) {
      await rm(temporary, { force: true }).catch(() => undefined);
      throw error;
    }
  }
}

/** A ledger in memory, for a scrub that keeps nothing. */
export class MemoryProofLedger extends ProofLedger {
  readonly #proofs = new Map<ObjectKey, PackProof>();

  override async load(): Promise<Map<ObjectKey, PackProof>> {
    return new Map(this.#proofs);
  }

  override async record(proofs: readonly PackProof[], gone: readonly ObjectKey[]): Promise<void> {
    for (const key of gone) {
      this.#proofs.delete(key);
    }
    for (const proof of proofs) {
      this.#proofs.set(proof.key, proof);
    }
  }
}

function shardOf(key: ObjectKey): string {
  const letter = key.startsWith(PREFIXES.metadata) ? 'm' : 'd';
  return `${letter}-${key.slice(2, 8)}.json`;
}
