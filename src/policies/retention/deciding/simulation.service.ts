import type { PointCatalog } from '../../../catalog/point-catalog.ts';
import type { RegisteredVaults } from '../../../catalog/registered-vaults.ts';
import { DEFAULT_PRICES, pricesAt, type Prices } from '../../../vault/budget/prices.ts';
import type { RecoveryPoint } from '../../../vault/points/recovery-point.ts';
import { selectVms, type SelectableVm } from '../../document/selector.ts';
import { isReadable, type KnownPolicy, type PolicyInForce } from '../../known-policy.ts';
import { listRequests } from '../../plan/vault-forecast.ts';
import type { SchedulingClock } from '../../runs/scheduling-clock.ts';
import { forecastBytes, forecastKept, type ForecastPoint } from '../kept-forecast.ts';

/** What is known of a vault after some years of all policies. */
export interface SimulatedVault {
  readonly vault: string;
  readonly after: readonly {
    readonly years: number;
    readonly points: number;
    /** Small objects that stay for good: one for each point that was given up. */
    readonly retiredObjects: number;
    /** To look at the vault's points once. */
    readonly listRequests: number;
  }[];
}

/** What a policy keeps of one of its VMs in a year; all have the same calendar from then on. */
export interface SimulatedPolicy {
  readonly policy: string;
  readonly vault: string;
  readonly zone: string;
  readonly vms: number;
  /** In a year. */
  readonly points: readonly ForecastPoint[];
  /** Of all VMs in a year; undefined while VMs with enough points for it are missing. */
  readonly storedBytes: number | undefined;
  /** VMs of which it is too early to say how much they store. */
  readonly tooEarly: readonly string[];
  /** For what is stored then, by the price list of the store. */
  readonly perMonth:
    { readonly amount: number; readonly currency: string; readonly prices: string } | undefined;
}

export interface Simulation {
  readonly atMs: number;
  readonly policies: readonly SimulatedPolicy[];
  readonly vaults: readonly SimulatedVault[];
}

export interface SimulationParts {
  readonly policies: { list(): Promise<PolicyInForce[]>; read(name: string): Promise<KnownPolicy> };
  readonly vms: (signal: AbortSignal) => Promise<SelectableVm[]>;
  readonly points: Pick<PointCatalog, 'list'>;
  readonly vaults: Pick<RegisteredVaults, 'list'>;
  readonly clock: Pick<SchedulingClock, 'nowMs'>;
}

const YEARS = [1, 5];
const GIGABYTE = 1e9;

/** Says what will be there if nothing changes and every backup succeeds. */
export class RetentionSimulation {
  constructor(private readonly parts: SimulationParts) {}

  /** Simulates all policies, or one. @throws Fault `policy.unknown`, `policy.unreadable` */
  async run(name: string | undefined, signal: AbortSignal): Promise<Simulation> {
    const { policies, clock } = this.parts;
    const chosen =
      name === undefined ? (await policies.list()).filter(isReadable) : [await policies.read(name)];
    const vms = await this.parts.vms(signal);
    const nowMs = clock.nowMs();
    const simulated = [];
    for (const policy of chosen) {
      simulated.push(await this.ofPolicy(policy, selectVms(policy.document, vms), nowMs));
    }
    const byVault = Map.groupBy(simulated, ({ policy }) => policy.vault);
    return {
      atMs: nowMs,
      policies: simulated.map(({ policy }) => policy),
      vaults: [...byVault].map(([vault, own]) => ({
        vault,
        after: YEARS.map((years) =>
          afterYears(
            years,
            own.flatMap(({ loads }) => loads),
          ),
        ),
      })),
    };
  }

  private async ofPolicy(
    { document }: KnownPolicy,
    vms: readonly SelectableVm[],
    nowMs: number,
  ): Promise<{ readonly policy: SimulatedPolicy; readonly loads: readonly VmLoad[] }> {
    const place = (await this.parts.vaults.list()).find(({ name }) => name === document.vault);
    const listed = place === undefined ? [] : await this.parts.points.list({ vaultId: place.id });
    const byVm = Map.groupBy(
      listed.map(({ point }) => point),
      ({ vmId }) => vmId,
    );
    // The VM with the most points shows what becomes of points that are there.
    const own = vms.map(({ id }) => byVm.get(id) ?? []);
    const longest = own.toSorted((a, b) => b.length - a.length)[0] ?? [];
    const present = longest.filter(({ origin }) => origin?.policy === document.name);
    const forecast = forecastKept(document, present, nowMs, YEARS);
    const inAYear = forecast[0]?.points ?? [];
    const bytes = vms.map(({ name, id }) => ({
      name,
      bytes: forecastBytes(measuredOf(byVm.get(id) ?? []), inAYear.length),
    }));
    const storedBytes = bytes.every((each) => each.bytes !== undefined)
      ? bytes.reduce((sum, each) => sum + (each.bytes ?? 0), 0)
      : undefined;
    const prices = place && pricesOf(place);
    return {
      policy: {
        ...{ policy: document.name, vault: document.vault, zone: document.schedule.zone },
        vms: vms.length,
        points: inAYear,
        storedBytes,
        tooEarly: bytes.filter((each) => each.bytes === undefined).map(({ name }) => name),
        perMonth:
          prices === undefined || storedBytes === undefined
            ? undefined
            : {
                amount: (storedBytes / GIGABYTE) * prices.storagePerGigabyteMonth,
                currency: prices.currency,
                prices: prices.name,
              },
      },
      loads: forecast.map(({ years, taken, points }) => ({
        years,
        points: points.length * vms.length,
        retired: Math.max(0, taken + present.length - points.length) * vms.length,
      })),
    };
  }
}

interface VmLoad {
  readonly years: number;
  readonly points: number;
  readonly retired: number;
}

function afterYears(years: number, loads: readonly VmLoad[]): SimulatedVault['after'][number] {
  const own = loads.filter((load) => load.years === years);
  const points = own.reduce((sum, load) => sum + load.points, 0);
  const retiredObjects = own.reduce((sum, load) => sum + load.retired, 0);
  return { years, points, retiredObjects, listRequests: listRequests(points, retiredObjects) };
}

function pricesOf({
  location,
  endpoint,
}: {
  readonly location: string;
  readonly endpoint?: string | undefined;
}): Prices | undefined {
  return pricesAt(DEFAULT_PRICES, { location, ...(endpoint === undefined ? {} : { endpoint }) });
}

function measuredOf(points: readonly Pick<RecoveryPoint, 'takenAtMs' | 'disks'>[]) {
  return points.map(({ takenAtMs, disks }) => ({
    takenAtMs,
    storedBytes: disks.reduce((sum, { statistics }) => sum + statistics.storedBytes, 0),
  }));
}
