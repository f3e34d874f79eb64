import { MiB } from '../../../src/kernel/text/bytes.ts';
import { judge, type Suspicion } from '../../../src/policies/suspicion/baseline.ts';
import type { RecoveryPoint } from '../../../src/vault/points/recovery-point.ts';
import type { Vault } from '../../../src/vault/vault.ts';
import { backUp, createVault, FULL } from '../vault/vault-lab.ts';
import { GuestFiles, type FileKind, type GuestFile } from './guest-files.ts';

/** What a guest is for: shares of its content by kind, and what it does often. */
export interface GuestProfile {
  readonly name: string;
  readonly trims: boolean;
  readonly content: Readonly<Record<FileKind, number>>;
  /** Writes a packed dump over an older one every night. */
  readonly dumps: boolean;
}

export const PROFILES: readonly GuestProfile[] = [
  {
    name: 'files',
    trims: true,
    content: { database: 0.05, text: 0.6, program: 0.15, film: 0.2 },
    dumps: false,
  },
  {
    name: 'database',
    trims: false,
    content: { database: 0.6, text: 0.1, program: 0.25, film: 0.05 },
    dumps: true,
  },
  {
    name: 'web',
    trims: false,
    content: { database: 0.2, text: 0.35, program: 0.3, film: 0.15 },
    dumps: false,
  },
];

/** Rare things that are no attack. */
export const EVENTS = ['upgrade', 'reindex', 'defragmentation', 'films', 'resize', 'lost'] as const;
export type GuestEvent = (typeof EVENTS)[number];

/** How full the disk is at first. */
const USED = 0.55;

/** A VM that lives for weeks and is backed up every day into a real vault. */
export class GuestWeeks implements AsyncDisposable {
  readonly points: RecoveryPoint[] = [];
  readonly guest: GuestFiles;
  private readonly profile: GuestProfile;
  private readonly vault: Vault;
  private whole = true;
  private answered: string | undefined;
  private dump: GuestFile | undefined;
  private victims: GuestFile[] | undefined;
  private encrypted = 0;

  private constructor(vault: Vault, profile: GuestProfile, seed: number) {
    this.vault = vault;
    this.profile = profile;
    this.guest = new GuestFiles(seed, profile.trims);
  }

  static async begin(profile: GuestProfile, seed: number): Promise<GuestWeeks> {
    const { vault } = await createVault(undefined, { parameters: { packBytes: 4 * MiB } });
    const weeks = new GuestWeeks(vault, profile, seed);
    const { guest } = weeks;
    for (const [kind, share] of Object.entries(profile.content) as [FileKind, number][]) {
      guest.make(kind, Math.round(guest.sectors * USED * share));
    }
    await weeks.backUp();
    return weeks;
  }

  /** One day, with at most one rare thing in it. */
  async day(event?: GuestEvent): Promise<Suspicion | undefined> {
    this.everyDay();
    if (event !== undefined) {
      this.happen(event);
    }
    return this.backUp();
  }

  /** A day on which so many per cent of all files are encrypted when it ends. */
  async attack(percent: number, how: 'in-place' | 'copy'): Promise<Suspicion | undefined> {
    const { guest } = this;
    this.everyDay();
    this.victims ??= [...guest.files];
    const wanted = (this.victims.length * percent) / 100;
    for (; this.encrypted < wanted; this.encrypted += 1) {
      const at = this.encrypted + guest.number(this.victims.length - this.encrypted);
      const [victim, other] = [this.victims[at], this.victims[this.encrypted]];
      if (victim !== undefined && other !== undefined) {
        this.victims[at] = other;
        this.victims[this.encrypted] = victim;
        guest.encrypt(victim, how);
      }
    }
    return this.backUp();
  }

  /** A person says that all is well. */
  answer(): void {
    this.answered = this.points.at(-1)?.id;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.vault.close();
  }

  /** Pages of a database, changed documents, logs, a few new files, others removed. */
  private everyDay(): void {
    const { guest } = this;
    for (const file of guest.some(2 + guest.number(6), ['database'])) {
      for (let page = 0; page < 4; page += 1) {
        guest.rewrite(file, guest.number(file.sectors), 2);
      }
    }
    for (const file of guest.some(1 + guest.number(5), ['text'])) {
      guest.rewrite(file, guest.number(file.sectors), 16);
    }
    guest.make('text', 20 + guest.number(120), 60);
    guest.make('film', guest.number(40), 40);
    while (guest.usedSectors > guest.sectors * USED) {
      const [gone] = guest.some(1, ['text', 'film']);
      if (gone === undefined) {
        break;
      }
      guest.remove(gone);
    }
    if (this.profile.dumps) {
      const dump = this.dump ?? guest.make('film', 700, 700)[0];
      this.dump = dump;
      if (dump !== undefined) {
        guest.rewrite(dump);
      }
    }
  }

  private happen(event: GuestEvent): void {
    const { guest, profile } = this;
    const share = (percent: number): number => Math.round((guest.usedSectors * percent) / 100);
    switch (event) {
      case 'upgrade':
        // Packages are fetched, programs replaced, and the packages removed.
        this.upgrade(guest.make('film', share(2)));
        break;
      case 'reindex':
        for (const file of guest.some(Infinity, ['database'])) {
          guest.rewrite(file);
        }
        break;
      case 'defragmentation':
        for (const file of guest.some(guest.files.length / 3, ['text', 'program', 'film'])) {
          guest.move(file);
        }
        break;
      case 'films':
        // A guest that does not trim has few places that nothing was in before.
        guest.make('film', share(profile.trims ? 25 : 6), 600);
        break;
      case 'resize':
        guest.grow(4 * MiB);
        this.whole = guest.number(2) === 0;
        break;
      case 'lost':
        this.whole = true;
        break;
    }
  }

  private upgrade(packages: readonly GuestFile[]): void {
    for (const file of this.guest.some(12, ['program'])) {
      this.guest.rewrite(file);
    }
    for (const file of packages) {
      this.guest.remove(file);
    }
  }

  private async backUp(): Promise<Suspicion | undefined> {
    const { guest } = this;
    const extents = [...guest.takeChanges()];
    const changes = this.whole ? FULL : ({ method: 'changed-extents', extents } as const);
    this.whole = false;
    this.points.push(await backUp(this.vault, guest.disk, { changes }));
    return judge(this.points, this.answered);
  }
}
