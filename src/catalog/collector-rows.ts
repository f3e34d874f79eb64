import { IsNull, LessThan, Not, type DataSource } from 'typeorm';
import { CollectorPointRow } from './rows/collector-point.row.ts';
import { HostRow } from './rows/host.row.ts';
import { CollectorSequenceRow } from './rows/collector-sequence.row.ts';

/** A point in the record of a collector. */
export type RecordedPoint = Readonly<CollectorPointRow>;

const CHUNK = 1000;

/** What a collector saw itself: points since when, and how far it read each service. */
export class CollectorRows {
  constructor(private readonly source: DataSource) {}

  /** Names of other hosts that use this database, or did. */
  async otherHosts(ownId: string): Promise<string[]> {
    const others = await this.source.getRepository(HostRow).findBy({ id: Not(ownId) });
    return others.map(({ name }) => name);
  }

  async points(vaultId: string): Promise<RecordedPoint[]> {
    return this.source.getRepository(CollectorPointRow).findBy({ vaultId });
  }

  async put(points: readonly RecordedPoint[]): Promise<void> {
    const rows = this.source.getRepository(CollectorPointRow);
    await rows.save([...points], { chunk: CHUNK });
  }

  /** Forgets points that were given up before, once they no longer count. */
  async forgetGivenUp(vaultId: string, beforeMs: number): Promise<void> {
    const givenUpMs = LessThan(beforeMs);
    await this.source.getRepository(CollectorPointRow).delete({ vaultId, givenUpMs });
  }

  /** Takes what is in doubt as it is: the next look sees these points for the first time. */
  async accept(vaultId: string, vmId: string): Promise<number> {
    const doubtful = { vaultId, vmId, inDoubtMs: Not(IsNull()) };
    return (await this.source.getRepository(CollectorPointRow).delete(doubtful)).affected ?? 0;
  }

  /** Returns by service the highest sequence that was read. */
  async sequences(vaultId: string): Promise<ReadonlyMap<string, number>> {
    const rows = await this.source.getRepository(CollectorSequenceRow).findBy({ vaultId });
    return new Map(rows.map(({ service, sequence }) => [service, sequence]));
  }

  async read(vaultId: string, service: string, sequence: number): Promise<void> {
    const rows = this.source.getRepository(CollectorSequenceRow);
    await rows.save({ vaultId, service, sequence });
  }
}
