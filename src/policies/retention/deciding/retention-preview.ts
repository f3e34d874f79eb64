import type { PointCatalog } from '../../../catalog/point-catalog.ts';
import type { RegisteredVaults } from '../../../catalog/registered-vaults.ts';
import type { PolicyDocument } from '../../document/policy-document.ts';
import { isReadable, type KnownPolicy, type PolicyInForce } from '../../known-policy.ts';
import { planRetention, type RetentionInput } from '../retention-plan.ts';
import type { StandingJudges } from './standing-judges.ts';
import type { VaultFacts } from './vault-facts.ts';

export interface RetentionPreviewParts {
  readonly vaults: Pick<RegisteredVaults, 'list'>;
  readonly points: Pick<PointCatalog, 'list'>;
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
    const changed = wanted.map((document) => nextRevision(stored, document));
    const names = new Set(wanted.map(({ name }) => name));
    const policies = [...stored.filter(({ name }) => !names.has(name)), ...changed];
    const ids = new Map((await this.parts.vaults.list()).map(({ name, id }) => [name, id]));
    const previewed: PreviewedPolicy[] = [];
    for (const [name, own] of Map.groupBy(changed, ({ document }) => document.vault)) {
      const id = ids.get(name);
      if (id !== undefined) {
        const before = await this.input({ id, name }, stored, signal);
        const after = await this.input({ id, name }, policies, signal);
        const { waiting } = await this.parts.judges.brake(id, after, own, false);
        const given = new Set(givenUp(before));
        const more = givenUp(after).filter((pointId) => !given.has(pointId));
        for (const policy of own) {
          const early = waiting.find((each) => each.policy === policy.name)?.pointIds.length ?? 0;
          const points = more.filter((pointId) => isOf(after, pointId, policy.name)).length;
          previewed.push({ policy: policy.name, points: Math.max(points, early), early });
        }
      }
    }
    return previewed.filter(({ points }) => points > 0);
  }

  private async input(
    vault: { readonly id: string; readonly name: string },
    policies: readonly PolicyInForce[],
    signal: AbortSignal,
  ): Promise<RetentionInput> {
    const listed = await this.parts.points.list({ vaultId: vault.id });
    const held = new Set(
      listed.filter(({ holds }) => holds.length > 0).map(({ point }) => point.id),
    );
    const points = listed.map(({ point }) => point);
    const facts = { points, held, damaged: [], readers: new Map() };
    return this.parts.facts.input(vault, facts, { policies, blocked: new Map() }, signal);
  }
}

function nextRevision(stored: readonly PolicyInForce[], document: PolicyDocument): KnownPolicy {
  const before = stored.find(({ name }) => name === document.name);
  if (before === undefined) {
    const { name } = document;
    return { id: `new ${name}`, name, revision: 1, paused: false, horizonMs: 0, document };
  }
  const isSame = isReadable(before) && JSON.stringify(before.document) === JSON.stringify(document);
  const { id, name, paused, horizonMs } = before;
  const revision = isSame ? before.revision : before.revision + 1;
  return { id, name, paused, horizonMs, revision, document };
}

function givenUp(input: RetentionInput): string[] {
  return planRetention(input)
    .filter(({ keep }) => !keep)
    .map(({ pointId }) => pointId);
}

function isOf({ points }: RetentionInput, pointId: string, policy: string): boolean {
  const judges = points.find(({ id }) => id === pointId)?.judges;
  return Array.isArray(judges) && judges.includes(policy);
}
