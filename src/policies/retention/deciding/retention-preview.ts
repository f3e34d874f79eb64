import type { PointCatalog } from '../../../catalog/point-catalog.ts';
import type { RegisteredVaults } from '../../../catalog/registered-vaults.ts';
import type { PolicyDocument } from '../../document/policy-document.ts';
import { isReadable, type KnownPolicy, type PolicyInForce } from '../../known-policy.ts';
import { givenUp, type RetentionInput } from '../retention-plan.ts';
import type { StandingJudges } from './standing-judges.ts';
import type { ListedFacts, VaultFacts } from './vault-facts.ts';

export interface RetentionPreviewParts {
  readonly vaults: Pick<RegisteredVaults, 'list'>;
  readonly points: Pick<PointCatalog, 'outlines'>;
  readonly facts: Pick<VaultFacts, 'input'>;
  readonly judges: Pick<StandingJudges, 'brake'>;
}

/** What the next revision of a policy gives up that the present policies do not. */
export interface PreviewedPolicy {
  readonly policy: string;
  readonly points: number;
  /** How many of them the present revision would still keep in a week; then it waits. */
  readonly early: number;
}

/** Says what policies would give up if they were applied, by what the catalog knows. */
export class RetentionPreview {
  constructor(private readonly parts: RetentionPreviewParts) {}

  /** Returns the policies that would give up more than now. */
  async of(
    stored: readonly PolicyInForce[],
    wanted: readonly PolicyDocument[],
    signal: AbortSignal,
  ): Promise<PreviewedPolicy[]> {
    const changed = wanted
      .filter(
        (document) => !stored.some((policy) => isReadable(policy) && isSame(policy, document)),
      )
      .map((document) => nextRevision(stored, document));
    const names = new Set(changed.map(({ name }) => name));
    const policies = [...stored.filter(({ name }) => !names.has(name)), ...changed];
    const ids = new Map((await this.parts.vaults.list()).map(({ name, id }) => [name, id]));
    const previewed: PreviewedPolicy[] = [];
    for (const [name, own] of Map.groupBy(changed, ({ document }) => document.vault)) {
      const id = ids.get(name);
      if (id !== undefined) {
        const facts = await this.facts(id);
        const input = async (under: readonly PolicyInForce[]): Promise<RetentionInput> =>
          this.parts.facts.input(
            { id, name },
            facts,
            { policies: under, blocked: new Map() },
            signal,
          );
        const before = await input(stored);
        const after = await input(policies);
        const { waiting } = await this.parts.judges.brake(id, after, own, false);
        const given = new Set(givenUp(before));
        const more = new Set(givenUp(after).filter((pointId) => !given.has(pointId)));
        const counts = countByJudge(after.points.filter(({ id: point }) => more.has(point)));
        for (const policy of own) {
          const early = waiting.find((each) => each.policy === policy.name)?.pointIds.length ?? 0;
          const points = counts.get(policy.name) ?? 0;
          previewed.push({ policy: policy.name, points: Math.max(points, early), early });
        }
      }
    }
    return previewed.filter(({ points }) => points > 0);
  }

  private async facts(vaultId: string): Promise<ListedFacts> {
    const points = await this.parts.points.outlines(vaultId);
    const held = new Set(points.filter(({ isHeld }) => isHeld).map(({ id }) => id));
    return { points, held, damaged: [], readers: new Map() };
  }
}

function countByJudge(points: RetentionInput['points']): Map<string, number> {
  const counts = new Map<string, number>();
  for (const { judges } of points) {
    for (const policy of typeof judges === 'string' ? [] : judges) {
      counts.set(policy, (counts.get(policy) ?? 0) + 1);
    }
  }
  return counts;
}

function nextRevision(stored: readonly PolicyInForce[], document: PolicyDocument): KnownPolicy {
  const before = stored.find(({ name }) => name === document.name);
  if (before === undefined) {
    const { name } = document;
    return { id: `new ${name}`, name, revision: 1, paused: false, horizonMs: 0, document };
  }
  const { id, name, paused, horizonMs } = before;
  return { id, name, paused, horizonMs, revision: before.revision + 1, document };
}

function isSame({ name, document }: KnownPolicy, wanted: PolicyDocument): boolean {
  return name === wanted.name && JSON.stringify(document) === JSON.stringify(wanted);
}
